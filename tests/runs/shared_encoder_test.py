"""A training with a shared encoder goes on to the same bits; its model is weighed against its labels alone and exported."""

import dataclasses

import numpy as np
import tensorflow as tf

from tfadgm import evaluation
from tfadgm.evaluation import diagnostics
from tfadgm.runs import build, recipes, select
from tfadgm.serving import export

TINY = dict(hidden=(8, 7), dim_z=2, batch=20, epochs=2, schedule="constant", test_samples=3, stop="none", select=True)


def test_it_goes_on_is_selected_and_exported_with_the_same_answers(tmp_path, monkeypatch):
    monkeypatch.setattr(select, "NETWORK_STEPS", 20)
    monkeypatch.setattr(select, "STEPS", 1)  # one fold
    generator, y = np.random.default_rng(0), np.arange(60) % 2
    x = (generator.normal(size=(60, 3)) + 1.5 * y[:, np.newaxis]).astype("float32")
    np.savez(tmp_path / "own.npz", x=x, y=np.where(np.arange(60) < 12, y, -1), x_test=x, y_test=y)
    settings = recipes.resolve("m2", f"npz:{tmp_path / 'own.npz'}", **TINY, shared_encoder="stopped")
    data, split = build.load_data(settings)

    def trained(name, epochs):
        (tmp_path / name).mkdir(exist_ok=True)
        return build.train(dataclasses.replace(settings, epochs=epochs), data, split, tmp_path / name, quiet=True)

    (model, state, rows), (whole, _, _) = [trained("parts", 1), trained("parts", 2)][1], trained("whole", 2)
    assert len(rows) == 2 and list(model.q) == ["h", "y", "z"] and model.network.shared_encoder == "stopped"
    for ours, theirs in zip(model.get_weights(), whole.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    own = evaluation.class_probabilities(model, x, 3)
    selection = select.select(settings, data, split, model, state)
    assert set(selection.told["members"]) == {"model", "network", "logistic"}
    selection.give(model)
    assert np.abs(evaluation.class_probabilities(model, x, 3) - own).max() > 1e-4
    assert set(diagnostics.active_units(model, x[:5])) == {"z"} and evaluation.answers.latent_names(model) == ["z0", "z1"]
    exported = tf.saved_model.load(str(export.save(model, ["0", "1"], tmp_path / "export", 3))).signatures
    found = exported["predict"](x=x)["probabilities"]
    np.testing.assert_allclose(found, evaluation.class_probabilities(model, x, 3), atol=1e-6)
    log_density = exported["log_density"](x=x, samples=tf.constant(2))["log_density"]
    np.testing.assert_allclose(log_density, evaluation.log_density(model, x, 2), atol=1e-4)
    encoded = exported["encode"](x=x)
    assert set(encoded) == {"z"}
    np.testing.assert_allclose(encoded["z"], model.encode(x)["z"], atol=1e-5)
