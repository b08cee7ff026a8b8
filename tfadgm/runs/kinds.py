"""The kinds of values that settings have: how each is written as text, and what is one."""

import numbers
from collections.abc import Callable
from typing import Any

Auto = Any  # "auto", or what takes its place
AUTO = "auto"


def is_of(kind: object, value: object) -> bool:
    """Whether a value is of a kind of `KINDS`; None is of none."""
    if kind in ("count", "sizes", "amount") and isinstance(value, str):
        return value == AUTO
    if kind in (tuple, "numbers", "sizes"):
        one = float if kind == "numbers" else int
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


def _parse_sizes(text):
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
    "numbers": (lambda text: tuple(float(part) for part in text.split(",")), "numbers separated by commas"),
    tuple: (_parse_sizes, "whole numbers separated by commas"),
    "sizes": (lambda text: text if text == AUTO else _parse_sizes(text), "whole numbers separated by commas, or auto"),
}
