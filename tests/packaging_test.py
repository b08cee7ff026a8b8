"""What is installed is whole: a wheel, unpacked where there is no checkout, trains."""

import pathlib
import subprocess
import sys
import zipfile

import pytest
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, built of a copy of the sources, so that the checkout stays as it is."""
    tmp = tmp_path_factory.mktemp("wheel")
    names = ["setup.py", "pyproject.toml", "README.md", "LICENSE", "MANIFEST.in", "tfadgm"]
    subprocess.run(["cp", "-r", *(str(ROOT / name) for name in names), str(tmp)], check=True)
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        str(tmp / "out"),
        ".",
    ]
    subprocess.run(command, check=True, cwd=tmp)
    (found,) = (tmp / "out").glob("tfadgm-*.whl")
    return found


def test_a_wheel_has_every_module_and_file_of_the_package(wheel):
    named = set(zipfile.ZipFile(wheel).namelist())
    own = {path.relative_to(ROOT).as_posix() for path in (ROOT / "tfadgm").rglob("*") if path.is_file()}
    own = {name for name in own if "__pycache__" not in name}
    assert own <= named and {name.split("/")[0] for name in named} == {"tfadgm", next(iter(named - own)).split("/")[0]}


def test_its_commands_work_without_the_checkout(wheel, tmp_path):
    archive = zipfile.ZipFile(wheel)
    archive.extractall(tmp_path / "installed")
    (entry,) = (name for name in archive.namelist() if name.endswith("entry_points.txt"))
    commands = dict(line.split(" = ") for line in archive.read(entry).decode().splitlines()[1:] if line)
    assert len(commands) >= 9 and commands["tfadgm-train"] == "tfadgm.cli.train:entry"
    code = f"import sys; sys.path.insert(0, {str(tmp_path / 'installed')!r}); import tfadgm; print(tfadgm.__file__); "
    code += "sys.argv[1:] = '--model=m2 --dataset=half_moons --epochs=1 --hidden=8 --select=false --out=run'.split(); "
    code += "from tfadgm.cli import train; train.entry()"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(str(tmp_path / "installed")) and (tmp_path / "run" / "report.html").exists()


def test_the_citation_is_of_this_version(wheel):
    found = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert wheel.name.startswith(f"tfadgm-{found['version']}-") and found["license"] == "Apache-2.0"
    assert f"## {found['version']}" in (ROOT / "CHANGELOG.md").read_text()
