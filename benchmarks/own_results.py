"""Tables of the benchmarks on people's own data, from their records; no program."""

import json
import statistics

NUMBERS = {"error": ("error %", 100, 1), "nll": ("NLL, nats", 1, 3), "ece": ("ECE %", 100, 1)}
DEFAULT = "default (SDGM)"


def tables(path):
    """Lines of the record of `tables.py`."""
    content = _read(path)
    if content is None:
        return []
    rows, lines = content["rows"], ["## Tables with few labels per class", ""]
    lines += [
        _made(content),
        "",
        "Mean over the seeds +- its standard error; NLL is infinite where a label had probability 0.",
        "",
    ]
    for labels in sorted({row["labels"] for row in rows}):
        of = [row for row in rows if row["labels"] == labels]
        lines += [_verdict(of, labels), ""]
        for what, (told, *form) in NUMBERS.items():
            lines += _table(of, f"{told}, {labels} labels per class", what, *form)
    return lines + _table(rows, "seconds, all numbers of labels", "seconds", 1, 1)


def missing_cells(path):
    """Lines of the record of `missing_cells.py`."""
    content = _read(path)
    if content is None:
        return []
    rows, lines = content["rows"], ["## Tables with hidden cells, 10 labels per class", "", _made(content), ""]
    for row in rows:
        row["table"] = f"{row['table']}, {100 * row['share']:.0f}%"
    lines += _table(rows, "error of the class, %", "error", 100, 1)
    lines += _table(rows, "RMSE of hidden numbers, standard deviations", "rmse", 1, 3)
    lines += _table(rows, "error of hidden categories, %", "category_error", 100, 1)
    return lines + _table(rows, "seconds", "seconds", 1, 1)


def pool_prior(path):
    """Lines of the record of `pool_prior.py`."""
    content = _read(path)
    if content is None:
        return []
    rows = content["rows"]
    fits = len({(row["table"], row["seed"]) for row in rows})
    lines = ["## The pool's prior, on tables that are reported nowhere", "", f"{_made(content)} {fits} fits.", ""]
    lines += [
        "| prior, examples | share of the logistic regression | error % | NLL, nats | ECE % |",
        "|---|---|---|---|---|",
    ]
    for share, prior in sorted({(row["logistic"], row["prior"]) for row in rows}):
        of = [row for row in rows if (row["logistic"], row["prior"]) == (share, prior)]
        error, nll, ece = (statistics.fmean(row[what] for row in of) for what in ("error", "nll", "ece"))
        lines.append(f"| {prior:g} | {share:.2f} | {100 * error:.2f} | {nll:.4f} | {100 * ece:.2f} |")
    return [*lines, ""]


def novelty(path):
    """Lines of the record of `novelty.py`."""
    content = _read(path)
    if content is None:
        return []
    rows = content["rows"]
    seeds = len({row["seed"] for row in rows})
    lines = ["## Examples of other laws than training's: AUROC %", ""]
    lines += [f"{_made(content)} {content['epochs']} epochs, {seeds} seeds; 50% is chance, less is the wrong way round.", ""]
    rows = [dict(row, table=row["new"], method=f"{row['method']}: {row['statistic']}") for row in rows]
    return lines + _table(rows, "model: statistic", "auroc", 100, 1)


def _read(path):
    return json.loads(path.read_text()) if path.exists() else None


def _made(content):
    from tfadgm import machine

    return f"`{content['command']}`, on {machine.describe(content['hardware'])}."


def _table(rows, title, what, factor, digits):
    """A row per method, a column per table: mean and standard error over the seeds."""
    rows = [row for row in rows if row.get(what) is not None]
    columns = list(dict.fromkeys(row["table"] for row in rows))
    lines = [f"| {title} | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    for method in dict.fromkeys(row["method"] for row in rows):
        found = [[factor * row[what] for row in rows if (row["method"], row["table"]) == (method, c)] for c in columns]
        lines.append(f"| {method} | {' | '.join(_spread(values, digits) for values in found)} |")
    return [*lines, ""]


def _spread(values, digits):
    if not values:
        return "-"
    mean = statistics.fmean(values)
    if len(values) < 2 or mean == float("inf"):
        return f"{mean:.{digits}f}"
    return f"{mean:.{digits}f} +- {_stderr(values):.{digits}f}"


def _stderr(values):
    return statistics.stdev(values) / len(values) ** 0.5


def standing(rows):
    """Returns the tables on which the default is as good as the best method, and those where it is worse than its network.

    As good: worse than no other method by more than one standard error of the mean of the paired differences. Worse: by
    more than two.
    """
    error = {(row["method"], row["table"], row["seed"]): row["error"] for row in rows}
    methods, names = (list(dict.fromkeys(row[key] for row in rows)) for key in ("method", "table"))
    parts = [method for method in methods if method.startswith("its ")]
    best, worse = [], []
    for name in names:
        seeds = sorted({seed for _, table, seed in error if table == name})

        def excess(method, name=name, seeds=seeds):
            """By how much the default is worse, in standard errors of the mean of the paired differences."""
            differences = [error[DEFAULT, name, s] - error[method, name, s] for s in seeds if (method, name, s) in error]
            if len(differences) < 2:
                return 0.0
            mean = statistics.fmean(differences)
            return 0.0 if mean <= 0 else mean / max(_stderr(differences), 1e-12)

        if all(excess(method) <= 1 for method in methods if method not in (DEFAULT, *parts)):
            best.append(name)
        worse += [f"{name} ({method})" for method in parts if "labels alone" in method and excess(method) > 2]
    return best, worse


def _verdict(rows, labels):
    """On how many tables the default is as good as the best method, and as what its pool is made of."""
    best, worse = standing(rows)
    seeds, tables = (len({row[key] for row in rows}) for key in ("seed", "table"))
    told = ", ".join(worse) or "none"
    return (
        f"**{labels} labels per class, {seeds} seeds: the default is best, or within one standard error (of the paired "
        f"difference) of the best, on {len(best)} of {tables} tables** ({', '.join(best) or 'none'}); worse than the "
        f"same network on the labels alone by more than two standard errors on: {told}."
    )


def larger_than_memory(path):
    """Lines of the record of `larger_than_memory.py`."""
    content = _read(path)
    if content is None:
        return []
    lines = ["## Peak memory as the data grow", "", _made(content), ""]
    lines += [
        "MiB of the largest resident set of the process, in brackets the most of it that belonged to no file (sampled). The "
        "data are counted as they are trained on.",
        "",
        "| source | MiB of data | phase | peak | peak with the larger data | growth % |",
        "|---" * 6 + "|",
    ]
    for source in dict.fromkeys(row["source"] for row in content["rows"]):
        rows = sorted((row for row in content["rows"] if row["source"] == source), key=lambda row: row["size"])
        small, large = rows[0], rows[-1]
        for phase in ("training", "evaluation", "classification"):
            peaks = [f"{row[phase]['peak_mb']:.0f} ({row[phase]['anonymous_mb']:.0f})" for row in (small, large)]
            growth = 100 * (large[phase]["peak_mb"] / small[phase]["peak_mb"] - 1)
            sizes = f"{small['data_mb']:.0f}, {large['data_mb']:.0f}"
            lines.append(f"| {source} | {sizes} | {phase} | {' | '.join(peaks)} | {growth:.1f} |")
    return [*lines, ""]


def large_table(path):
    """Lines of the record of `large_table.py`."""
    content = _read(path)
    if content is None:
        return []
    lines = ["## Memory of a training on a large table", "", _made(content), ""]
    lines += ["| file | rows x columns | MiB of the file | peak memory, MiB |", "|---" * 4 + "|"]
    for row in content["rows"]:
        shape = f"{row['rows']:,} x {row['columns']}"
        lines.append(f"| {row['kind']} | {shape} | {row['file_mb']:.0f} | {row['peak_mb']:.0f} |")
    return [*lines, ""]
