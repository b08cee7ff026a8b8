"""The floors of the house: imports run downward, and nowhere in a circle."""

import ast
import pathlib

import pytest

import tfadgm

ROOT = pathlib.Path(tfadgm.__file__).parent
# From the ground up. A name is a module or a folder of `tfadgm`; each imports from itself and from those before it.
FLOORS = (
    *(
        "telling",
        "registry",
        "machine",
        "noise",
        "data",
        "networks",
        "distributions",
        "class_weights",
        "bounds",
        "models",
    ),
    *("serving", "evaluation", "training", "reporting", "runs", "estimators", "experiments", "cli"),
)
MODULES = {".".join(path.relative_to(ROOT.parent).with_suffix("").parts): path for path in ROOT.rglob("*.py")}
MODULES = {name.removesuffix(".__init__"): path for name, path in MODULES.items()}


def _imported(name):
    """Returns the names of the package's modules that the module `name` imports, also inside functions."""
    found = set()
    for node in ast.walk(ast.parse(MODULES[name].read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
    return {other for other in found & set(MODULES) if not name.startswith(other)}


def _floor(name):
    return FLOORS.index(name.split(".")[1])


@pytest.mark.parametrize("name", sorted(set(MODULES) - {"tfadgm"}))
def test_imports_run_downward(name):
    upward = [other for other in _imported(name) if other != "tfadgm" and _floor(other) > _floor(name)]
    assert not upward, f"{name} imports {', '.join(upward)}, which stands above it"


def test_no_module_imports_itself_by_way_of_others():
    graph, done = {name: _imported(name) for name in MODULES}, set()

    def visit(name, way):
        assert name not in way, " -> ".join([*way[way.index(name) :], name])
        if name not in done:
            for other in graph[name]:
                visit(other, [*way, name])
            done.add(name)

    for name in graph:
        visit(name, [])
