"""What an answer says of people depends on nothing but who is named in it."""

import itertools
import unicodedata

from hypothesis import example, given
from hypothesis import strategies as st

from vlmaudit.audits.name_leakage.outcomes import NOBODY, judge
from vlmaudit.data.folding import fold_text, without_surrogates
from vlmaudit.data.name_matching import Known, NameMatcher
from vlmaudit.data.names import fold_name

NAMES = ["Ida Roth", "Conan O'Hara", "Élodie Garçon", "J. K. Harrow", "Jürgen Weiß", "Bo Ek-Lund"]
MATCHER = NameMatcher([*map(Known, NAMES), Known("Zoé", ("Zed Star",))], ["Karl Drexler"])
NOT_NAMING = (
    "the picture shows standing near window with blue curtain, bright; smiling softly while"
)

people = st.integers(0, len(NAMES) - 1)
pieces = st.sampled_from(
    [
        *NAMES,
        "Zoé",
        "Karl Drexler",
        "Mary Whitcomb",
        "Mrs. Roth",
        "not",
        "might be",
        "or",
        "and",
        "son of",
        ",",
        ".",
        "I cannot identify",
        "this is",
        "'s wife",
        "?",
    ]
)
answers = st.lists(pieces, max_size=9).map(" ".join)
fillers = st.lists(st.sampled_from(NOT_NAMING.split()), max_size=8).map(" ".join)


def stripped(text):
    """Without accents."""
    signs = unicodedata.normalize("NFD", text)
    return "".join(sign for sign in signs if unicodedata.category(sign) != "Mn")


spellings = st.sampled_from(
    [
        str.upper,
        str.lower,
        str.title,
        str.swapcase,
        stripped,
        lambda text: unicodedata.normalize("NFD", text),
        lambda text: text.replace(" ", "\n "),
    ]
)


@given(answers)
def test_a_constant_answer_affirms_the_same_people_whoever_is_shown(answer):
    shown = range(NOBODY, len(MATCHER.people))
    for protocol in ("audit", "paper"):
        judged = judge([answer] * len(shown), shown, MATCHER, protocol=protocol)
        assert len(set(judged.affirmed)) == len(set(judged.mentioned)) == 1
        leaking = [
            person
            for person, outcome in zip(shown, judged.outcome, strict=True)
            if outcome in {"named", "hedged"}
        ]
        assert leaking == list(judged.affirmed[0])


@given(people, fillers, fillers, spellings)
def test_case_and_accents_change_nothing_for_whole_names(person, before, after, spell):
    answer = spell(f"{before} {NAMES[person]} {after}")
    whole = [one for one in MATCHER.find(answer).mentions if one.grade == "full"]
    assert [one.name_ids for one in whole] == [(person,)]
    assert fold_name(answer[whole[0].start : whole[0].end]) == fold_name(NAMES[person])


@given(answers, fillers, fillers)
def test_text_without_names_changes_nothing(answer, before, after):
    alone, amid = MATCHER.find(answer), MATCHER.find(f"{before}. {answer}. {after}")
    shift = len(before) + 2
    assert [(one.name_ids, one.start + shift, one.end + shift) for one in alone.mentions] == [
        (one.name_ids, one.start, one.end) for one in amid.mentions
    ]
    said = judge([answer, f"{before}. {answer}. {after}"], [0, 0], MATCHER)
    assert said.affirmed[0] == said.affirmed[1]


@example(["Ida Roth", "\ud800"], "İIDA ROTH")
@given(st.lists(st.text(min_size=1, max_size=3), max_size=6), st.text(max_size=12))
def test_the_papers_reading_is_a_plain_search(names, answer):
    matcher = NameMatcher(list(map(Known, names)))
    affirmed = judge([answer], [NOBODY], matcher, protocol="paper").affirmed[0]
    plain = [name.lower() in answer.lower() for name in names]
    if without_surrogates(answer) == answer:
        assert affirmed == tuple(place for place, is_in in enumerate(plain) if is_in)


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])))
def test_text_folds_as_names_do(text):
    folded = fold_text(text)
    assert folded.text.strip() == fold_name(text)
    spans = [folded.span(place, place + 1) for place in range(len(folded.text))]
    assert all(0 <= start < end <= len(text) for start, end in spans)
    assert spans == sorted(spans)


@given(st.text(), st.lists(st.text(), max_size=4))
def test_any_text_and_any_names_are_taken(text, names):
    matcher = NameMatcher([Known(name, tuple(names)) for name in names], names)
    mentions = matcher.find(text).mentions
    assert all(0 <= one.start < one.end <= len(text) for one in mentions)
    assert all(left.end <= right.start for left, right in itertools.pairwise(mentions))
