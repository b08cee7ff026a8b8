"""Gemp, Parente and Mahadevan, "Inverting VAEs for improved generative accuracy", 2017: section 3.

MNIST, labels for 0 to 4 alone. One-hot y, and the mean of z, give ten pictures; a logistic regression of labelled training
images says which digit each of the dimensions 5 to 9 stands for; y is permuted, and the cross-entropy of q(y|x) on the test
images of 5 to 9 is the measure (2.30, which is that of a guess over ten classes, for M2; 2.07 for Untapped; means of 10
trials). Networks, optimiser, batch and epochs as in appendix D: 900 steps. y is drawn from the Concrete distribution, whose
density eq. 4 then has; the inverse's bound trains q alone, as in the authors' code, and, in a cell of its own, p too, as
eq. 17 has it. Expected by the paper: M2 about as bad as a guess, Untapped better. Here both are better than that, and within
their spread of each other. The judge sees 20,000 training images.
"""

from tfadgm.experiments.cell import Cell

SETTINGS = dict(
    model="untapped",
    dataset="mnist:low",
    hidden=(250, 500),
    hidden_y=(50, 50),
    hidden_z=(10, 10),
    activation="tanh",
    head_deviation=None,
    batch_norm=False,
    precision="float32",
    epochs=150,
    batch=10_000,
    labelled_batch=10_000,
    learning_rate=0.01,
    adam_epsilon=1e-4,
    schedule="constant",
    average=None,
    max_norm=None,
    max_value=1.0,
    class_draw="concrete",
    reverse_gradient="q",
)
M2 = dict(SETTINGS, reverse_weight=0.0, x_weight=0.0)

CELLS = [
    Cell(
        f"untapped2017-section3-{name}",
        f"Gemp et al. 2017, section 3: {row}",
        "cross_entropy",
        paper,
        settings=settings,
        epochs=None,
        call="tfadgm.experiments.toys:digit_extraction",
        figures=("digit_extraction.png",),
        control=control,
    )
    for name, row, paper, settings, control in [
        ("untapped", "Untapped", 2.07, SETTINGS, "untapped2017-section3-m2"),
        ("both", "Untapped, p too", None, {**SETTINGS, "reverse_gradient": "both"}, "untapped2017-section3-m2"),
        ("m2", "M2", 2.30, M2, None),
    ]
]
