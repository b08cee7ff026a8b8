"""The 2-D energies, their log Z, and the laws of the auxiliary bound on it."""

import json
import math

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf
from absl import flags

from tfadgm.cli import common
from tfadgm.cli import potential as cli
from tfadgm.experiments import energies, energy_settings, energy_training
from tfadgm.models import potential
from tfadgm.networks.mlp import Network

SHORT = energy_settings.Settings(steps=30, batch=32, evaluation_samples=2000, importance_samples=10)


def _u(name, *z, **options):
    return potential.energy(name, **options)(tf.constant(z, tf.float64)).numpy()


def test_energies_by_hand():
    # U1 at (2, 0): on the ring, at one of the two centres; the other is 4 / 0.6 widths away.
    assert _u("U1", 2.0, 0.0) == pytest.approx(-math.log1p(math.exp(-0.5 * (4 / 0.6) ** 2)))
    # at (0, 2): on the ring, 2 / 0.6 widths from both; at (0, 0): 2 / 0.4 off the ring besides.
    between = 0.5 * (2 / 0.6) ** 2 - math.log(2)
    assert _u("U1", 0.0, 2.0) == pytest.approx(between)
    assert _u("U1", 0.0, 0.0) == pytest.approx(between + 12.5, rel=1e-4)
    # w1(1) = 1 and w1(-1) = -1.
    assert _u("U2", 1.0, 1.0) == pytest.approx(0)
    assert _u("U2", -1.0, -0.2) == pytest.approx(2.0)
    # w2(1) = 3: ridges at 1 and -2, 3 apart; halfway both are 1.5 / 0.35 widths away. w3(1) = 1.5.
    assert _u("U3", 1.0, -0.5) == pytest.approx(0.5 * (1.5 / 0.35) ** 2 - math.log(2))
    assert _u("U3", 1.0, -2.0) == pytest.approx(-math.log1p(math.exp(-0.5 * (3 / 0.35) ** 2)), abs=1e-12)
    assert _u("U4", 1.0, -0.5) == pytest.approx(-math.log(1 + math.exp(-0.5 * (1.5 / 0.4) ** 2)))
    assert _u("U4", 4.0, -3.0) == pytest.approx(-math.log1p(math.exp(-0.5 * (3 / 0.4) ** 2)), abs=1e-3)


def test_the_wall_begins_at_4():
    for name in ("U2", "U3", "U4"):
        for z1 in (-4.0, -1.3, 0.2, 4.0):
            assert _u(name, z1, 0.3) == _u(name, z1, 0.3, wall=False)
        for z1 in (-4.8, 4.8):
            assert _u(name, z1, 0.3) == pytest.approx(_u(name, z1, 0.3, wall=False) + 2.0)
    assert _u("U1", 4.8, 0.3) == _u("U1", 4.8, 0.3, wall=False)


@pytest.mark.parametrize("name, log_z", [("U1", 1.8775), ("U2", 2.0827), ("U3", 2.6423), ("U4", 2.7113)])
def test_log_normalisers(name, log_z):
    """Those of U2 to U4 were found with one grid point too many in z1, which is a factor of 8.005 / 8."""
    assert potential.log_normaliser(name, wall=False, step=0.02) == pytest.approx(log_z, abs=7e-4)


def test_log_normaliser_in_closed_form():
    ridge = 0.4 * math.sqrt(2 * math.pi)
    assert potential.log_normaliser("U2", wall=False, step=0.02) == pytest.approx(math.log(8 * ridge), abs=1e-9)
    assert potential.log_normaliser("U2", step=0.02) == pytest.approx(math.log((8 + ridge) * ridge), abs=1e-6)


def test_the_gradient_at_the_origin_is_finite():
    z = tf.zeros([1, 2])
    with tf.GradientTape() as tape:
        tape.watch(z)
        value = potential.energy("U1")(z)
    assert np.isfinite(tape.gradient(value, z)).all()


# -------------------------------------------------------------------------------------------------- a Gaussian target

LOC, FACTOR, NOISE = np.array([0.5, -1.0]), np.array([1.5, 0.7]), np.array([0.4, 0.9])
VARIANCE, LOG_Z = FACTOR**2 + NOISE**2, 0.8


def _gaussian_energy(z):
    log_z = LOG_Z - 0.5 * np.log(2 * np.pi * VARIANCE).sum()
    return tf.reduce_sum(0.5 * tf.square(z - LOC.astype("float32")) / VARIANCE.astype("float32"), -1) - log_z


def _set_linear(conditional, parent, matrix, bias, log_variance):
    """Makes a ReLU network the linear map of its parent, x = relu(x) - relu(-x), with a constant variance."""
    size, trunk, head = len(matrix[0]), conditional.trunk.dense, conditional.head
    trunk[0].project[parent].kernel.assign(np.concatenate([np.eye(size), -np.eye(size)], 1))
    trunk[1].kernel.assign(np.eye(2 * size))
    matrix = np.concatenate([matrix, np.zeros_like(matrix)])
    head.kernel.assign(np.concatenate([matrix, -matrix], 1).T)
    head.bias.assign(np.concatenate([bias, log_variance]))


def _gaussian_world():
    """z = LOC + FACTOR a[:2] + NOISE e, so that q(z) is the target, and p(a|z) the exact posterior; a[2:] is independent."""
    model = potential.Potential(_gaussian_energy, dim_a=4)
    model.q["z"] = potential.Gaussian("a", 2, Network(hidden=(8, 8)))
    model.p["a"] = potential.Gaussian("z", 4, Network(hidden=(4, 4)))
    model.q["z"].build_from({"a": 4})
    model.p["a"].build_from({"z": 2})
    _set_linear(model.q["z"], "a", np.eye(2, 4) * FACTOR[:, None], LOC, np.log(NOISE**2))
    gain = np.eye(4, 2) * (FACTOR / VARIANCE)
    _set_linear(model.p["a"], "z", gain, -gain @ LOC, np.concatenate([np.log(NOISE**2 / VARIANCE), np.zeros(2)]))
    return model


def test_with_exact_linear_conditionals_every_log_weight_is_log_z():
    log_w = _gaussian_world().log_weights(tf.constant([1, 2]), 3, 5)
    assert log_w.shape == (3, 5)
    np.testing.assert_allclose(log_w, np.full((3, 5), LOG_Z), atol=2e-5)


def test_a_wrong_p_a_costs_its_divergence():
    """log Z - bound = E KL(q(a|z) || p(a|z)) = shift^2 / 2 for one of the components that z says nothing about."""
    model, shift = _gaussian_world(), 0.6
    bias = model.p["a"].head.bias
    bias.assign(bias + np.eye(8)[3].astype("float32") * shift)
    results = energy_training.evaluate(model, energy_settings.Settings(), seed=0)
    assert abs(results["bound"] - (LOG_Z - shift**2 / 2)) < 4 * results["bound_stderr"] < 0.01
    assert results["bound"] + 0.1 < results["importance_bound"] < LOG_Z
    assert abs(results["log_z_estimate"] - LOG_Z) < 4 * results["log_z_estimate_stderr"] < 0.01


def test_the_density_is_the_marginal_of_q():
    model, z1, z2 = _gaussian_world(), np.linspace(-6, 7, 80), np.linspace(-7, 5, 90)
    density = model.density(z1, z2, tf.constant([0, 1]), samples=50_000)
    exact = scipy.stats.multivariate_normal(LOC, np.diag(VARIANCE)).pdf(potential.grid(z1, z2))
    np.testing.assert_allclose(density, exact, atol=0.03 * exact.max())


# ----------------------------------------------------------------------------------------------------------- training


def test_mean_field_finds_a_gaussian():
    model = potential.Potential(_gaussian_energy, auxiliary=False, seed=1)
    energy_training.fit(model, energy_settings.Settings(steps=800, batch=64, learning_rate=0.03, average=0.9), seed=1)
    results = energy_training.evaluate(model, SHORT, seed=1)
    assert results["bound"] == pytest.approx(LOG_Z, abs=0.005)
    density = model.density(LOC[:1], LOC[1:], tf.constant([0, 1]))
    np.testing.assert_allclose(density, 1 / (2 * np.pi * np.sqrt(VARIANCE.prod())), rtol=0.05)


def test_training_raises_the_bound_and_depends_on_the_seed_alone():
    bounds = []
    for seed in (3, 3, 4):
        model = potential.Potential(potential.energy("U1"), seed=seed)
        before = energy_training.evaluate(model, SHORT, seed)["bound"]
        energy_training.fit(model, SHORT, seed)
        bounds.append(energy_training.evaluate(model, SHORT, seed)["bound"])
        assert bounds[-1] > before + 1.0
    assert bounds[0] == pytest.approx(bounds[1], abs=1e-4) and abs(bounds[2] - bounds[1]) > 1e-3


def test_training_starts_at_the_temperature():
    """One step from the same weights, a warmer energy has another gradient."""
    weights = []
    for temperature in (1.0, 3.0):
        model = potential.Potential(potential.energy("U1"), seed=0)
        energy_training.fit(model, energy_settings.Settings(steps=2, batch=8, temperature=temperature), seed=0)
        weights.append(model.q["z"].head.bias.numpy())
    assert np.abs(weights[0] - weights[1]).max() > 1e-5


@pytest.mark.parametrize(
    "wrong, message",
    [
        (dict(steps=0), "steps: got 0; allowed: at least 1"),
        (dict(learning_rate=-1.0), "learning_rate: got -1.0"),
        (dict(learning_rate=float("nan")), "learning_rate: got nan"),
        (dict(temperature=0.5), "temperature: got 0.5; allowed: at least 1.0"),
        (dict(average=1.0), "average: got 1.0"),
        (dict(importance_samples=60_000), "importance_samples: got 60000; allowed: 1 to 50000"),
    ],
)
def test_settings_that_are_not_allowed(wrong, message):
    with pytest.raises(ValueError, match=message):
        energy_settings.Settings(**wrong)


def test_an_unknown_energy_lists_the_known_ones():
    with pytest.raises(ValueError, match="energy: got 'U5'; allowed: U1, U2, U3, U4"):
        potential.energy("U5")


def test_a_diverged_model_is_refused():
    model = potential.Potential(potential.energy("U1"), auxiliary=False)
    model.q["z"].loc.assign([np.nan, 0.0])
    with pytest.raises(ValueError, match="training diverged"):
        energy_training.evaluate(model, SHORT, 0)


# ------------------------------------------------------------------------------------------------------------ command


def test_the_command_writes_results_and_a_figure(tmp_path):
    results, models = energies.experiment("U2", SHORT, seed=1)
    path = tmp_path / "density.png"
    energies.draw("U2", *models, results, path)
    assert path.stat().st_size > 10_000
    json.dumps(results, allow_nan=False)
    assert results["log_normaliser"] == pytest.approx(2.2002, abs=1e-4)
    assert results["bound"] < results["log_normaliser"] and results["mean_field_bound"] < results["log_normaliser"]
    assert energies.summary(results).startswith(f"U2 seed 1: bound {results['bound']:.4f} +- ")


def test_directories_of_the_seeds(tmp_path):
    assert cli.choose_directories(tmp_path) == {0: tmp_path}
    assert cli.choose_directories(tmp_path, seed=7) == {7: tmp_path}
    assert cli.choose_directories(tmp_path, seeds=["2", "0"]) == {2: tmp_path / "2", 0: tmp_path / "0"}
    with pytest.raises(ValueError, match="one of --seed and --seeds"):
        cli.choose_directories(tmp_path, seed=1, seeds=["2"])
    for wrong in (["x"], ["-1"], ["1", ""], []):
        with pytest.raises(ValueError, match="seeds: got .*; allowed: whole numbers"):
            cli.choose_directories(tmp_path, seeds=wrong)
    (tmp_path / "results.json").touch()
    with pytest.raises(ValueError, match="results.json exists; allowed: another directory, or --overwrite"):
        cli.choose_directories(tmp_path)
    assert cli.choose_directories(tmp_path, overwrite=True) == {0: tmp_path}


def test_a_mistake_is_told_before_any_work(tmp_path, monkeypatch, capsys):
    """As a user meets it: one line, exit code 1, nothing written."""
    monkeypatch.setattr(energies, "experiment", lambda *_: pytest.fail("work was begun"))
    before = set(flags.FLAGS)
    cli.define_flags()
    try:
        for argument, message in (
            ("--energy=U5", "error: energy: got 'U5'; allowed: U1, U2, U3, U4\n"),
            ("--steps=0", "error: steps: got 0; allowed: at least 1\n"),
            ("--seeds=1,b", "error: seeds: got 'b'; allowed: whole numbers, as --seeds=0,1,2\n"),
        ):
            argv = common.parse(["potential", f"--out={tmp_path / 'new'}", argument])
            assert common.guard(cli.main, argv) == 1
            assert capsys.readouterr().err == message
            flags.FLAGS.unparse_flags()
            for name in ("energy", "steps", "seeds"):
                flags.FLAGS[name].unparse()
    finally:
        for name in set(flags.FLAGS) - before:
            delattr(flags.FLAGS, name)
        flags.FLAGS.unparse_flags()
    assert not (tmp_path / "new").exists()
