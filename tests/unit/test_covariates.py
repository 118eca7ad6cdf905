"""Covariates become columns: names, texts, numbers and what is missing."""

import numpy as np
import pytest

from vlmaudit.stats.covariates import design, name_covariates


def test_what_a_name_shows():
    columns = name_covariates(["Adrianne León", "Li Na", "José-María O’Brien", "李娜"])
    assert columns["name length"].tolist() == [13, 5, 18, 2]
    assert columns["name words"].tolist() == [2, 2, 2, 1]
    assert columns["name accents"].tolist() == [1, 0, 2, 0]
    assert columns["name first letter"][:2].tolist() == [0, 11]
    assert columns["name ends in a vowel"][:3].tolist() == [0, 1, 0]
    assert columns["name vowels"][:2].tolist() == [0.5, 0.5]
    assert np.isnan(columns["name vowels"][3])


def test_no_names_no_rows():
    assert all(column.shape == (0,) for column in name_covariates([]).values())


def column_of(made, name):
    return made.values[:, made.columns.index(name)]


def test_every_column_is_standardised():
    made = design({"a": [1, 5, 2, 9], "b": ["x", "", "y", "x"]})
    assert made.values.mean(axis=0) == pytest.approx(0)
    assert made.values.std(axis=0) == pytest.approx(1)


def test_texts_that_are_numbers_are_numbers():
    made = design({"born": ["1970", "1999", "", "1980"]})
    assert made.columns == ("born", "born: missing")
    assert np.argsort(column_of(made, "born")).tolist()[::3] == [0, 1]


def test_kinds_become_indicators_and_rare_ones_are_pooled():
    made = design({"job": ["actor"] * 6 + ["singer"] * 5 + ["judge", "baker", None]})
    assert made.columns == ("job = actor", "job = singer", "job: rare", "job: missing")
    assert (column_of(made, "job: rare") > 0).tolist() == [False] * 11 + [True, True, False]
    assert made.sources == ("job",)


def test_missing_numbers_stand_in_the_middle():
    made = design({"occurrences": [1, 100, None, np.nan, 10]})
    assert column_of(made, "occurrences")[2:4] == pytest.approx(0)
    assert (column_of(made, "occurrences: missing") > 0).tolist() == [False] * 2 + [True] * 2 + [
        False
    ]


def test_constant_and_excluded_columns_are_left_out():
    made = design({"a": [1, 2, 3], "b": [4, 4, 4], "c": [1, 2, 1]}, exclude=["c", "not there"])
    assert made.columns == made.sources == ("a",)
    assert design({"b": [4, 4], "c": ["", None]}).values.shape == (2, 0)
    assert design({}).values.shape == (0, 0)


def test_columns_of_different_lengths_are_refused():
    with pytest.raises(ValueError, match="different lengths"):
        design({"a": [1, 2], "b": [1]})


def test_numbers_count_by_rank_only():
    counts = np.random.default_rng(0).pareto(1, size=50)
    plain, logarithms = design({"count": counts}), design({"count": np.log(counts)})
    assert np.array_equal(plain.values, logarithms.values)
