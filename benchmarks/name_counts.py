"""Names in two million generated captions, against pandas' str.contains and merely reading them.

Captions are made of words that are as frequent as in running text, about 70 bytes long, one in six
with signs beyond ASCII; 0.4 % hold a name of the list, so that it is known what must come back.
Times are CPU seconds of one thread; ratios are medians of rounds that take turns.

    python benchmarks/name_counts.py [--captions 2000000] [--rounds 5]
"""

import argparse
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from _timing import alternate, print_table
from vlmaudit.data.candidates import draw_names
from vlmaudit.data.caption_search import NameSearch, PaperSearch
from vlmaudit.data.caption_sources import ReadNotes, read_captions, units_of
from vlmaudit.data.name_matching import Known

SHARD = 200_000
NAMED = 0.004
FEW, MANY = 546, 10_000
PANDAS_CAPTIONS, PANDAS_NAMES = 20_000, 24
OVER_PANDAS, OF_READING, MANY_NAMES = 80, 0.25, 2
BEYOND = [*"éèüöäñçøåßąłœ—–’“”•", "日本", "東京", "мир", "😀", "…"]
LETTERS = "etaoinshrdlucmfwypvbgk"


def vocabulary(rng: np.random.Generator) -> list[str]:
    """Made-up words, one in forty with a sign beyond ASCII, and some with a capital."""
    words = []
    for _ in range(30_000):
        word = "".join(rng.choice(list(LETTERS), int(rng.integers(2, 11))))
        if rng.random() < 0.025:
            word += str(rng.choice(BEYOND))
        words.append(word.capitalize() if rng.random() < 0.2 else word)
    return words


def write_captions(folder: Path, number: int, names: list[str]) -> Counter[str]:
    """Shards of captions; who was planted how often."""
    rng = np.random.default_rng(0)
    words = vocabulary(rng)
    share = 1 / np.arange(1, len(words) + 1) ** 0.9
    share /= share.sum()
    planted: Counter[str] = Counter()
    for shard in range(max(1, number // SHARD)):
        lengths = rng.integers(5, 16, SHARD)
        drawn = rng.choice(len(words), size=int(lengths.sum()), p=share).tolist()
        ends = np.cumsum(lengths).tolist()
        captions = [
            " ".join([words[word] for word in drawn[end - length : end]])
            for end, length in zip(ends, lengths.tolist(), strict=True)
        ]
        for place in rng.choice(SHARD, int(SHARD * NAMED), replace=False).tolist():
            name = names[int(rng.integers(len(names)))]
            planted[name] += 1
            captions[place] += f", {name}"
        table = pa.table({"url": [str(place) for place in range(SHARD)], "caption": captions})
        pq.write_table(table, folder / f"{shard:03d}.parquet", compression="zstd")
    return planted


def read(folder: Path) -> int:
    """Every caption, and nothing done with it."""
    return sum(
        len(batch)
        for file in sorted(folder.glob("*.parquet"))
        for batch in pq.ParquetFile(file).iter_batches(
            131_072, columns=["caption"], use_threads=False
        )
    )


def count(folder: Path, search: NameSearch | PaperSearch) -> Counter[int]:
    """Who is named in how many captions."""
    found: Counter[int] = Counter()
    for file in sorted(folder.glob("*.parquet")):
        for unit in units_of(str(file)):
            for batch in read_captions(unit, column="caption", notes=ReadNotes()):
                found.update(Counter(search.find(batch).names.tolist()))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--captions", type=int, default=2_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    rng = np.random.default_rng(1)
    names = draw_names(MANY, sex="", origin="en_US", rng=rng)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        planted = write_captions(folder, arguments.captions, names)
        captions = read(folder)
        few, many = (NameSearch([Known(name) for name in names[:n]]) for n in (FEW, MANY))
        paper = PaperSearch([Known(name) for name in names[:FEW]])
        for search, n in ((few, FEW), (many, MANY)):
            found = count(folder, search)
            assert {names[at]: times for at, times in found.items()} == {
                name: times for name, times in planted.items() if name in set(names[:n])
            }
        sample = pd.Series(
            pq.read_table(folder / "000.parquet", columns=["caption"])["caption"].to_pylist()
        )[:PANDAS_CAPTIONS]

        def pandas() -> int:
            return sum(int(sample.str.contains(name).sum()) for name in names[:PANDAS_NAMES])

        seconds = alternate(
            {
                "read the column": lambda: read(folder),
                f"{FEW} names": lambda: count(folder, few),
                f"{MANY} names": lambda: count(folder, many),
                f"{FEW} names by the paper's rule": lambda: count(folder, paper),
                "pandas": pandas,
            },
            rounds=arguments.rounds,
        )
    # pandas was given fewer captions and fewer names, and its time goes with both.
    seconds["pandas"] *= captions / len(sample) * FEW / PANDAS_NAMES
    key = f"{FEW} names"
    print_table(
        seconds,
        base="pandas",
        target=(
            f"{FEW} names: {seconds['pandas'] / seconds[key]:.0f} x pandas (wanted {OVER_PANDAS}); "
            f"{seconds['read the column'] / seconds[key]:.2f} of reading (wanted {OF_READING}); "
            f"{MANY} names take {seconds[f'{MANY} names'] / seconds[key]:.2f} x as long (at most "
            f"{MANY_NAMES}); {captions / seconds[key] / 1e6:.2f} million captions a CPU second"
        ),
    )


if __name__ == "__main__":
    main()
