"""What every binary shares: kinds of flags, errors in one line, and the table at the end."""

import logging as python_logging
import math
import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # what goes wrong in native code is raised too

from absl import app, flags, logging  # noqa: E402

from tfadgm import telling  # noqa: E402
from tfadgm.reporting import summary  # noqa: E402
from tfadgm.telling import printable  # noqa: E402
from tfadgm.training import stopping  # noqa: E402

flags.disclaim_key_flags()  # a flag that is defined by a function below belongs to its caller

HELP = ("h", "help", "helpfull", "helpshort", "?")


def run(main, define_flags):
    """Runs `main(argv)` under absl; a mistake of the user ends with one line on stderr and exit code 1."""
    try:
        define_flags()
        if any(argument.startswith("-") and argument.lstrip("-") in HELP for argument in sys.argv[1:]):
            print(help_text(sys.modules[main.__module__]), flush=True)
            sys.exit(0)
        logging.set_verbosity(logging.ERROR)
        python_logging.getLogger("matplotlib").setLevel(python_logging.ERROR)  # of fonts and their cache
        app.run(lambda argv: guard(main, argv), flags_parser=parse)
    except BrokenPipeError:  # of the help
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:  # before or after `guard`
        sys.exit(interrupted(main))


def guard(main, argv):
    """Returns the exit code of `main(argv)`: errors that a user can make are told in one line.

    A `main` that reads arguments beside its flags has the attribute `takes_files`; one whose command goes on where it was
    interrupted, `goes_on`. Its attribute `before` is called with `argv` before TensorFlow is imported, which takes seconds:
    it refuses what it can, and may answer alone, by an exit code.

    Set TFADGM_TRACEBACK=1 to see where an error was raised.
    """
    try:
        if len(argv) > 1 and not getattr(main, "takes_files", False):
            raise ValueError(f"got the argument {argv[1]!r}; allowed: flags, as --name=value (see --help)")
        code = getattr(main, "before", lambda argv: None)(argv)
        if code is not None:
            return code
        with telling.showing(_progress()):
            import_tensorflow_quietly()
            return main(argv)
    except BrokenPipeError:  # the reader of our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except _told() as error:
        if os.environ.get("TFADGM_TRACEBACK"):
            raise
        lines = str(error).strip().splitlines() or [type(error).__name__]
        print(*map(printable, [f"error: {lines[0]}", *lines[1:4]]), sep="\n", file=sys.stderr)
        return 1
    except stopping.Stopped as stop:
        return interrupted(main, str(stop), stop.code, stop.left)
    except KeyboardInterrupt:
        return interrupted(main)


def _progress():
    """What the flags say of progress; a command that is to be quiet tells none."""
    mode = flags.FLAGS.progress if "progress" in flags.FLAGS else "auto"
    return "off" if mode == "auto" and "quiet" in flags.FLAGS and flags.FLAGS.quiet else mode


def _told():
    """The errors that are told in one line; those of what was not imported cannot have been raised."""
    places = dict(OpError="tensorflow.python.framework.errors_impl", WorkerLost="tfadgm.training.workers")
    imported = {name: sys.modules.get(place) for name, place in places.items()}
    return (ValueError, OSError, *(getattr(module, name) for name, module in imported.items() if module is not None))


def interrupted(main, told="interrupted", code=130, left=stopping.Stopped.left):
    """Tells that `main` was interrupted, and whether its command goes on from there; returns the exit code."""
    further = f"; the same command goes on {left}" if getattr(main, "goes_on", False) else ""
    print(f"{told}{further}", file=sys.stderr)
    return code


def check_finite(results):
    """Returns the exit code of a command that printed `results`: 1, and one line on stderr, if a number is not finite.

    `not_finite` of the results has those that became None (see `report.finite`); one that has a reason is none of them.
    """
    wrong = {name: value for name, value in results.items() if isinstance(value, float) and not math.isfinite(value)}
    wrong |= {name: value for name, value in (results.get("not_finite") or {}).items() if value in ("nan", "inf", "-inf")}
    if wrong:
        told = f"{', '.join(f'{name} is {value}' for name, value in wrong.items())}; allowed: finite numbers"
        print(f"error: {told}; values far outside the others in the data, or too high a learning rate", file=sys.stderr)
    return 1 if wrong else 0


class _PathParser(flags.ArgumentParser):
    def parse(self, argument):
        return os.path.expanduser(argument)


def define_path(name, text):
    """Defines a flag whose value is a path, without a default; a shell leaves the ~ of --name=~/DIR as it is."""
    flags.DEFINE(_PathParser(), name, None, text)


def define_progress():
    """Defines --progress."""
    text = "Whether to tell how far it is: auto: of what takes more than two seconds; on: of all; off: of nothing."
    flags.DEFINE_enum("progress", "auto", telling.MODES, text)


def define_text(name, text, boolean=False):
    """Defines a flag that is kept as text, without a default; --NAME alone is "true" and --noNAME "false" if `boolean`."""
    flags.DEFINE_flag(flags.Flag(flags.ArgumentParser(), None, name, None, text, boolean=boolean))


def import_tensorflow_quietly():
    """Imports TensorFlow and finds its devices without the start-up messages of its native libraries."""
    sys.stderr.flush()
    stderr, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    with open(stderr, "w") as told, telling.task("starting TensorFlow", stream=told):
        os.dup2(nowhere, 2)
        try:
            import tensorflow as tf

            tf.config.list_physical_devices()
        finally:
            os.dup2(stderr, 2)
            os.close(nowhere)


def help_text(module):
    """Returns the module's docstring and its flags in the order of their definition."""
    lines = [module.__doc__.rstrip(), "", "Flags:"]
    for flag in flags.FLAGS.flags_by_module_dict().get(module.__name__, []):
        name = f"--[no]{flag.name}" if flag.boolean else f"--{flag.name}"
        default = "" if flag.default is None else f" Default: {flag.default}."
        lines.append(f"  {name:<26} {flag.help}{default}")
    return "\n".join(lines)


def parse(argv):
    """Parses flags; an unknown flag or value ends the program with one line on stderr and exit code 1."""
    try:
        return flags.FLAGS(argv)
    except flags.Error as error:
        print(f"error: {str(error).splitlines()[0]} (see --help)", file=sys.stderr)
        sys.exit(1)


class Completeness:
    """Whether the results of a run directory were there before a command, and are the same after it."""

    def __init__(self, directory):
        self._path = directory / "results.json"
        self._before = self._written()

    def holds(self):
        """Whether nothing was left to do."""
        return self._before is not None and self._before == self._written()

    def _written(self):
        return self._path.stat().st_mtime_ns if self._path.exists() else None


def results_table(results, warmup_epochs=0.0):
    """Returns the summary of a run's results as text: see `summary.rows`."""
    return table(summary.rows(results, warmup_epochs))


def table(pairs):
    """Returns a table of two columns as text."""
    width = max(len(name) for name, _ in pairs)
    return "\n".join(f"  {name:<{width}}  {printable(value)}" for name, value in pairs)


def diagnostics_table(found):
    """Returns the diagnostics of `report.diagnose` as text: nats per example of each factor, what each latent carries."""
    rows = [(name, f"{value:10.3f} nats") for name, value in found["terms"].items()]
    total = sum(found["terms"].values())
    if found.get("log_scale"):
        rows.append(("log |dx / d data|", f"{found['log_scale']:10.3f} nats: x is scaled"))
        total += found["log_scale"]
    rows.append(("sum (the ELBO)", f"{total:10.3f} nats, {found['examples']} examples"))
    for name, active in found["active_units"].items():
        units = found["kl_per_unit"].get(name)
        carried = "" if units is None else f" of {len(units)}; KL {sum(units):.2f} nats, largest {max(units):.2f}"
        rows.append((f"{name}, active units", f"{active}{carried}"))
    return table(rows)
