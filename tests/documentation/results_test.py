"""README's table of results is what its program makes from the records."""

import pathlib

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]


@pytest.fixture
def headlines(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import headlines

    return headlines


def test_it_is_as_the_records_have_it(headlines):
    readme = (ROOT / "README.md").read_text()
    assert headlines.text(readme) == readme, "python benchmarks/common.py writes it again"


def test_another_number_in_it_would_be_found(headlines):
    readme = (ROOT / "README.md").read_text()
    assert headlines.text(readme.replace("% error", "% of errors")) == readme


def test_every_row_names_its_command(headlines):
    rows = headlines.block()[2:]
    assert len(rows) > 2
    for row in rows:
        *_, command, _ = row.split("|")
        program = command.strip().strip("`").split()[0]
        assert (ROOT / program).exists()
