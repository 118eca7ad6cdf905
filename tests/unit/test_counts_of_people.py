"""What a table of counts says of a study's people, and what it changes in a finding."""

from pathlib import Path

import numpy as np
import pytest

from vlmaudit.audits.counted import CORRELATION, PARTIAL, count_correlations
from vlmaudit.audits.name_counts.labels import with_counts
from vlmaudit.data.identities import People, Person
from vlmaudit.errors import InputError
from vlmaudit.stats.partial import partial_rank_correlation


def people(*persons):
    return People(Path("study"), tuple(persons), {})


def person(name, **known):
    return Person(identity=name.split()[0].lower(), name=name, **known)


STUDY = people(
    person("Zoë Núñez"),
    person("Ada Quill"),
    person("Bo Marsh", membership="non_member", occurrences=9),
    person("Cy Unlisted"),
)


def table(folder, content):
    path = folder / "counts.csv"
    path.write_text(content, "utf-8")
    return path


def test_captions_make_members_and_none_makes_non_members(tmp_path):
    path = table(
        tmp_path, "name,captions,occurrences\nZOE NUNEZ,3,4\nAda Quill,0,0\nBo Marsh,5,5\n"
    )
    found = with_counts(STUDY, path)
    assert [(one.membership, one.occurrences) for one in found.persons] == [
        ("member", 3),
        ("non_member", 0),
        ("non_member", 9),  # what people.csv states stands
        ("", None),  # not in the table: unknown, which is not 0
    ]
    assert "3 people of 4" in found.notices[-1]
    assert "namesake" in found.notices[-1]


def test_found_pictures_give_their_own_labels(tmp_path):
    path = table(
        tmp_path,
        "identity,pictures,membership,rule\n"
        "zoë,2,member,found\nada,0,unknown,not found\nbo,1,member,x\n",
    )
    found = with_counts(STUDY, path)
    assert [one.membership for one in found.persons] == ["member", "", "non_member", ""]
    assert [one.occurrences for one in found.persons] == [None, None, 9, None]
    assert found.notices[-1].endswith(
        'as counts.csv states, with a rule for each, such as "found".'
    )


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("name,captions\nZoë Núñez,many\n", 'captions "many"'),
        ("name,captions\nSomebody Else,3\n", "none of the study's names"),
        ("identity,membership\nzoë,maybe\n", 'membership "maybe"'),
        ("identity,membership\nelse,member\n", "nobody of the study"),
        ("person,number\nZoë Núñez,3\n", "wanted name,captions"),
    ],
)
def test_what_says_nothing_is_refused(tmp_path, content, said):
    with pytest.raises(InputError, match=said):
        with_counts(STUDY, table(tmp_path, content))


def test_a_correlation_that_a_covariate_makes_goes_with_it():
    rng = np.random.default_rng(0)
    fame = rng.normal(size=300)
    counts = np.exp(fame + rng.normal(size=300) / 2)
    rates = fame + rng.normal(size=300) / 2
    found = count_correlations(counts.tolist(), rates.tolist(), {"views": fame.tolist()})
    assert found[CORRELATION].low > 0.6
    partial = found[PARTIAL]
    assert partial.low < 0 < partial.high
    assert partial.n == 300


def test_a_correlation_beyond_covariates_stays():
    rng = np.random.default_rng(1)
    fame, counts = rng.normal(size=(2, 300))
    rates = counts + fame
    found = partial_rank_correlation(counts, rates, {"views": fame.tolist()})
    assert found.low > 0.8


def test_intervals_of_a_partial_correlation_cover_nothing_19_times_in_20():
    rng = np.random.default_rng(2)
    covered = 0
    for _ in range(400):
        fame = rng.normal(size=40)
        x, y = fame + rng.normal(size=(2, 40))
        found = partial_rank_correlation(x, y, {"views": fame.tolist(), "sex": ["f", "m"] * 20})
        covered += found.low <= 0 <= found.high
    assert 364 <= covered <= 393  # 95 %, less what ranks leave of a linear covariate


def test_nothing_is_said_where_there_is_nothing_to_say():
    assert count_correlations([None] * 9, [0.5] * 9, {}) == {}
    found = count_correlations(list(range(9)), [0.1 * i for i in range(9)], {"sex": ["f"] * 9})
    assert set(found) == {CORRELATION}
    assert partial_rank_correlation(np.arange(5.0), np.arange(5.0), {"a": list(range(5))}) is None
