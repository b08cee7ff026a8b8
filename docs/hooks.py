"""What mkdocs does to a page before it is built: the code of the package in place of its name.

A line `<!-- code: tfadgm.models.m2:M2.factors -->` becomes the source of that class or function, as it is today; that of a
function without its docstring, which the reference has. A name that is not there ends the build.
"""

import ast
import pathlib
import re
import textwrap

ROOT = pathlib.Path(__file__).resolve().parents[1]
NAME = re.compile(r"^<!-- code: ([\w.]+):([\w.]+) -->$", re.MULTILINE)


def source(module, name):
    """Returns the source of `name`, a class, function or method of a module, without what it is indented by."""
    text = (ROOT / f"{module.replace('.', '/')}.py").read_text()
    node = ast.parse(text)
    for part in name.split("."):
        node = next(each for each in node.body if getattr(each, "name", None) == part)
    first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
    lines = dict(enumerate(text.splitlines(), 1))
    shown = set(range(first, node.end_lineno + 1))
    if isinstance(node, ast.FunctionDef) and ast.get_docstring(node):
        shown -= set(range(node.body[0].lineno, node.body[0].end_lineno + 1))
    return textwrap.dedent("\n".join(lines[number] for number in sorted(shown)))


def on_page_markdown(markdown, **_):
    """Called by mkdocs with the text of each page."""
    return NAME.sub(lambda found: f"```python\n{source(*found.groups())}\n```", markdown)
