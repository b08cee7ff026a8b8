"""Exports a trained run as the next version of a SavedModel for TensorFlow Serving; prints its path and signatures.

  bin/export --run=DIR
  bin/export --run=DIR --to=BASE --keep=3 --samples=100
  bin/export --run=DIR --format=litert --quantise=dynamic

Beside the versions lies serving/, with the server's configuration and its command. The other formats hold the classifier
alone, and their agreement with the SavedModel on the test set is printed. See `tfadgm.serving.signatures` for what the
signatures read and answer.
"""

from absl import flags

from tfadgm.cli import common
from tfadgm.runs import allowed

FORMATS = ("tf_saved_model", "litert", "onnx")


def define_flags():
    """Defines the flags; not at import, so that the verbs can be imported together."""
    common.define_path("run", "Directory of a run of bin/train.")
    common.define_path("to", "Directory of all versions; default: export (or the format's name) in the run's directory.")
    flags.DEFINE_enum("format", FORMATS[0], FORMATS, "What to write.")
    flags.DEFINE_enum("quantise", "none", ("none", "float16", "dynamic"), "Of the weights, for litert: dynamic is 8 bits.")
    flags.DEFINE_integer("samples", 100, "Samples of a averaged inside q(y|x).", lower_bound=1)
    flags.DEFINE_integer("keep", None, "How many versions are kept, the newest; default: all.", lower_bound=1)
    flags.DEFINE_string(
        "model_name", None, "Name that a server offers it under; default: tfadgm, or that of the directory --to."
    )
    common.define_progress()


def before(argv):
    """Refuses what needs no TensorFlow."""
    values = flags.FLAGS
    if values.quantise != "none" and values.format != "litert":
        raise ValueError(f"quantise: got {values.quantise}; allowed: none, unless --format=litert")
    for name in ("keep", "model_name") if values.format != FORMATS[0] else ():
        if values[name].value is not None:
            raise ValueError(
                f"{name}: got {values[name].value}; allowed: not given for --format={values.format}, which has no versions"
            )
    allowed.check_run(values.run)


def main(argv):
    """Flags to one call of `export.save` or `formats.save`."""
    values = flags.FLAGS
    if values.format != FORMATS[0]:
        return _other_format(values)
    from tfadgm.runs import reference, run_directory
    from tfadgm.serving import export, warmup

    opened = run_directory.Run.open(values.run)
    options = dict(samples=values.samples, keep=values.keep, model_name=values.model_name)
    options["reference"] = reference.read(opened.path)
    path = opened.export(values.to, **_found(opened), **options)
    print(path)
    print(signature_table(export.signatures(path)))
    print(f"to serve it: {path.parent.parent / 'serving' / 'serve.sh'}")
    if not warmup.available():
        print(f"no warm-up requests were written: they need {warmup.PACKAGE} (pip install 'tfadgm[serving]')")


def _found(opened):
    """What there is of the run's held-out examples and results; a run may be exported where its data are not."""
    from tfadgm.runs import run_directory

    try:
        examples = opened.held_out()[0][:32]
    except (ValueError, OSError):
        examples = None
    results = opened.path / "results.json"
    return dict(examples=examples, results=run_directory.read_json(results) if results.exists() else None)


def _other_format(values):
    from tfadgm.runs import run_directory
    from tfadgm.serving import formats

    opened = run_directory.Run.open(values.run)
    directory = values.to or opened.path / values.format
    examples, _ = opened.held_out()
    path, found = formats.save(opened.model, directory, values.format, examples, values.samples, values.quantise)
    print(path)
    same = f"{found['agreement']:.2%} of {found['examples']} examples get the same class"
    rows = [("size", f"{found['bytes'] / 1e6:.2f} MB"), ("agreement", f"{same} as from the model")]
    rows.append(("probabilities", f"differ by at most {found['largest_difference']:.1e}"))
    print(common.table(rows))
    return common.check_finite(found)


def signature_table(signatures):
    """Returns `export.signatures` as text: a line per signature, its inputs -> its outputs."""

    def side(tensors):
        return ", ".join(f"{key} {dtype} {_shape(shape)}" for key, (dtype, shape) in tensors.items())

    return common.table([(name, f"{side(s['inputs'])} -> {side(s['outputs'])}") for name, s in signatures.items()])


def _shape(shape):
    return "[...]" if shape is None else f"[{', '.join('N' if size is None else str(size) for size in shape)}]"


main.before = before


def entry():
    """The console command."""
    common.run(main, define_flags)


if __name__ == "__main__":
    entry()
