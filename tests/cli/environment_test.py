"""bin/ finds the environment by itself, from a shell where nothing is activated."""

import os
import pathlib
import shutil
import subprocess
import sys

import pytest

from tfadgm.cli import environment

ROOT = pathlib.Path(__file__).resolve().parents[2]
BARE = {"PATH": "/usr/bin:/bin", "HOME": os.environ.get("HOME", "/")}


def bare_python():
    """Returns a Python that lacks the package's requirements; a test that wants one is skipped where there is none."""
    found = shutil.which("python3", path=BARE["PATH"])
    lacking = found and subprocess.run([found, "-c", "import absl"], capture_output=True, env=BARE).returncode
    return found if lacking else pytest.skip("every python3 here has the package's requirements")


def test_a_command_of_a_bare_shell_runs_in_the_environment_and_keeps_arguments_and_exit_code(tmp_path):
    bare_python()
    command = [ROOT / "bin" / "train", "--model=no such model"]
    done = subprocess.run(command, capture_output=True, text=True, env={**BARE, "VENV": sys.prefix}, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("error: model: got 'no such model'; allowed: vae, ") and done.stderr.count("\n") == 1


@pytest.mark.parametrize("environment_is", ["absent", "empty"])
def test_without_an_environment_one_line_says_what_to_do(environment_is, tmp_path):
    found = bare_python()
    if environment_is == "empty":
        subprocess.run([found, "-m", "venv", "--without-pip", tmp_path / "venv"], check=True)
    env = {**BARE, "VENV": str(tmp_path / "venv")}
    done = subprocess.run([ROOT / "bin" / "train"], capture_output=True, text=True, env=env)
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert "has no tensorflow, and" in done.stderr and "allowed: make install, or VENV=DIR before the command" in done.stderr


def test_where_the_requirements_are_there_nothing_is_run_again(monkeypatch):
    monkeypatch.setattr(os, "execv", lambda *arguments: pytest.fail("run again"))
    environment.enter(ROOT, needed="json")
