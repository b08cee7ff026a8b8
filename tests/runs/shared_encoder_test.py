"""A run with a shared encoder: trained longer, weighed against its labels alone, opened and exported."""

import dataclasses

import numpy as np
import tensorflow as tf

from tfadgm import evaluation
from tfadgm.evaluation import diagnostics
from tfadgm.reporting import figures
from tfadgm.runs import recipes, run, run_directory
from tfadgm.training import baseline

TINY = dict(hidden=(8, 7), dim_z=2, batch=20, density_examples=5, density_samples=2, test_samples=3, stop="none")


def test_a_run_goes_on_selects_and_is_exported_with_the_same_answers(tmp_path, monkeypatch):
    monkeypatch.setattr(baseline, "class_probabilities", lambda *arguments, **_: np.full((len(arguments[3]), 2), 0.5))
    monkeypatch.setattr(figures, "all_figures", lambda *arguments: None)
    export = run_directory.Run.export
    monkeypatch.setattr(run_directory.Run, "export", lambda self, **options: None)
    generator, y = np.random.default_rng(0), np.arange(60) % 2
    x = (generator.normal(size=(60, 3)) + 1.5 * y[:, np.newaxis]).astype("float32")
    np.savez(tmp_path / "own.npz", x=x, y=np.where(np.arange(60) < 12, y, -1), x_test=x, y_test=y)
    source = f"npz:{tmp_path / 'own.npz'}"
    settings = recipes.resolve("m2", source, **TINY, epochs=1, select=False, shared_encoder="stopped")
    run.train(settings, tmp_path / "run", quiet=True)
    results = run.train(dataclasses.replace(settings, epochs=2, select=True), tmp_path / "run", quiet=True)
    assert results["epochs"] == 2 and set(results["selection"]["members"]) == {"model", "network", "logistic"}
    opened = run_directory.Run.open(tmp_path / "run")
    model = opened.model
    assert list(model.q) == ["h", "y", "z"] and opened.settings.shared_encoder == "stopped"
    assert set(diagnostics.active_units(model, x[:5])) == {"z"} and evaluation.answers.latent_names(model) == ["z0", "z1"]
    exported = tf.saved_model.load(str(export(opened, tmp_path / "export"))).signatures
    found = exported["predict"](x=x)["probabilities"]
    np.testing.assert_allclose(found, evaluation.class_probabilities(model, x, 3), atol=1e-6)
    log_density = exported["log_density"](x=x, samples=tf.constant(2))["log_density"]
    np.testing.assert_allclose(log_density, evaluation.log_density(model, x, 2), atol=1e-4)
    encoded = exported["encode"](x=x)
    assert set(encoded) == {"z"}
    np.testing.assert_allclose(encoded["z"], model.encode(x)["z"], atol=1e-5)
