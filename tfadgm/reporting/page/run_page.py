"""The page of a run: the answer, then how it was found, then details; what a run has not is left out."""

from tfadgm.reporting.page import about, examples, learned, render, result, tables

PARTS = (
    ("answer", "Result", result.answer),
    ("warnings", "What was warned of", result.warnings),
    ("confusion", "Which classes it takes for which", result.confusion),
    ("calibration", "How sure it is, and how often right", result.calibration),
    ("wrong", "Wrong, and sure of it", examples.wrong),
    ("uncertain", "Least sure", examples.uncertain),
    ("density", "Usual and unusual examples", examples.density),
    ("samples", "What it generates", learned.samples),
    ("columns", "Columns, real and generated", tables.columns),
    ("imputation", "Filling in missing cells", tables.imputation),
    ("latents", "Where the latents put the examples", learned.latents),
    ("bound", "Where the nats go", learned.bound),
    ("curves", "Training", learned.curves),
    ("data", "The data", about.data),
    ("numbers", "All numbers", result.numbers),
    ("made", "How it was made", about.made),
    ("use", "What to do next", about.use),
)


def write(content, path):
    """Writes the page of a `content.Content` to `path`."""
    results = content.results
    head = dict(title=f"{results['model']} on {content.data.name}", results=results, directory=content.directory)
    text = render.page("run.html", PARTS, lambda function: function(content), **head, config=content.config)
    render.write(text, path)
