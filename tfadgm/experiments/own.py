"""The package's own recipes, beside the papers' rows: what it reaches on the same data with convolutions.

Networks that read and write pictures by convolutions, one encoder of x that the networks of q share, the virtual adversarial
term, pictures that are moved. M2 with these has no more error than the SDGM, in less time. Settings were chosen on
validation images (docs/notebook.md); no number of a paper, but goals of its own.
"""

from tfadgm.experiments.cell import Cell

CONVOLUTIONS = dict(model="m2", trunk="conv", shared_encoder="on", adversarial_shift=2)
MNIST = dict(
    CONVOLUTIONS,
    dataset="mnist",
    labels=100,
    virtual_adversarial=100.0,
    adversarial_temperature=0.5,
    validation=1000,
    keep="last",
)
SVHN = dict(
    CONVOLUTIONS,
    dataset="svhn:train",
    labels=1000,
    filters=(32, 64, 128),
    depth=2,
    pooled=True,
    unlabelled_weight=0.005,
    virtual_adversarial=70.0,
    shift=2,
    adversarial_temperature=0.3,
    validation=1000,
    keep="last",
)

CELLS = [
    Cell(
        "own-mnist-100",
        "This package, beside table 2 of Maaloe et al. 2016: MNIST, 100 labels, M2 with convolutions",
        "error",
        settings=MNIST,
        epochs=60,
        seeds=3,
        goal=1.0,
        figures=("training_curves.png", "class_samples.png"),
    ),
    Cell(
        "own-svhn-1000",
        "This package, beside section 4.4 of Maaloe et al. 2016: SVHN without extra, 1000 labels, M2 with convolutions",
        "error",
        settings=SVHN,
        epochs=12,
        goal=18.0,
        figures=("training_curves.png", "class_samples.png"),
        note="SVHN re-cropped, first 10,000 test digits",
    ),
]
