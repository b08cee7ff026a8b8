"""Exports a trained run as the next version of a SavedModel for TensorFlow Serving; prints its path and signatures.

  bin/export --run=DIR
  bin/export --run=DIR --to=BASE --samples=100

See `tfadgm.export` for what the signatures read and answer.
"""

from absl import flags

from tfadgm.cli import common


def define_flags():
    """Defines the flags; not at import, so that the verbs can be imported together."""
    flags.DEFINE_string("run", None, "Directory of a run of bin/train.")
    flags.DEFINE_string("to", None, "Directory of all versions; default: export in the run's directory.")
    flags.DEFINE_integer("samples", 100, "Samples of a averaged inside q(y|x).", lower_bound=1)


def main(argv):
    """Flags to one call of `export.save`."""
    if not flags.FLAGS.run:
        raise ValueError("run: got none; allowed: --run=DIR, a directory that bin/train made")
    from tfadgm import export, run

    opened = run.Run.open(flags.FLAGS.run)
    base = flags.FLAGS.to or opened.path / "export"
    path = export.save(opened.model, opened.class_names, base, flags.FLAGS.samples, description=opened.config)
    print(path)
    print(signature_table(export.signatures(path)))


def signature_table(signatures):
    """Returns `export.signatures` as text: a line per signature, its inputs -> its outputs."""

    def side(tensors):
        return ", ".join(f"{key} {dtype} {_shape(shape)}" for key, (dtype, shape) in tensors.items())

    return common.table([(name, f"{side(s['inputs'])} -> {side(s['outputs'])}") for name, s in signatures.items()])


def _shape(shape):
    return "[...]" if shape is None else f"[{', '.join('N' if size is None else str(size) for size in shape)}]"


def entry():
    """The console command."""
    common.run(main, define_flags)


if __name__ == "__main__":
    entry()
