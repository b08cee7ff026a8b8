"""The kinds of values that settings have: how each is written as text, and what is one."""

import numbers
from collections.abc import Callable
from typing import Any

Auto = Any  # "auto", or what takes its place
AUTO = "auto"
BUDGETS = ("epochs", "minutes", "steps")  # of which a run has one
CLASS_PRIORS = ("uniform", "labels", "auto")


def is_of(kind: object, value: object) -> bool:
    """Whether a value is of a kind of `KINDS`; None is of none."""
    if kind in ("count", "sizes", "amount") and isinstance(value, str):
        return value == AUTO
    if kind == "prior" and value in CLASS_PRIORS:
        return True
    if kind in (tuple, "numbers", "sizes", "prior"):
        one = int if kind in (tuple, "sizes") else float
        return isinstance(value, tuple) and all(is_of(one, part) for part in value)
    if isinstance(value, bool) or kind is bool:
        return isinstance(value, bool) and kind is bool
    return isinstance(
        value, {float: numbers.Real, "amount": numbers.Real, str: str, "path": str}.get(kind, numbers.Integral)
    )


def _parse_bool(text):
    if text.lower() in ("true", "yes", "on", "1"):
        return True
    if text.lower() in ("false", "no", "off", "0"):
        return False
    raise ValueError(text)


def _numbers(text):
    return tuple(float(part) for part in text.split(","))


def _sizes(text):
    return tuple(int(part) for part in text.split(","))


# Of each kind: how its text is read, and what is allowed.
KINDS: dict[object, tuple[Callable[[str], Any], str]] = {
    int: (int, "a whole number"),
    float: (float, "a number"),
    str: (str, "text"),
    "path": (str, "a path"),
    "count": (lambda text: text if text == AUTO else int(text), "a whole number, or auto"),
    "amount": (lambda text: text if text == AUTO else float(text), "a number, or auto"),
    bool: (_parse_bool, "true or false"),
    "numbers": (_numbers, "numbers separated by commas"),
    "prior": (
        lambda text: text if text in CLASS_PRIORS else _numbers(text),
        f"{', '.join(CLASS_PRIORS)}, or numbers separated by commas",
    ),
    tuple: (_sizes, "whole numbers separated by commas"),
    "sizes": (lambda text: text if text == AUTO else _sizes(text), "whole numbers separated by commas, or auto"),
}
