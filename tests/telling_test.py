"""What is told can be recorded, within scopes that stand in each other."""

from tfadgm import telling


def test_warnings_within_a_scope_are_told_and_recorded(capsys):
    telling.warn("before")
    with telling.recorded() as outer:
        telling.warn("one")
        with telling.recorded() as inner:
            telling.warn("two\x1b")
        telling.tell("no warning")
        telling.warn("three")
    telling.warn("after")
    assert outer == ["one", "two\\x1b", "three"] and inner == ["two\\x1b"]
    assert capsys.readouterr().err.count("warning: ") == 5


def test_a_scope_that_fails_records_no_more():
    try:
        with telling.recorded() as lines:
            raise KeyError
    except KeyError:
        telling.warn("after")
    assert lines == [] and telling._listeners == []
