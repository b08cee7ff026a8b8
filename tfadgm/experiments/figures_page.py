"""One page of all figures of the papers: each beside what was measured of its run and what the paper has."""

import html
import pathlib

from tfadgm.experiments import listing, runner

STYLE = (
    "body{font:15px/1.5 sans-serif;max-width:1300px;margin:2em auto;padding:0 1em} figure{display:inline-block;margin:6px}"
    "img{max-width:420px} figcaption{color:#555;text-align:center} h2{margin-bottom:0} .lacking{color:#888}"
)


def write(directory, cells, records):
    """Writes `directory`/figures/index.html and returns its path.

    First the figures that cells are about, in the order of `cells`, with the numbers of their records; then those that
    several runs have in common; last, folded, all others of the runs.

    Args:
      directory: of the runs, `directory`/NAME/seed-N.
      cells: a dict of name to `Cell`.
      records: the directory of the records.
    """
    directory = pathlib.Path(directory)
    of_papers = {cell.name: _drawn(cell, directory) for cell in cells.values() if cell.figures}
    together = sorted((directory / "figures").glob("*.png"))
    shown = {path for paths in of_papers.values() for path in paths} | set(together)
    parts = [f"<!doctype html><meta charset='utf-8'><title>Figures</title><style>{STYLE}</style><h1>Figures</h1>"]
    for name, paths in of_papers.items():
        parts += _section(cells[name], paths, directory, records)
    if together:
        parts += ["<h2>Several runs</h2>", *(_figure(path, directory) for path in together)]
    parts.append("<h2>Further figures of the runs</h2>")
    rest = [path for path in sorted(directory.rglob("*.png")) if path not in shown]
    for folder in dict.fromkeys(path.parent for path in rest):
        parts.append(f"<details><summary>{html.escape(str(folder.parent.relative_to(directory)))}</summary>")
        parts += [_figure(path, directory) for path in rest if path.parent == folder] + ["</details>"]
    path = directory / "figures" / "index.html"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(parts) + "\n")
    return path


def _drawn(cell, directory):
    """The figures of a cell that there are, of its first seed."""
    found = runner.directory_of(cell, 0, None, directory) / "figures"
    return [found / name for name in cell.figures if (found / name).exists()]


def _section(cell, paths, directory, records):
    """The lines of a cell: its source, its numbers, its figures; the command that makes what is lacking."""
    heading, *about = listing.blocks({cell.name: cell}, records)
    lines = [f"<h2 id='{cell.name}'>{html.escape(cell.source)}</h2>"]
    lines.append("<p>" + "<br>".join(html.escape(line.strip()) for line in (heading, *about[1:])) + "</p>")
    lines += [_figure(path, directory) for path in paths]
    lacking = [name for name in cell.figures if name not in {path.name for path in paths}]
    if lacking:
        lines.append(f"<p class='lacking'>not drawn yet: {html.escape(', '.join(lacking))}</p>")
    return lines


def _figure(path, directory):
    source = html.escape(f"../{path.relative_to(directory)}", quote=True)
    told = html.escape(path.stem.replace("_", " "))
    return f"<figure><img src='{source}' alt='{told}'><figcaption>{told}</figcaption></figure>"
