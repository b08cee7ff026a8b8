"""The page of a run: the answer, then how it was found, then details; what a run has not is left out."""

import os
import pathlib

from tfadgm.reporting.page import about, examples, learned, render, result, tables

PARTS = (
    ("answer", "Result", "What came out", result.answer),
    ("warnings", "Warnings", "Warnings", result.warnings),
    ("confusion", "Confusion", "Which classes it takes for which", result.confusion),
    ("calibration", "Calibration", "How sure it is, and how often right", result.calibration),
    ("wrong", "Sure but wrong", "Wrong, and sure of it", examples.wrong),
    ("uncertain", "Least sure", "Least sure", examples.uncertain),
    ("density", "Unusual", "Usual and unusual examples", examples.density),
    ("samples", "Samples", "What it generates", learned.samples),
    ("columns", "Columns", "Columns, real and generated", tables.columns),
    ("imputation", "Imputation", "Filling in missing cells", tables.imputation),
    ("latents", "Latents", "Where the latents put the examples", learned.latents),
    ("bound", "Bound", "Where the nats go", learned.bound),
    ("curves", "Training", "Training", learned.curves),
    ("data", "Data", "The data", about.data),
    ("numbers", "Numbers", "All numbers", result.numbers),
    ("made", "Made by", "How it was made", about.made),
    ("use", "Next", "What to do next", about.use),
)


def write(content, path):
    """Writes the page of a `content.Content` to `path`."""
    results = content.results
    name = pathlib.Path(content.data.name).name if os.sep in content.data.name else content.data.name
    head = dict(title=f"{results['model']} on {name}", results=results, directory=content.directory)
    text = render.page("run.html", PARTS, lambda function: function(content), **head, config=content.config)
    render.write(text, path)
