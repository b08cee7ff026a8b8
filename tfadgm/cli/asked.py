"""The settings that a command is asked for: by flags, a file and a preset, on top of the recipe of the data set."""

import dataclasses

from absl import flags

from tfadgm.cli import common
from tfadgm.experiments import presets
from tfadgm.runs import allowed, configuration
from tfadgm.runs.settings import Settings, parse

flags.disclaim_key_flags()  # they belong to the command

LIST = "list"  # the value of --preset that lists them


def define_flags(but=()):
    """Defines --config, --preset, and one flag per field of `Settings` that is not in `but`."""
    common.define_path(
        "config",
        "[common] A file of settings, YAML or JSON, or a run's directory, whose config.json is one; flags win.",
    )
    flags.DEFINE_string("preset", None, f"[common] The settings of a paper's cell or a recipe; '{LIST}' lists them.")
    for field in dataclasses.fields(Settings):
        if field.name not in but:
            data = field.metadata
            choices = f" One of: {', '.join(data['choices'])}." if data["choices"] else ""
            text = f"[{data['group']}] {data['text']}{choices}{_default(field)}"
            common.define_text(field.name, text, data["kind"] is bool)


def _default(field):
    if field.default is None or field.name == "dataset":
        return ""
    value = ",".join(map(str, field.default)) if isinstance(field.default, tuple) else field.default
    return f" Default: {value}{'' if field.name in ('model', 'seed') else ', or that of the data set'}."


def settings(but=(), further=None):
    """Returns the `Settings` of the flags that were given; these win over --config, and that over --preset.

    `but`: as in `define_flags`. `further`: settings that other flags give, a dict.
    """
    values = flags.FLAGS
    names = [field.name for field in dataclasses.fields(Settings) if field.name not in but]
    given = {name: parse(name, values[name].value) for name in names if values[name].value is not None}
    layers = [given | (further or {})]
    if values.config is not None:
        layers.append(configuration.read(values.config))
    if values.preset is not None:
        layers.append(presets.settings(values.preset))
    has_data = any(layer.get("dataset") for layer in layers)
    found = configuration.resolve(*layers, {} if has_data else dict(dataset="mnist"))
    if not has_data:
        raise ValueError(
            "dataset: got none; allowed: --dataset=digits (downloads nothing), npz:FILE, csv:FILE, images:DIR, ..."
        )
    return found


def lists_presets():
    """Prints the presets if that is what is asked for; returns whether it was."""
    if flags.FLAGS.preset != LIST:
        return False
    print("--preset=NAME, on top of which flags and --config win:", *presets.lines(), sep="\n")
    return True


def check(found):
    """Raises a ValueError for what a `Settings` asks for and there is not, as far as that needs no TensorFlow."""
    allowed.check_data(found)
    allowed.check_model(found)
    allowed.check_files(found)
