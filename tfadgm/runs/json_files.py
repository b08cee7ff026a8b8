"""The JSON files of a run directory."""

import json
import os
import pathlib
from typing import Any

from tfadgm.data import files


def read_json(path: pathlib.Path | str) -> Any:
    """Returns the content of a JSON file, or raises a ValueError that names it."""
    text = files.read_text(path, "a run directory that bin/train made")
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: not a readable JSON file: {error}") from None


def write_json(path: pathlib.Path, content: object) -> None:
    """Writes JSON under a temporary name and renames it."""
    temporary = path.with_suffix(".writing")
    temporary.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n")
    os.replace(temporary, path)
