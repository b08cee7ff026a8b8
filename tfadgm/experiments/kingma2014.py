"""Kingma, Rezende, Mohamed and Welling, "Semi-supervised learning with deep generative models", NIPS 2014: table 1.

MNIST with 100, 600, 1000 and 3000 labels: nearest neighbour, SVM, M1+TSVM, M2 and M1+M2. Networks as in the paper: M1 two
layers of 600 softplus units and z of 50; M2 one layer of 500. The optimiser's settings are those of the data set's recipe.
"""

from tfadgm.experiments.cell import Cell

LABELS = (100, 600, 1000, 3000)
TABLE = {  # row: numbers for each of LABELS, and their spreads
    "nn": ((25.81, 11.44, 10.7, 6.04), None),
    "svm": ((None,) * 4, None),  # named in the text; its column is not in the version at hand
    "m1tsvm": ((11.82, 5.72, 4.24, 3.49), (0.25, 0.049, 0.07, 0.04)),
    "m2": ((11.97, 4.94, 3.60, 3.92), (1.71, 0.13, 0.56, 0.63)),
    "m1m2": ((3.33, 2.59, 2.40, 2.18), (0.14, 0.05, 0.02, 0.04)),
}
M1 = dict(hidden=(600, 600), activation="softplus", dim_z=(50,))
SETTINGS = {
    "nn": None,
    "svm": None,
    "m1tsvm": dict(model="m1", **M1),
    "m2": dict(model="m2", hidden=(500,), activation="softplus", dim_z=(50,)),
    "m1m2": dict(model="m1m2", **{**M1, "hidden_above": (500,), "dim_z": (50, 50)}),
}


def _cell(row, i):
    paper, spread = TABLE[row]
    settings = dict(dataset="mnist", labels=LABELS[i], **(SETTINGS[row] or {}))
    call = None if SETTINGS[row] else f"tfadgm.experiments.toys:{row}"
    return Cell(
        f"kingma2014-table1-{row}-{LABELS[i]}",
        f"Kingma et al. 2014, table 1: {row}, {LABELS[i]} labels",
        "error",
        paper[i],
        spread and spread[i],
        settings,
        15.0,
        call,
    )


CELLS = [_cell(row, i) for row in TABLE for i in range(len(LABELS))]
