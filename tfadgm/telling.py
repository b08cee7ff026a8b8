"""What is told to the user beside results, on stderr: warnings, and how far a task is that takes more than two seconds."""

import contextlib
import contextvars
import math
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import IO, TypeAlias

Progress: TypeAlias = Callable[[int, int], None]  # of (done, total), called now and then

MODES = ("auto", "on", "off")
LATER = 2.0  # seconds that a task takes before anything is told of it
REDRAWN = 0.2  # seconds between two drawings of the line

_listeners: list[list[str]] = []
_mode: contextvars.ContextVar[str] = contextvars.ContextVar("mode", default="")
_current: contextvars.ContextVar["Task | None"] = contextvars.ContextVar("current", default=None)
_drawn: list["Task"] = []  # the task whose line stands on the terminal, if any
_lock = threading.RLock()


@contextlib.contextmanager
def recorded() -> Iterator[list[str]]:
    """Yields a list to which every warning within the scope is added, beside its being told."""
    lines: list[str] = []
    _listeners.append(lines)
    try:
        yield lines
    finally:
        _listeners[:] = [each for each in _listeners if each is not lines]


def tell(message):
    """Prints `message` as one line on stderr."""
    with _lock:
        for task in _drawn:
            task.clear()
        print(printable(message), file=sys.stderr, flush=True)


def warn(message):
    """Prints "warning: `message`" as one line on stderr."""
    tell(f"warning: {message}")
    for lines in _listeners:
        lines.append(printable(message))


def printable(text):
    """Returns text with its control characters written out, such as \\x1b: a name in a file must not steer a terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(text))


@contextlib.contextmanager
def showing(mode: str) -> Iterator[None]:
    """A scope in which tasks are told: "auto", after two seconds, unless a scope around it says something; "on"; "off".

    Outside of such a scope nothing is told: a library is silent.
    """
    token = _mode.set(_mode.get() or mode if mode == "auto" else mode)
    try:
        yield
    finally:
        _mode.reset(token)


@contextlib.contextmanager
def task(what: str, unit: str = "", stream: IO[str] | None = None) -> Iterator["Task"]:
    """Yields a `Task`, to be called with (done, total): on a terminal one line that is drawn again, else one per tenth."""
    mode, parent = _mode.get() or "off", _current.get()
    found = Task(what, unit, stream or sys.stderr, dict(on=0.0, auto=LATER, off=math.inf)[mode])
    if mode == "off":
        yield found
        return
    if parent is not None:
        parent.covered += 1
    token, thread = _current.set(found), threading.Thread(target=found.watch, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        found.end()
        _current.reset(token)
        if parent is not None:
            parent.covered -= 1


def advance(what: str, done: int, total: int) -> None:
    """Tells the innermost task that `what` is so far; for readers, and others that do not know what they are part of."""
    found = _current.get()
    if found is not None:
        found(done, total, "" if printable(what) in found.what else printable(what), unit="")


class Task:
    """How far something is, and how long it will take; see `task`.

    A thread draws it while nothing is called, as it is in the import of a large package. A task within another one has the
    line for itself.
    """

    def __init__(self, what, unit, stream, later):
        self.what, self.unit, self.stream, self.later = printable(what), unit, stream, later
        self.counted = unit
        self.live = stream.isatty()
        self.begun = self.since = time.perf_counter()
        self.done, self.total, self.first, self.told, self.covered = 0, 0, 0, "", 0
        self.drawn, self.tenth = 0.0, -1
        self.ended = threading.Event()

    def __call__(self, done, total, told="", unit=None):
        """Notes that `done` of `total` is done; `told` is what there is to say beside it. `unit`: if not the task's own."""
        if not self.total or done < self.done:  # of what went on, and of a second pass, the speed is that from here on
            self.first, self.since, self.tenth = done, time.perf_counter(), -1
        self.done, self.total, self.told, self.counted = done, total, told, self.unit if unit is None else unit
        self.draw()

    @property
    def due(self):
        """Whether a call would be drawn on a terminal: what is told may take time to be known."""
        return self.live and time.perf_counter() - self.drawn >= REDRAWN

    def watch(self):
        """Draws while nothing is called."""
        wait = self.later
        while not self.ended.wait(wait):
            self.draw()
            wait = REDRAWN if self.live else 1.0

    def draw(self):
        """Draws the line if it is time for it."""
        now = time.perf_counter()
        if self.covered or self.ended.is_set() or now - self.begun < self.later:
            return
        with _lock:
            if self.live and now - self.drawn >= REDRAWN:
                for other in _drawn:
                    other.clear()
                self.stream.write(f"\r\x1b[K{self.line()[: shutil.get_terminal_size().columns - 1]}")
                self.stream.flush()
                _drawn[:], self.drawn = [self], now
            elif not self.live and (tenth := int(10 * self.share)) > self.tenth:
                print(self.line(), file=self.stream, flush=True)
                self.tenth = tenth

    @property
    def share(self):
        """How much is done, from 0 to 1."""
        return min(1.0, self.done / self.total) if self.total else 0.0

    def line(self):
        """Returns what is drawn."""
        if not self.total:
            return f"{self.what} ... {_clock(time.perf_counter() - self.begun)}" if self.live else f"{self.what} ..."
        bar = f" [{'=' * int(24 * self.share):.<24}]" if self.live else ""
        count = f" of {self.total} {self.counted}" if self.counted else ""
        parts = [f"{self.what} {100 * self.share:3.0f}%{count}{bar}", self.told, self.left()]
        return "  ".join(part for part in parts if part)

    def left(self):
        """Returns the time that is left, as text."""
        here = self.done - self.first
        if self.share >= 1.0 or here <= 0:
            return ""
        return f"{_clock((time.perf_counter() - self.since) * (self.total - self.done) / here)} left"

    def clear(self):
        """Takes the line from the terminal."""
        self.stream.write("\r\x1b[K")
        self.stream.flush()
        _drawn.clear()

    def end(self):
        """Takes the line from the terminal; elsewhere says how long it took, if anything was said."""
        with _lock:
            self.ended.set()
            if self in _drawn:
                self.clear()
            elif not self.live and self.tenth >= 0 and not self.total:
                print(f"{self.what}: {_clock(time.perf_counter() - self.begun)}", file=self.stream, flush=True)


def _clock(seconds):
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"
