"""What is told can be recorded, within scopes that stand in each other."""

import io
import re
import threading
import time

import pytest

from tfadgm import telling


class Terminal(io.StringIO):
    def isatty(self):
        return True


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


def of_ten(stream, told=""):
    """What is told of a task of ten parts, in a scope that tells all."""
    with telling.showing("on"), telling.task("counting", "sheep", stream) as task:
        for done in range(41):
            task(done, 40, told)
    return stream.getvalue()


def test_a_file_gets_a_line_for_each_tenth_with_what_is_left():
    lines = of_ten(io.StringIO(), "calm").splitlines()
    assert [int(re.search(r"(\d+)%", line)[1]) for line in lines[-11:]] == list(range(0, 101, 10))
    assert lines[-2].startswith("counting  90% of 40 sheep  calm  0:00 left") and "left" not in lines[-1]


def test_a_terminal_gets_one_line_that_is_drawn_again_and_taken_away(monkeypatch):
    monkeypatch.setattr(telling, "REDRAWN", 0.0)
    text = of_ten(Terminal())
    assert "\n" not in text and text.endswith("\r\x1b[K") and telling._drawn == []
    assert re.search(r"counting  50% of 40 sheep \[={12}\.{12}\]  0:00 left", text)


def test_nothing_is_told_of_what_is_quick_nor_where_nobody_asked():
    for mode in ("auto", "off"):
        with telling.showing(mode), telling.task("counting", stream=(stream := io.StringIO())) as task:
            task(1, 2)
        assert not stream.getvalue()
    with telling.task("counting", stream=(stream := Terminal())) as task:
        task(1, 2)
    assert not stream.getvalue()


@pytest.mark.parametrize("stream", [io.StringIO, Terminal])
def test_what_takes_long_is_silent_where_nobody_asked(monkeypatch, stream):
    monkeypatch.setattr(telling, "LATER", 0.0)
    with telling.task("counting", stream=(outside := stream())) as task:
        task(1, 2)
    with telling.showing("off"), telling.task("counting", stream=(off := stream())) as task:
        task(1, 2)
    assert not outside.getvalue() and not off.getvalue()


def test_what_does_not_answer_is_told_by_the_clock(monkeypatch):
    monkeypatch.setattr(telling, "LATER", 0.05)
    streams = io.StringIO(), Terminal()
    for stream in streams:
        with telling.showing("auto"), telling.task("starting\x1b", stream=stream):
            time.sleep(0.3)
    assert streams[0].getvalue() == "starting\\x1b ...\nstarting\\x1b: 0:00\n"
    assert streams[1].getvalue().startswith("\r\x1b[Kstarting\\x1b ... 0:00")


def test_a_scope_within_another_one_heeds_it_and_a_task_within_another_has_the_line():
    with telling.showing("off"), telling.showing("auto"), telling.task("a", stream=(stream := io.StringIO())) as task:
        task(1, 1)
    assert not stream.getvalue()
    with telling.showing("on"), telling.task("outer", stream=(outer := io.StringIO())) as task:
        with telling.task("inner", stream=(inner := io.StringIO())):
            before = outer.getvalue()
            task(1, 2)
            telling.advance("inner", 1, 2)
            assert outer.getvalue() == before
        telling.advance("a file", 2, 2)
    telling.advance("nothing", 1, 2)
    assert "inner  50%\n" in inner.getvalue() and "outer 100%  a file" in outer.getvalue()


def test_a_second_pass_is_measured_anew():
    with telling.showing("on"), telling.task("reading", stream=(stream := io.StringIO())) as task:
        for done in (0, 50, 100, 10, 60, 100):
            task(done, 100)
    assert re.findall(r"(\d+)%", stream.getvalue())[-6:] == ["0", "50", "100", "10", "60", "100"]


def test_a_warning_stands_on_a_line_of_its_own(capsys, monkeypatch):
    with telling.showing("on"), telling.task("counting", stream=(stream := Terminal())) as task:
        task(1, 2)
        telling.warn("wolves")
        assert stream.getvalue().endswith("\r\x1b[K")
    assert capsys.readouterr().err == "warning: wolves\n"


@pytest.mark.parametrize("fails", [False, True])
def test_a_task_that_ends_leaves_no_thread(fails):
    before = threading.active_count()
    try:
        with telling.showing("auto"), telling.task("counting", stream=io.StringIO()):
            if fails:
                raise KeyError
    except KeyError:
        pass
    deadline = time.monotonic() + 5
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert threading.active_count() <= before  # one of another test may have ended


def test_what_a_reader_counts_has_not_the_unit_of_its_task():
    stream = io.StringIO()
    with telling.showing("on"), telling.task("classification", "examples", stream) as task:
        telling.advance("rows.csv", 50, 100)
        task(7, 10)
    told = stream.getvalue()
    assert "classification  50%  rows.csv" in told and "classification  70% of 10 examples" in told
