"""Maaloe, Sonderby, Sonderby and Winther, "Auxiliary deep generative models", ICML 2016: tables 1 and 2, figures 2 to 5.

Table 1: log p(x) of MNIST by 5000 importance samples; a network of 512 units, z of 64 (and 32), batch norm, warm-up over 200
epochs of 2000 in the recipe that the paper names. Here 120 epochs, warm-up over 10, and bounds of the first
1000 test images. Expected: a nat below. The rows "linear" are no rows of the paper: they show what its
auxiliary variable is worth where p(a|.) is exact (see `AVAE`).

Table 2: error with 100 labels on MNIST, 1000 on SVHN and NORB. SVHN is its train split alone, `SVHN_DATA` says which copy;
NORB is not beside the project, `--data_dir` must have it. Networks as in the paper, the objective and the optimiser as in
this package's recipe (`RECIPE`). 1,000 training images of MNIST are held out, by which nothing is chosen: their error is
the curve of figure 5.

Figure 3: analogies and samples of the SDGM. Figure 4: its KL per unit, and the principal components of a. Figure 5: curves
of SDGM, ADGM, M2 and a deterministic a on MNIST, and further variants; the paper draws the test error, here it is that of
1000 training images held out. The last cells are what the paper's discussion proposes: p(y|x) by Bayes' rule; expected:
about as good as q(y|x).
"""

import dataclasses

from tfadgm.experiments import kingma2014
from tfadgm.experiments.cell import Cell

RECIPE = (
    "the recipe here: no labelled bound (eq. 10), the two most probable classes and one sampled (the paper: all), q(y|x) "
    "averaged over 10 draws of a, learning rate 3e-3 falling to 0 (the paper: 3e-4), moving average of the weights"
)

TABLE_1, TABLE_2 = "Maaloe et al. 2016, table 1", "Maaloe et al. 2016, table 2"
DENSITY = dict(
    dataset="mnist",
    min_column_std=0.0,
    hidden=(512, 512),
    hidden_above=(256, 256),
    learning_rate=2e-3,
    density_samples=5000,
    density_examples=1000,
    warmup_epochs=10.0,
)
VAE = "maaloe2016-table1-vae"
IWAE = dict(DENSITY, hidden=(200, 200), hidden_above=(100, 100), activation="tanh", batch_norm=False, warmup_epochs=0.0)


def _density(name, row, paper, note="", control=None, epochs=120, **settings):
    name = f"maaloe2016-table1-{name}"
    return Cell(
        name, f"{TABLE_1}, {row}", "log_density", paper, settings=settings, epochs=epochs, note=note, control=control
    )


def _of(cell, name, source, *figures, **changes):
    """A cell of figures, or of another measure, that reads the run of `cell`."""
    changes = dict(dict(paper=None, spread=None, seeds=1), **changes)
    return dataclasses.replace(cell, name=name, source=source, run=cell.name, figures=figures, **changes)


def _class(name, row, paper, spread=None, epochs=40, note=RECIPE, **settings):
    changes = {key: settings.pop(key) for key in ("seeds", "comparable") if key in settings}
    name, source = f"maaloe2016-table2-{name}", f"{TABLE_2}, {row}"
    return Cell(name, source, "error", paper, spread, settings, epochs, note=note, **changes)


WATCHED = dict(validation=1000, keep="last")
MNIST = dict(dataset="mnist", labels=100, trunk="mlp", **WATCHED)
SVHN, NORB = dict(dataset="svhn:train", labels=1000, trunk="mlp"), dict(dataset="norb", labels=1000)
SVHN_DATA = f"SVHN re-cropped, first 10,000 test digits, without extra; {RECIPE}"
WITH_EXTRA = dict(SVHN, comparable=False, note=f"{SVHN_DATA}; the paper's number is with extra")

TABLES = [
    _density("vae", "none: the control", None, model="vae", **{**DENSITY, "dim_z": (64,)}),
    _density("vae-2", "none: the control of two layers", None, model="vae", **{**DENSITY, "dim_z": (64, 32)}),
    _density("avae-1", "AVAE, L=1", -84.59, model="avae", control=VAE, **{**DENSITY, "dim_z": (64,)}),
    _density("avae-2", "AVAE, L=2", -82.97, model="avae", control=f"{VAE}-2", **{**DENSITY, "dim_z": (64, 32)}),
    *(
        _density(
            f"avae-{len(dim_z)}-linear",
            f"beside it: AVAE, L={len(dim_z)}, q(z|a,.) linear in a",
            None,
            "not in the paper",
            model="avae",
            auxiliary="linear",
            control=control,
            **{**DENSITY, "dim_z": dim_z},
        )
        for dim_z, control in (((64,), VAE), ((64, 32), f"{VAE}-2"))
    ),
    _density("iwae-1", "IWAE, L=1, IW=1", -86.76, model="vae", **{**IWAE, "dim_z": (50,)}),
    _density(
        "iwae-1-50",
        "IWAE, L=1, IW=50",
        -84.78,
        epochs=40,
        model="vae",
        **{**IWAE, "dim_z": (50,), "samples": 50, "importance_weighted": True},
    ),
    _density("iwae-2", "IWAE, L=2, IW=1", -85.33, model="vae", **{**IWAE, "dim_z": (100, 50)}),
    _density(
        "iwae-2-50",
        "IWAE, L=2, IW=50",
        -82.90,
        epochs=40,
        model="vae",
        **{**IWAE, "dim_z": (100, 50), "samples": 50, "importance_weighted": True},
    ),
    _density(
        "lvae",
        "LVAE, L=5",
        -82.12,
        "all networks above the first have the same widths; no batch norm on heads",
        epochs=100,
        model="lvae",
        **{**DENSITY, "dim_z": (64, 32, 16, 8, 4)},
    ),
    _density(
        "vae-nf",
        "VAE+NF, L=1",
        -85.10,
        "ReLU and batch norm in place of maxout; the parameters of all flows depend on x",
        epochs=60,
        model="vae",
        **{**DENSITY, "dim_z": (40,), "flows": 80},
    ),
    _class("mnist-adgm", "ADGM, MNIST", 0.96, 0.02, 400, model="adgm", seeds=3, **MNIST),
    _class("mnist-sdgm", "SDGM, MNIST", 1.32, 0.07, 400, model="sdgm", seeds=3, **MNIST),
    *(
        dataclasses.replace(
            kingma2014.BY_NAME[f"kingma2014-table1-{name}-100"],
            name=f"maaloe2016-table2-mnist-{name}",
            source=f"{TABLE_2}, {row}, MNIST (Kingma et al. 2014)",
            run=f"kingma2014-table1-{name}-100",
        )
        for name, row in (("m1tsvm", "M1+TSVM"), ("m1m2", "M1+M2"))
    ),
    _class("svhn-adgm", "ADGM, SVHN", 22.86, model="adgm", **WITH_EXTRA),
    _class("svhn-sdgm", "SDGM, SVHN", 16.61, 0.24, model="sdgm", **WITH_EXTRA),
    _class("svhn-m1tsvm", "M1+TSVM, SVHN", 55.33, 0.11, model="m1", **WITH_EXTRA),
    _class("svhn-m1m2", "M1+M2, SVHN", 36.02, 0.10, model="m1m2", **WITH_EXTRA),
    _class("norb-adgm", "ADGM, NORB", 10.06, 0.05, model="adgm", **NORB),
    _class("norb-sdgm", "SDGM, NORB", 9.40, 0.04, model="sdgm", **NORB),
    _class("norb-m1tsvm", "M1+TSVM, NORB", 18.79, 0.05, model="m1", **NORB),
    Cell(
        "maaloe2016-figure2-half-moons",
        "Maaloe et al. 2016, figure 2c: ADGM, near 0% within 10 epochs",
        "error",
        settings=dict(model="adgm", dataset="half_moons", epochs=10),
        epochs=None,
        goal=0.5,
        figures=("prediction_map.png", "latent_pca.png"),
        note="batches of 50 (the paper: 100), noise 0.1",
    ),
    Cell(
        "maaloe2016-figure2-potential",
        "Maaloe et al. 2016, figure 2a: both modes; log Z = 1.8775",
        "bound",
        call="tfadgm.experiments.toys:potential",
        epochs=None,
        goal=1.80,
        figures=("density.png",),
    ),
    *(
        Cell(
            f"maaloe2016-figure5-{name}",
            f"Maaloe et al. 2016, figure 5: {row}",
            "error",
            settings=dict(MNIST, **settings),
            epochs=400,
            figures=("training_curves.png",),
            note=RECIPE,
        )
        for name, row, settings in [
            ("m2", "M2", dict(model="m2", dim_z=(100,))),
            ("deterministic", "ADGM with a deterministic a", dict(model="adgm", auxiliary="deterministic")),
        ]
    ),
    *(
        Cell(
            f"maaloe2016-ablation-{name}",
            f"Maaloe et al. 2016, {row}",
            "error",
            settings=dict(MNIST, model="adgm", **settings),
            epochs=40,
            control=None if name == "none" else "maaloe2016-ablation-none",
            note=note,
        )
        for name, row, settings, note in [
            ("none", "eq. 3 to 9: the ADGM, control of its ablations", {}, RECIPE),
            ("one-sample", "eq. 17: one sample of a and z", dict(classifier_samples=1), ""),
            ("ten-samples", "eq. 17: ten samples of a and z", dict(samples=10), ""),
            ("uninformed", "appendix A: p(a) = N(0, I)", dict(auxiliary="uninformed"), ""),
            ("a-sees-x", "eq. 5: p(a|x,y,z)", dict(a_sees_x=True), ""),
            ("bound-gradient", "q(a|x) trained by the bound alone", dict(aux_gradient="bound"), ""),
            (
                "frozen",
                "q(a|x) not trained",
                dict(aux_gradient="frozen", batch_norm=False),
                "no batch norm either",
            ),
        ]
    ),
]
BY_NAME = {cell.name: cell for cell in TABLES}
CELLS = [
    *TABLES,
    _of(
        BY_NAME["maaloe2016-table2-svhn-sdgm"],
        "maaloe2016-svhn-without-extra",
        "Maaloe et al. 2016, section 4.4: SDGM without the extra set",
        paper=29.82,
        comparable=True,
        note=SVHN_DATA,
    ),
    *(
        _of(
            BY_NAME[f"maaloe2016-table2-mnist-{name}"],
            f"maaloe2016-figure5-{name}",
            f"Maaloe et al. 2016, figure 5: {name.upper()}",
            "training_curves.png",
        )
        for name in ("adgm", "sdgm")
    ),
    _of(
        BY_NAME["maaloe2016-table2-mnist-sdgm"],
        "maaloe2016-figure3",
        "Maaloe et al. 2016, figure 3: analogies, and samples of each class",
        *("analogies.png", "class_samples.png"),
    ),
    _of(
        BY_NAME["maaloe2016-table2-mnist-sdgm"],
        "maaloe2016-figure4",
        "Maaloe et al. 2016, figure 4: KL per unit, principal components of a",
        *("kl_per_unit.png", "latent_pca.png"),
    ),
    *(
        _of(
            BY_NAME[f"maaloe2016-table2-mnist-{name}"],
            f"maaloe2016-discussion-bayes-{name}",
            f"Maaloe et al. 2016, discussion: p(y|x) by Bayes' rule, {name.upper()}",
            measure="bayes_error",
            call="tfadgm.experiments.toys:bayes",
            note="100 importance samples, the first 1000 test images",
        )
        for name in ("adgm", "sdgm")
    ),
]
