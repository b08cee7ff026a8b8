"""One process at a time in a run directory: a second is refused with the first one's number, and a kill leaves nothing."""

import fcntl
import os
import pathlib
import signal
import subprocess
import sys

import pytest

from tfadgm.runs import lock, recipes, run

ROOT = pathlib.Path(__file__).resolve().parents[2]
HOLD = "import pathlib, sys, time\nfrom tfadgm.runs import lock\n"
HOLD += "with lock.held(pathlib.Path(sys.argv[1])):\n    print('held', flush=True)\n    time.sleep(60)\n"


@pytest.fixture
def other(tmp_path):
    """Another process that is at work in tmp_path / "run"."""
    command = [sys.executable, "-c", HOLD, str(tmp_path / "run")]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_second_process_is_refused_with_the_number_of_the_first_until_that_is_killed(other, tmp_path):
    settings, message = (
        recipes.resolve("m2", "digits"),
        rf"out: .*run: process {other.pid} on .* is at work in it; allowed: ",
    )
    with pytest.raises(OSError, match=message) as error:
        run.train(settings, tmp_path / "run", quiet=True)
    assert "\n" not in str(error.value) and [path.name for path in (tmp_path / "run").iterdir()] == [lock.NAME]
    other.send_signal(signal.SIGKILL)
    other.wait()
    assert (tmp_path / "run" / lock.NAME).exists()
    with lock.held(tmp_path / "run"):
        assert (tmp_path / "run" / lock.NAME).read_text().split()[0] == str(os.getpid())
    assert list((tmp_path / "run").iterdir()) == []


def test_a_directory_in_which_nothing_was_written_is_not_left(tmp_path):
    with pytest.raises(ValueError), lock.held(tmp_path / "runs" / "run"):
        raise ValueError
    assert not list(tmp_path.iterdir())
    with lock.held(tmp_path / "run"):
        (tmp_path / "run" / "config.json").write_text("{}")
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["config.json"]


def test_a_lock_on_a_file_that_its_process_removed_meanwhile_is_none(tmp_path, monkeypatch):
    flock, calls = fcntl.flock, []

    def slow(file, operation):
        calls.append(operation)
        if len(calls) == 1:
            (tmp_path / lock.NAME).unlink()
        flock(file, operation)

    monkeypatch.setattr(fcntl, "flock", slow)
    with lock.held(tmp_path):
        assert len(calls) == 2 and (tmp_path / lock.NAME).exists()


def test_where_nothing_can_be_locked_the_work_goes_on(tmp_path, monkeypatch):
    def lacks(file, operation):
        raise OSError(37, "No locks available")

    monkeypatch.setattr(fcntl, "flock", lacks)
    with lock.held(tmp_path):
        pass
    (tmp_path / "file").write_text("")
    with lock.held(tmp_path / "file"):
        pass
    assert (tmp_path / "file").read_text() == ""
