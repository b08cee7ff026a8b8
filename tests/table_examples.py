"""A small table with every kind of column, its rows as people write them, and an untrained model of it."""

import numpy as np

from tfadgm.data import table_preprocess
from tfadgm.data.columns import Column
from tfadgm.models.m2 import M2
from tfadgm.models.vae import VAE
from tfadgm.networks.mlp import Network

COLUMNS = [
    Column("age"),
    Column("job", "category", ("clerk", "nurse", "pilot")),
    Column("zip code", "category", ("7", "10")),
    Column("smoker", "binary", ("No", "Yes")),
    Column("member", "binary"),
    Column("visits", "count"),
    Column("since", "date", format="ISO8601"),
]
NAMES = ["ill", "well"]

# Rows as JSON has them (a cell that is absent is missing), beside their raw rows.
ROWS = [
    dict(age=41, job="nurse", smoker="Yes", member=1, visits=3, since="2024-02-29") | {"zip code": 10},
    dict(age=41.5, job="diver", smoker=0, member=True, visits=2.0, since="1969-12-31T23:30:00-01:30") | {"zip code": "7"},
    dict(age=-0.25, job="clerk", smoker="n", since="2000-12-31 06:00") | {"zip code": "8.0"},
    dict(job="", since="NA", member="true"),
    {},
    dict(age=33554433, visits=[], smoker=1.0),
]
NAN = float("nan")
RAW = np.array(
    [
        [41, 1, 1, 1, 1, 3, 19782],
        [41.5, 3, 0, 0, 1, 2, 1 / 24],
        [-0.25, 0, 2, 0, NAN, NAN, 11322.25],
        [NAN, NAN, NAN, NAN, 1, NAN, NAN],
        [NAN] * 7,
        [33554432, NAN, NAN, 1, NAN, NAN, NAN],
    ],
    "float32",
)


def draw(n, seed=0):
    """Raw rows of the table, [n, C], a tenth of the cells missing."""
    generator = np.random.default_rng(seed)
    t = generator.standard_normal(n)
    codes = [generator.integers(0, size, n) for size in (4, 3, 2)]
    x = [40 + 10 * t, *codes, t > 0, generator.poisson(np.exp(1 + 0.5 * t)), 19000 + 100 * t]
    x = np.stack(x, 1).astype("float32")
    return np.where(generator.random(x.shape) < 0.1, np.float32(np.nan), x)


def make_model(classes=2):
    """An M2 of the table, or a VAE, with all weights moved, so that no answer is trivial."""
    kinds, sizes = zip(*((column.kind, column.size) for column in COLUMNS), strict=True)
    preprocess = table_preprocess.fit(draw(300), kinds, sizes, 0.1)
    model = (M2 if classes else VAE)(preprocess, classes, likelihood="table", network=Network(hidden=(8,)), dim_z=2, seed=4)
    generator = np.random.default_rng(1)
    for weight in model.weights:
        weight.assign(weight + 0.3 * generator.standard_normal(weight.shape))
    return model
