"""The fast search of many captions finds what the rule finds in each alone, and nothing else."""

import re

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlmaudit.data.caption_folding import CaptionFolder, texts_of
from vlmaudit.data.caption_search import NameSearch, PaperSearch
from vlmaudit.data.folding import fold_text
from vlmaudit.data.name_matching import Known

NAMES = [
    *("Ann Lee", "Mary Ann Lee", "Zoë Núñez", "Conan O’Brien", "J. K. Harrow", "Sia", "王小明"),
    *("김민준", "عمر حسن", "Jean-Luc Picard", "Łukasz Øre", "Johannes B. Kerner", "ﬁona ẞtrauß"),
]
PEOPLE = [Known(name) for name in NAMES]
# What stands next to a name: word signs, other scripts, blanks, and what folding changes.
AROUND = [
    *("", " ", "  ", "-", "'", "’", ".", ",", "(", ")", "_", "\t", "\n", "a", "Z", "9", "é", "ß"),
    *("😀", "の", "山", "ו", "é", "‍", "½", "…", "İ", "ŉ", "x'", "K-", "님", "\u00a0", "ﬃ"),
]
NAME = st.sampled_from(NAMES).flatmap(
    lambda name: st.sampled_from(
        [name, name.upper(), name.lower(), name.replace(" ", "  "), name.replace(" ", "_")]
    )
)
CAPTION = st.lists(st.one_of(st.sampled_from(AROUND), NAME, st.text(max_size=3)), max_size=12).map(
    "".join
)
CAPTIONS = st.lists(CAPTION, min_size=1, max_size=20)


def surrogateless(texts):
    return [re.sub("[\ud800-\udfff]", "?", text) for text in texts]


def rows(search, captions):
    found = search.find(pa.array(captions, pa.string()))
    return list(
        zip(*(part.tolist() for part in (found.captions, found.names, found.times)), strict=True)
    )


def one_by_one(search, captions):
    return [
        (place, name, times)
        for place, caption in enumerate(captions)
        for name, times in sorted(search.mentions(caption).items())
    ]


@given(CAPTIONS)
def test_captions_are_folded_together_as_each_alone(captions):
    captions = surrogateless(captions)
    data, starts = texts_of(pc.ascii_lower(pa.array(captions, pa.string())))
    folded, begins, unfolded = CaptionFolder().fold(data, starts)
    for place, caption in enumerate(captions):
        if not unfolded[place]:
            alone = folded[begins[place] : begins[place + 1]].tobytes()
            assert alone == fold_text(caption).text.encode()
    assert unfolded.mean() < 1 or any("½" in one or not one.isascii() for one in captions)


@given(CAPTIONS)
def test_the_fast_search_finds_what_the_rule_finds(captions):
    captions = surrogateless(captions)
    search = NameSearch(PEOPLE)
    assert rows(search, captions) == one_by_one(search, captions)


@given(CAPTIONS)
def test_the_papers_rule_is_that_of_pandas(captions):
    pandas = pytest.importorskip("pandas")
    captions = surrogateless(captions)
    found = rows(PaperSearch(PEOPLE), captions)
    series = pandas.Series(captions, dtype=object)
    for name, text in enumerate(NAMES):
        holds = series.str.contains(text)
        assert [place for place, one, _ in found if one == name] == np.flatnonzero(holds).tolist()
        times = {place: times for place, one, times in found if one == name}
        assert times == {place: n for place, n in series.str.count(text).items() if n}


@given(CAPTIONS, st.integers(1, 5))
def test_batches_do_not_matter(captions, size):
    captions = surrogateless(captions)
    search = NameSearch(PEOPLE)
    together = rows(search, captions)
    apart = [
        (start + place, name, times)
        for start in range(0, len(captions), size)
        for place, name, times in rows(search, captions[start : start + size])
    ]
    assert apart == together


@given(st.lists(st.tuples(st.sampled_from(range(len(NAMES))), st.integers(0, 3)), max_size=10))
def test_planted_names_come_back_exactly(planted):
    captions = [
        " | ".join([NAMES[name], *("a photo of", NAMES[name]) * times]) for name, times in planted
    ]
    found = rows(NameSearch(PEOPLE), captions)
    assert found == [(place, name, times + 1) for place, (name, times) in enumerate(planted)]
