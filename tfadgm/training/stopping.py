"""SIGTERM, which every scheduler sends first, and SIGINT: training ends between two steps, with a second one at once."""

import contextlib
import os
import signal
import threading

SIGNALS = (signal.SIGINT, signal.SIGTERM)
_scope = threading.local()  # request: that of the `watched` around what this thread does


class Stopped(BaseException):
    """Training was asked to stop, and has stopped between two steps; `code` is that of a process which the signal ends.

    `left`: what the same command goes on from, or with.
    """

    left = "from the last checkpoint"


class Interrupted(Stopped, KeyboardInterrupt):
    """Stopped by SIGINT."""

    code = 128 + signal.SIGINT


class Terminated(Stopped, SystemExit):
    """Stopped by SIGTERM."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.code = 128 + signal.SIGTERM


def stopped(number, where, left=Stopped.left):
    """Returns the exception of the signal `number`, which came at `where`."""
    found = Interrupted(f"interrupted {where}") if number == signal.SIGINT else Terminated(f"terminated {where}")
    found.left = left
    return found


class Request:
    """Attributes: signal: the first signal that came, or None."""

    signal = None


@contextlib.contextmanager
def watched():
    """Yields a `Request`; within this scope a first SIGTERM or SIGINT is noted in it, a second ends the process at once.

    A thread reads which signals came: a program's own handlers wait for a step to end, which may wait for a worker that is
    gone. A signal for which the program has a handler of its own keeps it; in another thread than the main one all do.
    Within a scope of another one both have the same `Request`.
    """
    around = getattr(_scope, "request", None)
    if around is not None:
        yield around
        return
    request = Request()
    usual = (signal.default_int_handler, signal.SIG_DFL)
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    before = {number: handler for number in SIGNALS if (handler := signal.getsignal(number)) in usual}
    reading, writing = os.pipe()
    os.set_blocking(writing, False)

    def listen():
        while True:
            number = os.read(reading, 1)[:1]
            if not number or number[0] == 0:
                return
            if number[0] in before:
                if request.signal is not None:
                    os._exit(128 + number[0])
                request.signal = number[0]

    waiting = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    thread = threading.Thread(target=listen, daemon=True)
    thread.start()
    for number in before:
        signal.signal(number, lambda *_: None)
    _scope.request = request
    try:
        yield request
    finally:
        _scope.request = None
        for number, handler in before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(waiting)
        os.write(writing, b"\0")
        thread.join()
        os.close(reading), os.close(writing)


def heed():
    """Raises `Stopped` if the scope around this is `watched`, and was asked to stop."""
    request = getattr(_scope, "request", None)
    if request is not None and request.signal is not None:
        raise stopped(request.signal, "between two steps")


@contextlib.contextmanager
def within(where, left=Stopped.left):
    """As `watched`, of several trainings: what is stopped is told to be so at `where()`, and to go on `left`."""
    with watched():
        try:
            yield
            heed()
        except Stopped as stop:
            raise stopped(stop.code - 128, where(), left) from None
