"""The model that a config.json describes, which may come from anybody: types, numbers and sizes are checked."""

import functools
import math
import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np

from tfadgm import registry
from tfadgm.models.base import DeepGenerativeModel

MOST_LAYERS = 200
MOST_NUMBERS = 10**8  # of an example, or of classes


def checked(path: pathlib.Path | str, make: Callable[[], Any]) -> Any:
    """Returns make(); whatever it raises becomes a ValueError that names the config.json `path`."""
    try:
        return make()
    except Exception as error:  # the file may hold anything
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ValueError(f"{path}: {reason}") from error


def model(path: pathlib.Path | str, name: str, config: dict) -> DeepGenerativeModel:
    """Returns the model that the content of a config.json describes, or raises a ValueError that names `path`."""
    names, given = config["class_names"], config["model_config"]
    if not isinstance(given, dict):
        raise ValueError(f"{path}: model_config is {given!r:.40}; allowed: an object of the model's arguments")
    built = registry.model_class(name)
    checked(path, lambda: _check_sizes(given))
    made = checked(path, lambda: built.from_config({**given, "precision": "float32"}))
    texts = isinstance(names, list) and all(isinstance(each, str) for each in names)
    if not texts or (made.has_class and not len(names) == len(set(names)) == made.num_classes):
        raise ValueError(f"{path}: class_names is {str(names):.40}; allowed: {made.num_classes} different names")
    for name in ("scale", "shift"):
        values, shape = getattr(made.preprocess, name), made.preprocess.raw_shape
        spread = checked(path, functools.partial(np.broadcast_to, values, shape))
        if not np.isfinite(values).all() or spread.shape != shape:
            raise ValueError(f"{path}: {name} of the preprocessing is {values}; allowed: finite numbers")
    if checked(path, lambda: np.dtype(made.preprocess.raw_dtype)).kind not in "uifb":
        raise ValueError(f"{path}: raw_dtype is {made.preprocess.raw_dtype!r}; allowed: a type of numbers")
    return made


def _check_sizes(given):
    """Raises a ValueError for numbers of a model's config that no model has, before an array of that size is made."""
    numbers = {"num_classes": given.get("num_classes"), "anchors": given.get("anchors")}
    numbers["raw_shape"] = math.prod(given["preprocess"].get("raw_shape") or ())
    lists = {**given["network"], **given}
    for key in ("hidden", "hidden_above", "filters", "dim_z", "dim_a", "hidden_y", "hidden_z"):
        if isinstance(lists.get(key), list) and len(lists[key]) > MOST_LAYERS:
            raise ValueError(f"{key} has {len(lists[key])} numbers; allowed: at most {MOST_LAYERS}")
    depth = given["network"].get("depth", 1)
    if not isinstance(depth, int) or depth > MOST_LAYERS:
        raise ValueError(f"depth is {depth!r:.40}; allowed: a whole number, at most {MOST_LAYERS}")
    for key, value in numbers.items():
        if isinstance(value, int | float) and value > MOST_NUMBERS:
            raise ValueError(f"{key} is {value:g}; allowed: at most {MOST_NUMBERS}")
