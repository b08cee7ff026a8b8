"""The site of docs/: it is built without a warning, asks no other host for anything, and shows the code as it is."""

import html.parser
import os
import pathlib
import re
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
LOADED = dict(link="href", script="src", img="src", iframe="src", source="src")  # what a browser fetches by itself


class Page(html.parser.HTMLParser):
    """What a page loads, its identifiers and its text."""

    def __init__(self, text):
        super().__init__()
        self.loads, self.ids, self.text = [], set(), ""
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.ids.add(given.get("id"))
        if tag in LOADED and given.get(LOADED[tag]) and given.get("rel") != "canonical":
            self.loads.append(given[LOADED[tag]])

    def handle_data(self, data):
        self.text += data


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """{path: its `Page`} of the site, built as `make docs` does; links and anchors that lead nowhere are warnings."""
    place = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(place)]
    options = dict(cwd=ROOT, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True)
    built = subprocess.run(command, **options)
    assert built.returncode == 0 and "WARNING" not in built.stderr, built.stderr[-4000:]
    styles = "".join(path.read_text() for path in place.rglob("*.css"))
    assert not re.search(r"(@import|url\()\s*[\"']?(https?:)?//", styles)
    return {path.relative_to(place).as_posix(): Page(path.read_text()) for path in place.rglob("*.html")}


def test_every_page_is_there_and_asks_no_other_host(site):
    pages = {path.relative_to(ROOT / "docs").with_suffix(".html").as_posix() for path in (ROOT / "docs").rglob("*.md")}
    assert set(site) == pages | {"404.html"}
    for name, page in site.items():
        assert page.loads and not [each for each in page.loads if re.match(r"(https?:)?//", each)], name


def test_the_reference_has_what_the_package_exports(site):
    ids = set().union(*(page.ids for name, page in site.items() if name.startswith("reference/")))
    exported = re.findall(r'^    "(\w+)": "([\w.]+)"', (ROOT / "tfadgm" / "__init__.py").read_text(), re.MULTILINE)
    models = re.findall(r'"(tfadgm.models.\w+):', (ROOT / "tfadgm" / "registry.py").read_text())
    assert len(exported) > 15 and len(models) == 10
    for name, module in exported:
        assert module in ids if module in models else f"{module}.{name}" in ids, f"{module}.{name}"
    assert ids >= {*models, "tfadgm.evaluation.answers.log_density", "tfadgm.estimators.SemiSupervisedClassifier.save"}


def test_a_models_code_is_beside_its_mathematics(site):
    shown = site["models.html"].text
    for name, line in (
        ("m2", 'q = dict(y=Categorical("x", classes, net), z=Gaussian("x y", self.dim_z, net))'),
        ("vae", 'p["x"] = self.p_x(names[0])'),
        ("sdgm", 'x_parents = "a y z"'),
    ):
        assert line in (ROOT / "tfadgm/models" / f"{name}.py").read_text() and line in shown
    names = re.findall(r'"(\w+)": "tfadgm.models', (ROOT / "tfadgm/registry.py").read_text())
    assert "<!-- code" not in shown and len(names) == 10 and set(names) <= site["models.html"].ids


@pytest.mark.parametrize("name", ["README.md", "BUILD.md"])
def test_no_link_of_a_file_beside_the_pages_is_broken(name):
    links = re.findall(r"\]\(([^)\s]+)\)", (ROOT / name).read_text())
    assert links
    for link in links:
        path, _, anchor = link.partition("#")
        assert "://" in link or (ROOT / path).exists() and not anchor, link
