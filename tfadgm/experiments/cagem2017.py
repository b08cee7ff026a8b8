"""Maaloe, Fraccaro and Winther, "Semi-supervised generation with cluster-aware generative models", 2017: tables 1 to 3.

Tables 1 and 2: log p(x) by 5000 importance samples. Networks: 1024 units twice next to x, 512 twice between latents, z1 of
64 and z2 of 32, batch norm, temperature from 0 to 1 (over 100 epochs; 10 here, as a budget of minutes has some tens).
Table 3: error with 20, 50 and 100 labels. The OMNIGLOT of table 2 is another than the one here: see `data/omniglot.py`.
"""

from tfadgm.experiments.cell import Cell

PAPER = "Maaloe et al. 2017"
NET = dict(model="cagem", hidden=(1024, 1024), hidden_above=(512, 512), dim_z=(64, 32), warmup_epochs=10.0)
MNIST = dict(NET, dataset="mnist", min_column_std=0.0, density_samples=5000, density_examples=1000, learning_rate=1e-3)


def _density(name, row, paper, table=1, note="", **settings):
    return Cell(
        f"cagem2017-table{table}-{name}", f"{PAPER}, table {table}, {row}", "log_density", paper, None, settings, note=note
    )


CELLS = [
    *(
        _density(f"0-{k}", f"CaGeM-0, K={k}", paper, **{**MNIST, "labels": 0, "clusters": k})
        for k, paper in [(20, -81.92), (5, -81.86), (10, -81.60)]
    ),
    *(
        _density(f"{labels}", f"CaGeM-{labels}", paper, **{**MNIST, "labels": labels})
        for labels, paper in [(20, -81.47), (50, -80.49), (100, -79.38)]
    ),
    _density(
        "adgm-100",
        "ADGM-100",
        -86.06,
        model="adgm",
        dataset="mnist",
        labels=100,
        min_column_std=0.0,
        density_samples=5000,
        density_examples=1000,
    ),
    _density(
        "omniglot-500",
        "CaGeM-500, OMNIGLOT",
        -100.86,
        table=2,
        note="another OMNIGLOT: the bounds cannot be compared",
        **{**MNIST, "dataset": "omniglot", "labels": 500},
    ),
    *(
        Cell(
            f"cagem2017-table3-{labels}",
            f"{PAPER}, table 3: CaGeM, {labels} labels",
            "error",
            paper,
            settings=dict(NET, dataset="mnist", labels=labels, learning_rate=1e-3),
            minutes=15.0,
        )
        for labels, paper in [(20, 15.86), (50, 2.42), (100, 1.16)]
    ),
    Cell(
        "cagem2017-figure3",
        f"{PAPER}, figure 3: a plane z2",
        "log_density",
        None,
        settings=dict(MNIST, labels=100, dim_z=(64, 2)),
    ),
]
