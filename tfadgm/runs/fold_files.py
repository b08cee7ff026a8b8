"""What fold models have answered, kept until the run is complete: an interrupted selection goes on from there."""

import hashlib
import io
import os
import pathlib
import shutil

import numpy as np

from tfadgm.data import npz
from tfadgm.telling import tell

NAME = "selection"  # of their directory


def identity(about: str, *arrays: np.ndarray) -> np.ndarray:
    """The SHA-256, uint8 [32], of what the answers of a fold follow from, a text and arrays."""
    found = hashlib.sha256(about.encode())
    for array in arrays:
        found.update(f"{array.dtype}{array.shape}".encode() + np.ascontiguousarray(array).tobytes())
    return np.frombuffer(found.digest(), "uint8")


class Folds:
    """The answers of the fold models so far, and their files selection/fold-K.npz.

    Args:
      directory: of the run; None: it has none, and nothing is kept.

    Attributes:
      answers: {k: log q, [n, S, K]} of fold k.
      seconds: that the answers which were read had taken.
    """

    def __init__(self, directory: pathlib.Path | None = None) -> None:
        self.directory = None if directory is None else directory / NAME
        self.answers: dict[int, np.ndarray] = {}
        self.seconds = 0.0

    def read(self, identities: list[np.ndarray], shapes: list[tuple[int, int]]) -> None:
        """Takes over what an interrupted process kept, where it is whole and has the `identity`; tells of what is not.

        Args:
          identities: of the folds.
          shapes: their (n, K).
        """
        others = []
        for k in range(len(identities) if self.directory is not None else 0):
            if (path := self._path(k)).exists():
                found = _read(path, identities[k], shapes[k])
                if found is None:
                    others.append(path.name)
                else:
                    self.answers[k], self.seconds = found[0], self.seconds + found[1]
        if others:
            told = "damaged, or of another training; made again"
            tell(f"{self.directory}: {', '.join(others)} {'is' if len(others) == 1 else 'are'} {told}")

    def add(self, k: int, identity: np.ndarray, answers: np.ndarray, seconds: float) -> None:
        """Adds the answers of fold k, which took `seconds`; its file is renamed when it is whole."""
        self.answers[k] = answers
        if self.directory is None:
            return
        self.directory.mkdir(exist_ok=True)
        memory, path = io.BytesIO(), self._path(k)
        np.savez(memory, identity=identity, answers=answers, seconds=seconds)
        temporary = path.with_suffix(".writing")
        temporary.write_bytes(memory.getbuffer())
        os.replace(temporary, path)

    def _path(self, k):
        assert self.directory is not None
        return self.directory / f"fold-{k}.npz"


def remove(directory: pathlib.Path) -> None:
    """Removes from a run directory what `Folds` kept there."""
    if (directory / NAME).exists():
        shutil.rmtree(directory / NAME, ignore_errors=True)


def _read(path, identity, shape):
    """(answers, seconds) of a file; None if it is damaged, or has another identity."""
    try:
        found = npz.read_arrays(path, ("identity", "answers", "seconds"))
    except ValueError:
        return None
    answers, seconds = found["answers"], found["seconds"]
    whole = np.array_equal(found["identity"], identity) and answers.dtype == "float32" and seconds.dtype == "float64"
    whole = whole and answers.ndim == 3 and answers.shape[::2] == shape and seconds.shape == ()
    return (answers, float(seconds)) if whole and not np.isnan(answers).any() and np.isfinite(seconds) else None
