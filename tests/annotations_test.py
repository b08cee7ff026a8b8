"""The public signatures of the packages that mypy checks are annotated: every argument, and what is returned."""

import ast
import pathlib
import tomllib

import pytest

ROOT = pathlib.Path(__file__).parents[1]
CHECKED = [ROOT / name for name in tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["mypy"]["files"]]
FILES = [file for place in CHECKED for file in (sorted(place.rglob("*.py")) if place.is_dir() else [place])]


def _public(body, within=""):
    """Yields (name, function) for the functions and the methods, those of Python's own names too, that are not private."""
    for node in body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from _public(node.body, f"{within}{node.name}.")
        elif isinstance(node, ast.FunctionDef) and (not node.name.startswith("_") or node.name.endswith("__")):
            yield f"{within}{node.name}", node


def _bare(function):
    """Returns what has no annotation: names of arguments, and "return"."""
    given = function.args
    every = [*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg]
    bare = [each.arg for each in every if each is not None and each.annotation is None and each.arg not in ("self", "cls")]
    return bare + ["return"] * (function.returns is None)


def test_the_packages_of_the_house_are_checked():
    places = {place.relative_to(ROOT / "tfadgm").as_posix() for place in CHECKED}
    assert places >= {"bounds.py", "data/dataset.py", "distributions", "evaluation", "runs", "serving"}
    assert all(place.exists() for place in CHECKED) and (ROOT / "tfadgm" / "py.typed").exists()


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.relative_to(ROOT).as_posix())
def test_public_signatures_are_annotated(file):
    found = {name: _bare(node) for name, node in _public(ast.parse(file.read_text()).body)}
    bare = [f"{name}: {', '.join(missing)}" for name, missing in found.items() if missing]
    assert not bare, f"{file.name}: without annotation: {'; '.join(bare)}"
