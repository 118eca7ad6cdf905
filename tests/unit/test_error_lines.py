"""What goes wrong is said in one line, whatever it quotes."""

from vlmaudit.cli.shared import error_line
from vlmaudit.errors import InputError


def test_an_error_is_one_line_that_no_terminal_obeys():
    line = error_line(InputError('people.csv:2: name "A\x1b[31m\nB\u202e": no.'))
    assert line == 'error: people.csv:2: name "A�[31m B�": no.'


def test_a_long_quotation_leaves_where_and_what_to_do():
    line = error_line(InputError(f'people.csv:2: identity "{"a" * 10_000}": write another.'))
    assert len(line) < 2010
    assert line.startswith("error: people.csv:2:")
    assert line.endswith("write another.")
