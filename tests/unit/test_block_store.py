"""The store: what was answered stays, whoever is at it and however they end."""

import json
import multiprocessing
import os

import polars as pl
import pytest

from vlmaudit.errors import RunError
from vlmaudit.results.blocks import ENVIRONMENTS, BlockStore, Part, at_work, block_size
from vlmaudit.results.outcomes import ANSWERED, PERMANENT, TRANSIENT, merge_attempts

COLUMNS = {"answer": pl.String}
CASES = tuple(f"{number:02d}" for number in range(6))
PART = Part(0, 0, CASES)


def outcomes(*cases, status=ANSWERED, reason="", answer="yes"):
    n = len(cases)
    return pl.DataFrame(
        {
            "case": cases,
            "identity": ["ann"] * n,
            "image": [f"{case}.png" for case in cases],
            "condition": ["original"] * n,
            "status": [status] * n,
            "reason": [reason] * n,
            "answer": [answer if status == ANSWERED else None] * n,
        },
        schema_overrides=COLUMNS,
    )


def seal(store, part, *tables):
    with store.claim(part, COLUMNS) as claim:
        for table in tables:
            claim.add(table, "env")
        claim.seal()


@pytest.fixture
def store(tmp_path):
    return BlockStore(tmp_path)


def whole(store):
    return pl.concat(list(store.read()))


def test_a_block_holds_its_cases_in_their_order(store, tmp_path):
    seal(store, PART, outcomes("03", "01"), outcomes("05", "00"), outcomes("04", "02"))
    assert whole(store)["case"].to_list() == list(CASES)
    assert store.parts({0: CASES}) == ()
    assert not list((tmp_path / "open").iterdir())
    file = tmp_path / "blocks" / "000000.parquet"
    assert pl.read_parquet_metadata(file)[ENVIRONMENTS] == "env"
    assert file.stat().st_mode & 0o777 == 0o600


def test_what_was_answered_before_a_stop_is_not_asked_again(store):
    with store.claim(PART, COLUMNS) as claim:
        claim.add(outcomes("00", "01"), "before")
    with store.claim(PART, COLUMNS) as claim:
        assert claim.missing == CASES[2:]
        claim.add(outcomes(*CASES[2:]), "after")
        claim.seal()
    assert whole(store)["case"].to_list() == list(CASES)


def test_both_environments_of_a_block_are_recorded(store, tmp_path):
    test_what_was_answered_before_a_stop_is_not_asked_again(store)
    found = pl.read_parquet_metadata(tmp_path / "blocks" / "000000.parquet")[ENVIRONMENTS]
    assert found == "after before"


@pytest.mark.parametrize("torn", [b'[{"case": "02', b'[{"case": "02"}]', b"\x00\x00\n", b"7\n"])
def test_a_torn_tail_is_dropped_and_the_rest_kept(store, tmp_path, torn):
    with store.claim(PART, COLUMNS) as claim:
        claim.add(outcomes("00", "01"), "env")
    journal = tmp_path / "open" / "000000.jsonl"
    sound = journal.read_bytes()
    journal.write_bytes(sound + torn)
    with store.claim(PART, COLUMNS) as claim:
        assert claim.missing == CASES[2:]
        assert journal.read_bytes() == sound
        claim.add(outcomes("02"), "env")
    assert len(journal.read_bytes().splitlines()) == 2


def test_a_batch_that_was_damaged_on_disk_is_asked_again(store, tmp_path):
    with store.claim(PART, COLUMNS) as claim:
        claim.add(outcomes("00"), "env")
        claim.add(outcomes("01"), "env")
        claim.add(outcomes("02"), "env")
    journal = tmp_path / "open" / "000000.jsonl"
    journal.write_bytes(journal.read_bytes().replace(b"01.png", b"03.png"))
    with store.claim(PART, COLUMNS) as claim:
        assert claim.missing == CASES[1:]


def test_a_batch_is_the_unit_of_what_a_kill_costs(store, tmp_path):
    with store.claim(PART, COLUMNS) as claim:
        claim.add(outcomes("00", "01"), "env")
        claim.add(outcomes("02", "03"), "env")
    journal = tmp_path / "open" / "000000.jsonl"
    journal.write_bytes(journal.read_bytes()[:-3])
    with store.claim(PART, COLUMNS) as claim:
        assert claim.missing == CASES[2:]


def test_numbers_come_back_from_a_journal_as_they_went_in(store):
    numbers = [0.1, 1 / 3, 1e-30, 3.4e38]
    table = outcomes("00", "01", "02", "03").with_columns(
        pl.Series("answer", [[number, -number] for number in numbers], pl.Array(pl.Float32, 2))
    )
    columns = {"answer": pl.Array(pl.Float32, 2)}
    part = Part(0, 0, CASES[:5])
    with store.claim(part, columns) as claim:
        claim.add(table, "env")
    with store.claim(part, columns) as claim:
        claim.add(outcomes("04", status=PERMANENT).with_columns(answer=pl.lit(None)), "env")
        claim.seal()
    assert whole(store)["answer"].to_list() == [*table["answer"].to_list(), None]


def test_a_part_is_held_by_one_at_a_time(store):
    with store.claim(PART, COLUMNS) as first:
        assert first is not None
        with store.claim(PART, COLUMNS) as second:
            assert second is None
    with store.claim(PART, COLUMNS) as again:
        assert again is not None


def test_a_sealed_part_cannot_be_claimed(store, tmp_path):
    seal(store, PART, outcomes(*CASES))
    with store.claim(PART, COLUMNS) as claim:
        assert claim is None
    assert not list((tmp_path / "open").iterdir())


def _hold(private, is_held):
    with BlockStore(private).claim(PART, COLUMNS):
        is_held.set()
        os.kill(os.getpid(), 9)


@pytest.mark.process
def test_a_killed_process_lets_go_of_its_block(tmp_path):
    context = multiprocessing.get_context("fork")
    is_held = context.Event()
    process = context.Process(target=_hold, args=(tmp_path, is_held))
    process.start()
    assert is_held.wait(30)
    process.join(30)
    assert at_work(tmp_path) == ()
    with BlockStore(tmp_path).claim(PART, COLUMNS) as claim:
        assert claim is not None
        assert at_work(tmp_path) == ("000000",)


def test_what_failed_for_the_time_being_is_asked_again_and_only_that(store):
    failed = outcomes("01", "04", status=TRANSIENT, reason="time-out")
    broken = outcomes("02", status=PERMANENT, reason="damaged picture")
    seal(store, PART, outcomes("00", "03", "05"), failed, broken)
    assert store.parts({0: CASES}, retry=False) == ()
    (again,) = store.parts({0: CASES})
    assert again == Part(0, 1, ("01", "04"))
    seal(store, again, outcomes("01"), outcomes("04", status=TRANSIENT, reason="500"))
    table = whole(store)
    assert table["case"].to_list() == list(CASES)
    by_case = dict(table.select("case", "reason").iter_rows())
    assert by_case["01"] == ""
    assert by_case["04"] == "500"
    assert store.parts({0: CASES}) == (Part(0, 2, ("04",)),)
    assert dict(store.scan(["reason"]).collect().select("case", "reason").iter_rows()) == by_case


def test_an_answer_never_replaces_an_answer(store):
    first = outcomes("00", "01")
    later = pl.concat([outcomes("00", answer="no"), outcomes("01", answer="no")])
    assert merge_attempts(first, later).equals(first)
    with store.claim(PART, COLUMNS) as claim:
        claim.add(outcomes("00"), "env")
        claim.add(outcomes(*CASES, answer="no"), "env")
        claim.seal()
    assert whole(store)["answer"].to_list() == ["yes", *["no"] * 5]


def test_a_block_without_all_its_cases_is_never_sealed(store):
    with store.claim(PART, COLUMNS) as claim:
        claim.add(outcomes("00"), "env")
        with pytest.raises(AssertionError, match="lacks 5 cases"):
            claim.seal()
    assert store.sealed() == set()


def test_a_damaged_block_is_named(store, tmp_path):
    seal(store, PART, outcomes(*CASES))
    (tmp_path / "blocks" / "000000.parquet").write_bytes(b"PAR1 torn")
    for look in (lambda: list(store.read()), store.transient):
        with pytest.raises(RunError, match=r"000000.parquet: damaged; delete the file"):
            look()


def test_damage_that_reads_as_another_type_is_named(store, tmp_path):
    seal(store, PART, outcomes(*CASES, status=TRANSIENT, reason="7"))
    file = tmp_path / "blocks" / "000000.parquet"
    table = pl.read_parquet(file).with_columns(pl.col("reason").cast(pl.Int32))
    table.write_parquet(file)
    with pytest.raises(RunError, match=r"000000.parquet.*damaged"):
        store.collect(store.scan(["reason"]))


def test_a_block_whose_file_was_taken_away_is_asked_anew(store, tmp_path):
    seal(store, PART, outcomes(*CASES, status=TRANSIENT))
    seal(store, Part(0, 1, CASES), outcomes(*CASES))
    (tmp_path / "blocks" / "000000.parquet").unlink()
    assert store.sealed() == set()
    assert store.parts({0: CASES}) == (PART,)


def test_a_full_disk_loses_nothing_that_was_there(store, tmp_path, monkeypatch):
    with store.claim(PART, COLUMNS) as claim:
        claim.add(outcomes("00"), "env")
        written = []

        def full(descriptor, data):
            if written:
                raise OSError(28, "No space left on device")
            written.append(True)
            return original(descriptor, data[:10])

        original = os.write
        monkeypatch.setattr(os, "write", full)
        with pytest.raises(OSError, match="No space"):
            claim.add(outcomes("01"), "env")
        monkeypatch.undo()
    with store.claim(PART, COLUMNS) as claim:
        assert claim.missing == CASES[1:]


def test_a_journal_is_lines_of_rows_that_a_person_can_read(store, tmp_path):
    with store.claim(PART, COLUMNS) as claim:
        claim.add(outcomes("00"), "env")
    line = json.loads((tmp_path / "open" / "000000.jsonl").read_text())
    assert line["rows"][0]["image"] == "00.png"
    assert line["rows"][0]["environment"] == "env"


def test_blocks_never_become_too_many_files():
    assert block_size(10) == 64
    assert block_size(64 * 4096) == 64
    assert block_size(64 * 4096 + 1) == 65
