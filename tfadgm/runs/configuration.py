"""Files of settings, YAML or JSON, and what wins where a setting is given in several places.

A file is a mapping of names of settings to values, as YAML or JSON has them, or as texts as `bin/train` takes them; or it is
the config.json of a run, whose settings are complete. It may come from anybody: nothing in it is executed, an alias, a key
that is there twice and whatever is no setting is refused, and its values are checked as those of flags are.
"""

import dataclasses
import difflib
import json
import pathlib
from typing import Any

import yaml

from tfadgm.runs import recipes
from tfadgm.runs.kinds import BUDGETS
from tfadgm.runs.settings import Settings, parse

NAME = "config.json"  # of a run's
MOST_YAML, MOST_JSON = 1 << 16, 1 << 26  # bytes; a run's config.json has what is known of thousands of columns
FIELDS = {field.name: field for field in dataclasses.fields(Settings)}


def resolve(*layers: dict[str, Any]) -> Settings:
    """Returns the `Settings` of layers of given settings, the first of which wins, on top of the recipe.

    A budget in one layer takes the place of those of the layers behind it. Without a model it is sdgm.
    """
    given: dict[str, Any] = {}
    for layer in reversed(layers):
        if any(layer.get(name) is not None for name in BUDGETS):
            given = {name: value for name, value in given.items() if name not in BUDGETS}
        given |= layer
    return recipes.resolve(given.pop("model", FIELDS["model"].default), given.pop("dataset"), **given)


def read(path: pathlib.Path | str) -> dict[str, Any]:
    """Returns the settings in a file, or in the config.json of a run's directory, {name: value}.

    Raises:
      ValueError: for what is no such file, or names what is no setting.
    """
    path = pathlib.Path(path).expanduser()
    path = path / NAME if path.is_dir() else path
    content = _content(path)
    if not isinstance(content, dict):
        raise ValueError(f"{path}: holds {type(content).__name__}; allowed: names of settings with their values")
    whole = isinstance(content.get("settings"), dict)
    given = content["settings"] if whole else content
    for name in given:
        if name not in FIELDS:
            raise ValueError(f"{path}: got the setting {name!r}; allowed: {nearest(str(name), list(FIELDS))}")
    if whole:  # of a run, where none of today's recipes fills in what an older version did not know
        return {name: field.default for name, field in FIELDS.items()} | given
    return {name: _value(name, value) for name, value in given.items()}


def nearest(name: str, known: list[str]) -> str:
    """Returns the names of `known` that are most like `name`, as text, or all."""
    return " or ".join(difflib.get_close_matches(name, known, 3, 0.6)) or ", ".join(known)


def write(path: pathlib.Path, settings: Settings) -> None:
    """Writes all settings as YAML, each as the flag of its name would be given."""
    content = {name: _plain(value) for name, value in dataclasses.asdict(settings).items()}
    temporary = path.with_suffix(".writing")
    temporary.write_text(yaml.safe_dump(content, sort_keys=False, default_flow_style=None))
    temporary.replace(path)


def _plain(value):
    return list(value) if isinstance(value, tuple) else value


def _value(name, value):
    """What a person wrote: a text is read as that of a flag, where the setting is no text."""
    if isinstance(value, str) and (FIELDS[name].metadata["kind"] not in (str, "path") or value.lower() == "none"):
        return parse(name, value)
    return value


def _content(path):
    is_json = path.suffix == ".json"
    most = MOST_JSON if is_json else MOST_YAML
    try:
        if path.stat().st_size > most:
            raise ValueError(f"{path}: has {path.stat().st_size} bytes; allowed: at most {most}")
        text = path.read_text()
    except UnicodeDecodeError:
        raise ValueError(f"{path}: is no text; allowed: settings as YAML or JSON") from None
    except OSError as error:
        told = "no such file" if isinstance(error, FileNotFoundError) else error.strerror
        raise ValueError(f"{path}: {told}; allowed: settings as YAML or JSON, or a run's directory") from None
    try:
        return json.loads(text, object_pairs_hook=_once, parse_constant=_no_number) if is_json else yaml.load(text, _Loader)
    except (ValueError, TypeError, RecursionError, yaml.YAMLError) as error:
        lines = [line.strip() for line in str(error).splitlines()] or [type(error).__name__]
        reason = ", ".join(lines[:2])
        raise ValueError(f"{path}: not readable {'JSON' if is_json else 'YAML'}: {reason}") from None


def _once(pairs):
    names = [name for name, _ in pairs]
    twice = next((name for name in names if names.count(name) > 1), None) if len(set(names)) < len(names) else None
    if twice is not None:
        raise ValueError(f"the key {twice!r} is there twice")
    return dict(pairs)


def _no_number(text):
    raise ValueError(f"got {text}, which is no number")


class _Loader(yaml.SafeLoader):
    """Refuses aliases, by which a few lines become gigabytes, and keys that are there twice."""

    def compose_node(self, parent, index):
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("holds an alias; allowed: values themselves")
        return super().compose_node(parent, index)

    def construct_mapping(self, node, deep=False):
        return _once([[self.construct_object(each, deep=True) for each in pair] for pair in node.value])
