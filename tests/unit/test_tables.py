"""Tables from elsewhere, in whatever form they come."""

import contextlib

import polars as pl
import pytest

from vlmaudit.data.tables import read_table
from vlmaudit.errors import InputError


def test_numbers_and_nulls_are_read_as_text(tmp_path):
    path = tmp_path / "votes.parquet"
    pl.DataFrame({"identity": [1, 2], "image": [" a ", None]}).write_parquet(path)
    assert read_table(path, ["identity", "image"]).rows() == [("1", "a"), ("2", "")]


def test_a_damaged_parquet_file_ends_in_one_line_or_in_a_table(tmp_path):
    path = tmp_path / "votes.parquet"
    pl.DataFrame({"identity": ["a"] * 50}).write_parquet(path)
    whole = path.read_bytes()
    for end in range(0, len(whole), 7):
        path.write_bytes(whole[:end] + whole[end + 1 :])
        with contextlib.suppress(InputError):
            read_table(path, ["identity"])


def test_cells_that_hold_no_text_are_refused_in_one_line(tmp_path):
    path = tmp_path / "votes.parquet"
    pl.DataFrame({"identity": [[1, 2]]}).write_parquet(path)
    with pytest.raises(InputError, match="identity must be texts") as caught:
        read_table(path, ["identity"])
    assert "\n" not in str(caught.value)
