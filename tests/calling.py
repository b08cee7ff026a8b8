"""How tests call a binary in their own process."""

import importlib

from absl import flags

from tfadgm import telling
from tfadgm.cli import common


def call(verb, *arguments):
    """Runs a binary's main in this process, with flags of its own; returns its exit code."""
    module = importlib.import_module(f"tfadgm.cli.{verb}")
    with telling.showing("off"):  # what a slow machine would tell is not what is tested
        return with_flags(module, arguments, lambda argv: common.guard(module.main, argv))


def with_flags(module, arguments, use):
    """Returns use(the arguments that are no flags, after the program's name), while the flags of `module` are defined."""
    before = set(flags.FLAGS)
    module.define_flags()
    try:
        return use(common.parse([module.__name__, *arguments]))
    except SystemExit as stop:
        return stop.code
    finally:
        for name in set(flags.FLAGS) - before:
            delattr(flags.FLAGS, name)
        flags.FLAGS.unparse_flags()
