"""Files of a run know whether they are as they were written."""

import numpy as np
import polars as pl
import pytest

from vlmaudit.errors import RunError
from vlmaudit.results.sealed import (
    read_array,
    read_json,
    read_metadata,
    read_table,
    write_array,
    write_json,
    write_table,
)

MEND = "do this."
TABLE = pl.DataFrame(
    # Somebody may be called like the place of the digest.
    {
        "name": ["Ada", "vlmaudit.digest\x18\x20" + "0" * 32, None],
        "number": [0.1, float("nan"), -0.0],
    }
)


def flips(data):
    """The bytes with one bit of each byte the other way round, in turn."""
    for place in range(len(data)):
        yield data[:place] + bytes([data[place] ^ 1 << place % 8]) + data[place + 1 :]


def test_a_table_comes_back_with_its_metadata(tmp_path):
    path = tmp_path / "000000.parquet"
    write_table(path, TABLE, {"environment": "here"})
    assert read_table(path, mend=MEND).equals(TABLE)
    assert read_metadata(path, mend=MEND)["environment"] == "here"
    assert pl.read_parquet(path).equals(TABLE)
    assert path.stat().st_mode & 0o777 == 0o600


def test_no_flipped_bit_of_a_table_goes_unseen(tmp_path):
    path = tmp_path / "000000.parquet"
    write_table(path, TABLE)
    for damaged in flips(path.read_bytes()):
        path.write_bytes(damaged)
        with pytest.raises(RunError, match=r"000000\.parquet: damaged; do this\."):
            read_table(path, mend=MEND)


def test_tables_cannot_be_mixed_up(tmp_path):
    one, other = tmp_path / "000000.parquet", tmp_path / "000001.parquet"
    write_table(one, TABLE)
    one.rename(other)
    with pytest.raises(RunError, match="damaged"):
        read_table(other, mend=MEND)
    with pytest.raises(FileNotFoundError):
        read_table(one, mend=MEND)


def test_a_table_of_another_program_is_not_one_of_ours(tmp_path):
    path = tmp_path / "people.parquet"
    TABLE.write_parquet(path)
    with pytest.raises(RunError, match="damaged"):
        read_table(path, mend=MEND)


def test_no_flipped_bit_of_an_array_goes_unseen(tmp_path):
    path, array = tmp_path / "texts.npy", np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    assert read_array(path) is None
    write_array(path, array)
    back = read_array(path)
    assert isinstance(back, np.memmap)
    assert np.array_equal(back, array)
    whole = path.read_bytes()
    for damaged in (*flips(whole), whole[:-40], whole[:10], b"", whole + b"0"):
        path.write_bytes(damaged)
        assert read_array(path) is None


def test_no_flipped_bit_of_a_document_changes_what_is_read(tmp_path):
    path, content = tmp_path / "notices.json", ["Zoë", {"a": [1, 0.1, None]}]
    with pytest.raises(FileNotFoundError):
        read_json(path, mend=MEND)
    write_json(path, content)
    assert read_json(path, mend=MEND) == content
    for damaged in (*flips(path.read_bytes()), b"", b"[]", b'{"digest": 7}', b"[" * 100_000):
        path.write_bytes(damaged)
        try:
            assert read_json(path, mend=MEND) == content  # a blank became another blank
        except RunError as problem:
            assert "damaged; do this." in str(problem)
