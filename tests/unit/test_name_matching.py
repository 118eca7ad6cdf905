"""Names are found where they stand as names, whole or in part, in any script, and nowhere else."""

import sys

import pytest

from vlmaudit.data.folding import fold_text
from vlmaudit.data.name_forms import full_forms, shortened_forms, surname
from vlmaudit.data.name_matching import Known, NameMatcher


def found(text, *people, others=()):
    """Text, grade and people of each mention."""
    known = [one if isinstance(one, Known) else Known(one) for one in people]
    mentions = NameMatcher(known, others).find(text).mentions
    return [(text[one.start : one.end], one.grade, one.name_ids) for one in mentions]


@pytest.mark.parametrize(
    ("name", "text", "span"),
    [
        ("Brad Pitt", "This is BRAD PITT.", "BRAD PITT"),
        ("Brad Pitt", "Brad Pitt's hat", "Brad Pitt"),
        ("Brad Pitt", "**Brad\n Pitt**", "Brad\n Pitt"),
        (
            "Renée Zoll",
            "It is Rene\N{COMBINING ACUTE ACCENT}e Zoll!",
            "Rene\N{COMBINING ACUTE ACCENT}e Zoll",
        ),
        ("Jürgen Weiß", "Das ist JÜRGEN WEISS.", "JÜRGEN WEISS"),
        ("Jurgen Weiss", "ß Jürgen Weiß, ja", "Jürgen Weiß"),
        ("Eva Fiala", "\ufb01 Eva \ufb01ala", "Eva \ufb01ala"),  # a ligature is two letters
        ("Ida Li", "\u200fIda\u200e \u202aLi\u202c", "Ida\u200e \u202aLi"),
        ("Zoé", "zoe\N{COMBINING ACUTE ACCENT}", "zoe\N{COMBINING ACUTE ACCENT}"),
        ("J. K. Harrow", "by J.K. Harrow.", "J.K. Harrow"),
        ("J.K. Harrow", "by JK Harrow", "JK Harrow"),
        ("Conan O'Hara", "Conan O’Hara", "Conan O’Hara"),
        ("Conan O'Hara", "Conan OHara", "Conan OHara"),
        ("Jean-Luc Pic", "Jean Luc Pic", "Jean Luc Pic"),
        ("Emma Blanc", "une photo d'Emma Blanc", "Emma Blanc"),
        ("Emma Blanc", "Bu Emma Blanc'tır", "Emma Blanc"),
        ("Ray Pelham Jr.", "Ray Pelham, Jr. waves", "Ray Pelham, Jr"),
        ("王小明", "他是王小明，", "王小明"),
        ("田中 花子", "写真の田中花子さん", "田中花子"),
        ("김하늘", "김하늘은 웃는다", "김하늘"),
        ("ليلى حداد", "صورة لليلى حداد", "ليلى حداد"),
        ("דנה לוי", "זאת דנה לוי.", "דנה לוי"),
        ("สมชาย ใจดี", "คือสมชาย ใจดีครับ", "สมชาย ใจดี"),
    ],
)
def test_a_whole_name_is_found_and_its_span_is_of_the_original_text(name, text, span):
    assert found(text, name) == [(span, "full", (0,))]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("Ann Lee", "Ann Leeson"),
        ("Ann Lee", "Joann Lee"),
        ("Ann Lee", "Ann Lee-Jones"),
        ("Luc Pic", "Jean-Luc Pic"),
        ("Brien Zan", "O'Brien Zan"),
        ("Ann Lee", "ann lee2"),
        ("Ian Day", "Brazilian day"),
        ("김민주", "김민준"),
        ("Ray Pelham", "Ray Pelham Jr."),
        ("Ida Li", "ida\u200bli"),
    ],
)
def test_a_name_within_another_word_or_name_is_not_that_name(name, text):
    assert (name, "full") not in {(name, grade) for _, grade, ids in found(text, name) if 0 in ids}


def test_the_longest_name_wins():
    assert found("Ann Lee Moss, Ann Lee", "Ann Lee", "Ann Lee Moss") == [
        ("Ann Lee Moss", "full", (1,)),
        ("Ann Lee", "full", (0,)),
    ]
    assert found("Ann Lee Moss", "Ann Lee", others=["Lee Moss"]) == [("Lee Moss", "other", (1,))]


def test_people_who_share_a_name_or_an_alias_are_all_meant():
    assert found("Ida Gómez", "Ida Gomez", "IDA GÓMEZ") == [("Ida Gómez", "full", (0, 1))]
    people = (Known("Wilma Croft", ("Billie",)), Known("Ida Roth", ("Billie",)))
    assert found("It is Billie.", *people) == [("Billie", "alias", (0, 1))]


def test_a_name_of_the_study_goes_before_the_same_name_of_the_pool():
    assert found("Ida Roth", "Ida Roth", others=["Ida Roth", "Eva Moss"])[0][2] == (0,)
    assert found("Eva Moss", "Ida Roth", others=["Ida Roth", "Eva Moss"]) == [
        ("Eva Moss", "other", (2,))
    ]


@pytest.mark.parametrize(
    ("text", "is_found"),
    [
        ("Mr. Pitt smiles", True),
        ("Pitt smiles", True),
        ("the actor Pitt", True),
        ("This is PITT", True),
        ("a pitt", False),
        ("Jane Pitt", False),
        ("Zorblax Pitt", False),
        ("Pitt Street", False),
        ("a house in Pitt", False),
    ],
)
def test_a_surname_alone_counts_with_a_capital_and_as_no_part_of_another_name(text, is_found):
    grades = {grade for _, grade, ids in found(text, "Brad Pitt") if ids}
    assert grades == ({"surname"} if is_found else set())


def test_a_surname_that_is_a_word_does_not_begin_a_sentence():
    assert found("Black and white photo", "Peter Black") == []
    assert found("A Young Man", "Susan Young") == []
    assert found("This is Mr. Black.", "Peter Black") == [("Black", "surname", (0,))]


def test_a_shared_surname_is_ambiguous():
    mention = NameMatcher([Known("Ida Roth"), Known("Eva Roth")]).find("Mrs. Roth").mentions[0]
    assert (mention.name_ids, mention.grade, mention.is_ambiguous) == ((0, 1), "surname", True)


@pytest.mark.parametrize("text", ["B. Pitt", "B.Pitt", "Brad William Pitt", "Brad W. Pitt"])
def test_initials_and_middle_names_are_a_grade_of_their_own(text):
    assert found(f"It is {text}.", "Brad Pitt") == [(text, "initials", (0,))]
    assert found("a b. pitt", "Brad Pitt") == []


@pytest.mark.parametrize(
    ("text", "is_found"),
    [
        ("Rose", True),
        ("It is Rose.", True),
        ("Singer Rose", True),
        ("Rose is here", True),
        ("a red rose", False),
        ("Rose petals on a table", False),
        ("Rose Miller", False),
    ],
)
def test_a_name_that_is_a_word_needs_a_capital_and_a_place_of_its_own(text, is_found):
    mentions = [one for one in NameMatcher([Known("Rose")]).find(text).mentions if one.name_ids]
    assert [one.is_ambiguous for one in mentions] == [True] * is_found


def test_a_name_of_one_word_that_is_no_word_is_found_in_small_letters():
    assert found("a photo of beyonce", "Beyoncé") == [("beyonce", "full", (0,))]
    assert found("beyonceland", "Beyoncé") == []


def test_the_forms_of_names():
    assert "j. k. harrow" in full_forms("J.K. Harrow")
    assert surname("Vera de la Cruz") == "de la cruz"
    assert surname("王小明") == surname("Zendaya") == surname("") == ""
    assert "walter grubb" in shortened_forms("Walter P. Grubb")
    assert full_forms("") == full_forms(" . ") == frozenset()


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("Mary Whitcomb met François Delacroix.", ["Mary Whitcomb", "François Delacroix"]),
        ("A photo of Anna van der Berg's dog", ["Anna van der Berg"]),
        ("President Obama and Queen Victoria", ["Obama", "Victoria"]),
        ("Emma Stone", ["Emma Stone"]),
        ("The Woman In The Red Dress", []),
        ("St. Martin Church in Victoria Park", []),
        ("Summer Days in San Jose Viejo", []),
        ("Mary Whitcomb Fellner Dunmore Thornton", ["Mary Whitcomb Fellner"]),
        ("A Calvin Klein coat, the Mona Lisa, Prince George Hotel", []),
        ("I met Emma. Watching her", []),
    ],
)
def test_names_that_no_list_has_are_recognised_with_care(text, names):
    assert [text for text, grade, _ in found(text, "Ida Roth") if grade == "other"] == names


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\0Ida Roth\0",
        "\ud800Ida Roth\udfff",
        "<script>Ida Roth</script>",
        "\u202eIda Roth\u202c",
        "´Ida Roth¨",
        "\x1b[1m Ida Roth\x1b[0m",
    ],
)
def test_no_text_is_too_strange(text):
    spans = [name for name, grade, _ in found(text, "Ida Roth", "\ud800") if grade == "full"]
    assert spans == (["Ida Roth"] if text else [])


HOSTILE = {
    "nothing": "a" * 100_000,
    "one name": "Ida Roth " * 12_000,
    "overlapping": "ann " * 25_000,
    "capitals": "Emma " * 20_000,
    "capital letters": "A" * 100_000,
    "apostrophes": "A'" * 50_000,
    "particles": "Emma " + "de la " * 16_000,
    "blanks": "Emma" + " " * 100_000 + "x",
    "marks": "e\u0301" * 50_000,
    "titles": "Mr. " * 25_000,
    "surnames": "Roth " * 20_000,
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_an_answer_of_100_kb_takes_steps_in_proportion_to_its_length(kind):
    """Counted in calls; a pattern that backtracks without end would run into the time limit."""
    matcher = NameMatcher([Known("Ida Roth"), Known("Ann Ann"), Known("Emma")])
    matcher.find("Emma Stone")  # lists are read once
    calls = [count_calls(matcher, HOSTILE[kind][:signs]) for signs in (10_000, 100_000)]
    assert calls[1] < 15 * calls[0] + 1000


def count_calls(matcher, text):
    calls = 0

    def count(*_):
        nonlocal calls
        calls += 1

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        matcher.find(text)
    finally:
        sys.setprofile(before)
    return calls


def test_folding_keeps_the_way_back():
    folded = fold_text("x  ß´\u0301İ\tZ")
    assert folded.text == "x ss'i z"
    assert [folded.span(place, place + 1) for place in (0, 1, 2, 3)] == [
        (0, 1),
        (1, 2),
        (3, 4),
        (3, 4),
    ]
