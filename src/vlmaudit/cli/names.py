"""``vlmaudit names``."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from vlmaudit.cli.shared import EXIT_TOO_MANY_FAILURES, Seed, exits, progress_console

app = typer.Typer(
    name="names",
    help="Names in training captions: who was in the data, and how often.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command("count")
@exits
def count(
    captions: Annotated[
        list[str],
        typer.Option(
            help="File, folder, glob or address of captions; may be given several times. Parquet, "
            "CSV, TSV, JSON lines, text, webdataset tars, conversations in JSON; .gz and .zst too."
        ),
    ],
    names: Annotated[
        Path,
        typer.Option(help="A name a line, name,aliases in a .csv, or a folder of people."),
    ],
    out: Annotated[Path, typer.Option(help="Gets name,captions,occurrences: .csv or .parquet.")],
    protocol: Annotated[
        Literal["audit", "paper"],
        typer.Option(
            help="audit: whole names as words, whatever their case and accents; paper: pandas' "
            "str.contains, with case, within words, as regular expressions."
        ),
    ] = "audit",
    column: Annotated[
        str, typer.Option(help="Column or field of the caption; without it, the usual ones.")
    ] = "",
    pairs: Annotated[Path | None, typer.Option(help="Gets who is named together.")] = None,
    examples: Annotated[
        Path | None, typer.Option(help="Gets captions that name each; captions name people.")
    ] = None,
    examples_per_name: Annotated[int, typer.Option(help="How many of them.")] = 3,
    processes: Annotated[
        int | None, typer.Option(help="Processes at a time; without it, one a core.")
    ] = None,
    shard: Annotated[
        str,
        typer.Option(
            help="i/n: count only every n-th piece into an --out of its own; other jobs count the "
            "others, and names add adds them up."
        ),
    ] = "1/1",
    timeout: Annotated[
        float | None, typer.Option(help="Seconds that a piece may take before it is left out.")
    ] = None,
    seed: Seed = 0,
) -> None:
    """Count the captions that mention people. The same command goes on after a kill."""
    # The door to what reads captions: only here, once there is something to count.
    from vlmaudit.data.name_lists import read_name_list
    from vlmaudit.execution.name_counts import Counting, count_in_captions
    from vlmaudit.execution.plan import parse_shard
    from vlmaudit.report.name_counts import print_counts

    counting = Counting(
        captions=tuple(captions),
        protocol=protocol,
        column=column,
        examples=examples_per_name if examples is not None else 0,
        seed=seed,
    )
    finding, table = count_in_captions(
        counting,
        read_name_list(names),
        out,
        processes=processes,
        shard=parse_shard(shard),
        timeout=timeout,
        console=progress_console(),
        pairs=pairs,
        examples=examples,
    )
    print_counts(finding, table, out)
    if not finding.is_whole:
        raise typer.Exit(EXIT_TOO_MANY_FAILURES)


@app.command("add")
@exits
def add(
    counts: Annotated[
        list[Path],
        typer.Argument(help="Tables that jobs of one count wrote (names count --shard)."),
    ],
    out: Annotated[Path, typer.Option(help="Gets their sums: .csv or .parquet.")],
) -> None:
    """Add up what several jobs counted."""
    from vlmaudit.audits.name_counts.finding import add_tables, write_finding, write_table
    from vlmaudit.report.name_counts import print_counts

    finding, table = add_tables(counts)
    write_table(table, out)
    write_finding(finding, out)
    print_counts(finding, table, out)
    if not finding.is_whole:
        raise typer.Exit(EXIT_TOO_MANY_FAILURES)
