"""Maaloe, Fraccaro and Winther, "Semi-supervised generation with cluster-aware generative models", 2017: all tables.

Tables 1 and 2: log p(x) by importance samples, 1000 here and 5000 in the paper. Networks: 1024 units twice next to x, 512
twice between latents, z1 of 64 and z2 of 32, batch norm, temperature from 0 to 1 (over 100 epochs; 10 here).
Figure 2a is table 1 with fewer samples, 2b the principal components of z1 and z2 of its cells, 3 a plane z2, 4 OMNIGLOT
reconstructions. CaGeM's log p(x) on OMNIGLOT takes 100 samples, each a sum over 50 classes.
Table 3: error with 20, 50 and 100 labels, of the runs of table 1.
The OMNIGLOT of table 2 is another than the one here: see `data/omniglot.py`.
"""

import dataclasses

from tfadgm.experiments.cell import Cell

PAPER = "Maaloe et al. 2017"
DIFFERENCES = (
    "the two most probable classes and one sampled (the paper: all), learning rate falling to 0 over the run "
    "(the paper: by .75 every 50 epochs), moving average of the weights"
)
NET = dict(model="cagem", hidden=(1024, 1024), hidden_above=(512, 512), dim_z=(64, 32), warmup_epochs=10.0)
DENSITY = dict(min_column_std=0.0, density_samples=1000, density_examples=1000)
MNIST = dict(NET, dataset="mnist", learning_rate=1e-3, **DENSITY)
OMNIGLOT = dict(DENSITY, dataset="omniglot", labels=None)
IWAE = dict(
    OMNIGLOT, model="vae", dim_z=(100, 50), hidden=(200, 200), hidden_above=(100, 100), activation="tanh", batch_norm=False
)
LVAE = dict(
    OMNIGLOT,
    model="lvae",
    dim_z=(64, 32, 16, 8, 4),
    hidden=(512, 512),
    hidden_above=(256, 256),
    warmup_epochs=10.0,
    learning_rate=1e-3,  # at the recipe's 3e-3 the objective becomes NaN in the third epoch
)
CAGEM = dict(MNIST, dataset="omniglot", labels=500, density_samples=100)  # each of which visits 50 classes


def _density(
    name, row, paper, table=1, note=DIFFERENCES, figures=("latent_pca.png",), comparable=True, epochs=40, **settings
):
    return Cell(
        f"cagem2017-table{table}-{name}",
        f"{PAPER}, table {table}, {row}",
        "log_density",
        paper,
        settings=settings,
        epochs=epochs,
        note=note,
        figures=figures,
        comparable=comparable,
    )


def _omniglot(name, row, paper, **settings):
    return _density(
        f"omniglot-{name}",
        f"{row}, OMNIGLOT",
        paper,
        table=2,
        note="another OMNIGLOT: the bounds cannot be compared",
        figures=("reconstructions.png", "class_samples.png"),
        comparable=False,
        epochs=60,
        **settings,
    )


TABLES = [
    *(
        _density(f"0-{k}", f"CaGeM-0, K={k}", paper, epochs=epochs, **{**MNIST, "labels": 0, "clusters": k})
        for k, paper, epochs in [(20, -81.92, 40), (5, -81.86, 40), (10, -81.60, 200)]
    ),
    *(
        _density(f"{labels}", f"CaGeM-{labels}", paper, epochs=epochs, **{**MNIST, "labels": labels})
        for labels, paper, epochs in [(20, -81.47, 40), (50, -80.49, 40), (100, -79.38, 200)]
    ),
    _density("adgm-100", "ADGM-100", -86.06, model="adgm", dataset="mnist", labels=100, trunk="mlp", **DENSITY),
    _omniglot("500", "CaGeM-500", -100.86, **CAGEM),
    _omniglot("vae", "VAE, L=2, IW=50", -106.30, **IWAE, samples=50),
    _omniglot("iwae", "IWAE, L=2, IW=50", -103.38, **IWAE, samples=50, importance_weighted=True),
    _omniglot("lvae", "LVAE, L=5, FT, IW=10 (here without either)", -102.11, **LVAE),
    Cell(
        "cagem2017-figure3",
        f"{PAPER}, figure 3: a plane z2",
        "log_density",
        settings=dict(MNIST, labels=100, dim_z=(64, 2), warmup_epochs=4.0),
        figures=("latent_pca.png", "manifold_z2.png", *(f"manifold_z2_class_{k}.png" for k in range(10))),
        epochs=40,
        note="the paper's mesh is even, here it has the quantiles of p(z2); warm-up of 4 epochs",
    ),
]
BY_NAME = {cell.name: cell for cell in TABLES}
CELLS = [
    *TABLES,
    *(
        dataclasses.replace(
            BY_NAME[f"cagem2017-table1-{labels}"],
            name=f"cagem2017-table3-{labels}",
            source=f"{PAPER}, table 3: CaGeM, {labels} labels",
            measure="error",
            paper=paper,
            run=f"cagem2017-table1-{labels}",
        )
        for labels, paper in [(20, 15.86), (50, 2.42), (100, 1.16)]
    ),
]
