"""Opening a run directory whose config.json is not what bin/train wrote: one line that names the file."""

import copy
import dataclasses
import json

import numpy as np
import pytest

from tfadgm.data.preprocess import Preprocess
from tfadgm.models.m2 import M2
from tfadgm.networks import mlp
from tfadgm.runs import recipes, run_directory
from tfadgm.runs.run_directory import Run
from tfadgm.training import checkpoints

NESTED = "[" * 10_000 + "]" * 10_000


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A run directory that can be opened, without a training behind it, and the content of its config.json."""
    directory = tmp_path_factory.mktemp("runs") / "run"
    directory.mkdir()
    preprocess = Preprocess((3,), scale=[1.0, 2.0, 3.0], shift=[0.0, 0.0, 1.0])
    model = M2(preprocess, 2, likelihood="gaussian", network=mlp.Network(hidden=(4,)), dim_z=2)
    settings = recipes.resolve("m2", "npz:own.npz", hidden=(4,), dim_z=2, epochs=1)
    checkpoints.save_weights(model, directory / "model.weights.h5")
    config = dict(settings=dataclasses.asdict(settings), model_config=model.get_config(), class_names=["no", "yes"])
    return directory, json.loads(json.dumps({**config, "git_revision": None}))


def change(config, place, value):
    """Returns a copy of config in which the entry at `place`, names joined by dots, is `value`."""
    config = copy.deepcopy(config)
    *outer, last = place.split(".")
    inside = config
    for name in outer:
        inside = inside[name]
    inside[last] = value
    return config


HOSTILE = [
    *[("settings.epochs", value) for value in ("ten", "3", [3], {}, True, 2.5, 1e400)],
    *[("settings.labels", value) for value in ([1, 2], "all", {}, False)],
    *[("settings.seed", value) for value in ("0", None, [0], -1, 2**40, 0.5)],
    *[("settings.dataset", value) for value in (3, None, ["npz"], {}, True)],
    *[("settings.model", value) for value in (3, None, "gan", ["m2"], "os:system")],
    *[("settings.hidden", value) for value in ("10", None, ["10"], [[4]], [1.5], {"0": 4})],
    *[("settings.batch_norm", value) for value in ("yes", 1, None, [])],
    *[("settings.learning_rate", value) for value in ("fast", None, [], float("nan"), float("inf"), True)],
    *[("settings.likelihood", value) for value in (3, [], "cauchy")],
    *[("settings.data_dir", value) for value in (3, [], {})],
    *[("settings.exact_classes", value) for value in ("some", [], 1.5)],
    *[("settings.z_range", value) for value in ("0,1", [None], [float("nan"), 1])],
    *[("settings", value) for value in ("text", None, [], 3)],
    *[("model_config", value) for value in ("text", None, [], 3, {}, {"preprocess": "x"})],
    *[("model_config.preprocess", value) for value in ("text", None, {}, [], {"raw_shape": "ab"})],
    *[("model_config.network", value) for value in ("text", None, {"hidden": "many"}, {"trunk": 3}, {"unknown": 1})],
    *[("model_config.objective", value) for value in ("text", None, {"unknown": 1})],
    *[("model_config.num_classes", value) for value in ("two", None, 3, -1, [2])],
    *[("model_config.dim_z", value) for value in ("text", [], [[2]], -1)],
    *[("model_config.preprocess.scale", value) for value in (float("nan"), float("inf"), "one", [1.0, float("nan"), 1.0])],
    *[("model_config.preprocess.shift", value) for value in (float("nan"), [0.0, 0.0], {})],
    *[("model_config.preprocess.raw_dtype", value) for value in ("text", "object", "U5", 3)],
    ("model_config.preprocess.columns", [7]),
    ("model_config.likelihood", "os"),
    *[("class_names", value) for value in (None, [["no"], ["yes"]], ["no"], ["no", "no"], "no", {"no": 1}, [1, 2], 3)],
]


@pytest.mark.parametrize("place, value", HOSTILE, ids=lambda part: json.dumps(part)[:30])
def test_a_hostile_config_is_refused_in_one_line_that_names_it(place, value, written):
    directory, config = written
    (directory / "config.json").write_text(json.dumps(change(config, place, value)))
    with pytest.raises(ValueError, match=r"config\.json|model\.weights\.h5") as told:
        Run.open(directory)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("text", ["", "{", "null", "NaN", NESTED, '{"settings": ' + NESTED + "}", "\x00", "\ufeff{}"])
def test_a_config_that_is_no_json_object_is_refused(text, written):
    directory, _ = written
    (directory / "config.json").write_text(text)
    with pytest.raises(ValueError, match=r"config\.json: (not a readable JSON file|has no settings)"):
        Run.open(directory)


def test_the_config_as_it_was_written_opens_and_weights_that_are_not_finite_do_not(written):
    directory, config = written
    (directory / "config.json").write_text(json.dumps(config))
    opened = Run.open(directory)
    assert opened.class_names == ["no", "yes"]
    opened.model.set_weights([np.full_like(weight, np.nan) for weight in opened.model.get_weights()])
    checkpoints.save_weights(opened.model, directory / "nan.weights.h5")
    (directory / "nan.weights.h5").replace(directory / "model.weights.h5")
    with pytest.raises(ValueError, match="model.weights.h5: .* holds NaN or infinite numbers"):
        Run.open(directory)


def test_an_answer_of_json_that_is_too_deep_is_told(tmp_path):
    (tmp_path / "deep.json").write_text(NESTED)
    with pytest.raises(ValueError, match="deep.json: not a readable JSON file"):
        run_directory.read_json(tmp_path / "deep.json")
