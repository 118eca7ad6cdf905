"""A folder of people, and every way in which it can be wrong."""

import pytest

from vlmaudit.data.identities import Person, homonyms, read_people, read_people_table
from vlmaudit.errors import InputError


@pytest.fixture
def folder(tmp_path):
    """Two people with two pictures each; nobody opens them here."""
    for name in ("Ada_Lovelace", "Seán_O'Casey"):
        (tmp_path / name).mkdir()
        for number in range(2):
            (tmp_path / name / f"{number}.jpg").write_bytes(bytes([number]))
        (tmp_path / name / "notes.txt").write_text("no picture")
        (tmp_path / name / ".hidden.jpg").write_text("no picture")
    (tmp_path / ".git").mkdir()
    return tmp_path


def table(folder, *lines):
    (folder / "people.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def test_without_a_table_folders_are_people(folder):
    people = read_people(folder)
    assert [person.name for person in people.persons] == ["Ada Lovelace", "Seán O'Casey"]
    assert [path.name for path in people.pictures["Ada_Lovelace"]] == ["0.jpg", "1.jpg"]


def test_a_table_says_more(folder):
    table(
        folder,
        "\ufeffidentity,folder,name,aliases,sex,origin,membership,occurrences,fame",
        'p1,Ada_Lovelace,"Lovelace, Ada",Countess | A. L.,Female,en_GB,member,12,high',
        "p2,Seán_O'Casey,Seán O'Casey,,,,,,",
    )
    people = read_people(folder)
    assert people.persons[0] == Person(
        identity="p1",
        name="Lovelace, Ada",
        folder="Ada_Lovelace",
        aliases=("Countess", "A. L."),
        sex="female",
        origin="en_GB",
        membership="member",
        occurrences=12,
        covariates={"fame": "high"},
    )
    assert people.persons[1].occurrences is None


def test_columns_without_a_name_say_nothing(folder):
    persons = read_people(table(folder, "identity,name,,", "Ada_Lovelace,Ada,,note")).persons
    assert persons[0].covariates == {}


def test_zero_occurrences_are_not_unknown_ones(folder):
    table(folder, "identity,folder,name,occurrences", "p1,Ada_Lovelace,Ada,0")
    assert read_people(folder).persons[0].occurrences == 0


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["identity,name", "x,Ada", "x,Bo"], r"3: identity \"x\" appears twice \(first on line 2"),
        (["identity,nmae", "x,Ada"], r'1: no column "name".*Did you mean nmae'),
        (["identity,name"], "1: no people below"),
        (["identity,name", ",Ada"], "2: identity is empty"),
        (["identity,name", "Ada_Lovelace, "], "2: name is empty"),
        (["identity,name,sex", "Ada_Lovelace,Ada,f"], '2: sex "f"'),
        (["identity,name,membership", "Ada_Lovelace,Ada,membr"], "2: membership.*mean member"),
        (["identity,name,occurrences", "Ada_Lovelace,Ada,-3"], '2: occurrences "-3"'),
        (["identity,name,occurrences", f"Ada_Lovelace,Ada,{'9' * 20}"], '2: occurrences "9'),
        (["identity,name", "Ada_Lovelace,Ada,more"], "2: 2 cells wanted"),
        (["identity,name,name", "Ada_Lovelace,Ada,Bo"], '1: two columns are called "name"'),
        (["identity,name,fame", 'Ada_Lovelace,Ada,"high', "Bo,Bo,low"], "3: no CSV"),
        (["identity,name", f"Ada_Lovelace,{'A' * 200_000}"], "2: no CSV.*larger"),
        (["identity,name,sex", "Ada_Lovelace,Ada"], "2: 3 cells wanted"),
        (["identity,name", "Ada_Lovlace,Ada"], "2: folder.*Did you mean Ada_Lovelace"),
        (["identity,folder,name", "x,../x,Ada"], "2: folder .* without a path"),
        (
            ["identity,folder,name", "x,Ada_Lovelace,Ada", "y,Ada_Lovelace,Bo"],
            r"3: folder .* already is x's",
        ),
    ],
)
def test_errors_name_the_line(folder, lines, message):
    if lines[1:] and lines[1].startswith("x,Ada") and len(lines) == 3 and "folder" not in lines[0]:
        (folder / "x").mkdir()
    with pytest.raises(InputError, match=message) as caught:
        read_people(table(folder, *lines))
    assert "\n" not in str(caught.value)


def test_a_table_in_another_encoding_is_refused_in_one_line(folder):
    (folder / "people.csv").write_bytes("identity,name\nx,L\u00e9on\n".encode("latin-1"))
    with pytest.raises(InputError, match="cannot be read"):
        read_people(folder)


def test_a_separator_of_another_script_ends_no_row(folder):
    persons = read_people(table(folder, "identity,name", "Ada_Lovelace,Ada\u2028L\x85")).persons
    assert [person.name for person in persons] == ["Ada\u2028L"]


def test_a_folder_that_is_nobody_s_name_is_refused_unless_a_table_says_whose(folder):
    (folder / b"Ad\xff".decode(errors="surrogateescape")).mkdir()
    with pytest.raises(InputError, match=r'folder "Ad\\xff" is nobody\'s name'):
        read_people(folder)
    notices = read_people(table(folder, "identity,name", "Ada_Lovelace,Ada")).notices
    assert any(r"such as Ad\xff" in notice for notice in notices)


def test_folders_without_people_or_pictures(tmp_path):
    with pytest.raises(InputError, match="no such folder"):
        read_people(tmp_path / "nowhere")
    with pytest.raises(InputError, match="nobody in it"):
        read_people(tmp_path)
    (tmp_path / "Ada").mkdir()
    with pytest.raises(InputError, match="1 people but no picture"):
        read_people(tmp_path)


def test_a_folder_that_cannot_be_read_says_why(tmp_path):
    with pytest.raises(InputError, match=r"cannot be read .*File name too long"):
        read_people(tmp_path / ("a" * 300))


def test_notices_tell_what_a_reader_should_know(folder):
    (folder / "Empty_One").mkdir()
    (folder / "Lonely_One").mkdir()
    (folder / "Lonely_One" / "1.png").write_bytes(b"1")
    table(
        folder,
        "identity,folder,name",
        "p1,Ada_Lovelace,Ada LOVELACE",
        "p2,Empty_One,Ada Lovelace",
        "p3,Lonely_One,Bo",
    )
    said = " ".join(read_people(folder).notices)
    assert "p1 and p2 bear the same name" in said
    assert "1 people have no picture, such as p2" in said
    assert "1 people have one picture only, such as p3" in said
    assert "1 folders are not in people.csv" in said


def test_a_table_alone(folder):
    persons = read_people_table(table(folder, "identity,name", "a,Ann", "b,ANN") / "people.csv")
    assert homonyms(persons) == {"ann": ["a", "b"]}
