"""Looks for better settings on validation examples, never on the test set (needs pip install 'tfadgm[search]').

  bin/search --model=adgm --dataset=digits --trials=30 --minutes=60
  bin/search --model=vae --dataset=csv:FILE --objective=bound --out=DIR
  bin/train  --config=DIR/best.yaml                                    trains the best settings, and measures the test set

The first trial has the settings as they are: the recipe's, with --config, --preset and flags on top. Each other trial varies
learning rate, sizes of networks and latents, batch norm, moving average and the weights of the objective's terms; one that
does worse than the median of the others at the same point is given up. DIR holds the search: the same command goes on where
it was interrupted. It ends with best.yaml, and pictures of what mattered.
"""

import importlib.util
import pathlib

from absl import flags

from tfadgm.cli import asked, common
from tfadgm.cli.train import default_directory
from tfadgm.runs import allowed, repeating

OBJECTIVE = "What is searched for, on validation examples; auto: the error, or without labels the bound."
OWN = ("minutes", "select", "cross_fit")  # settings that are no flags here


def define_flags():
    """Defines the flags of a search and those of settings."""
    common.define_path("out", "[common] Directory of the search; default runs/search-MODEL-DATASET-LABELS-SEED.")
    flags.DEFINE_integer("trials", 30, "[common] Trials in all, those before included.", lower_bound=1)
    flags.DEFINE_float("minutes", None, "[common] Minutes of training of all trials; default: any.", lower_bound=0.01)
    flags.DEFINE_float("trial_minutes", None, "[common] Minutes of training of each trial.", lower_bound=0.01)
    flags.DEFINE_enum("objective", "auto", ("auto", *allowed.OBJECTIVES), f"[common] {OBJECTIVE}")
    flags.DEFINE_bool("quiet", False, "[common] Print the summary only.")
    asked.define_flags(OWN)
    common.define_progress()


def _asked():
    """Returns (settings, directory, objective) of the flags."""
    values = flags.FLAGS
    settings = asked.settings(OWN, {} if values.trial_minutes is None else dict(minutes=values.trial_minutes))
    unlabelled = settings.model in ("vae", "avae", "lvae") or settings.labels == 0
    objective = ("bound" if unlabelled else "error") if values.objective == "auto" else values.objective
    if unlabelled and objective != "bound":
        raise ValueError(f"objective: got {objective} for {settings.model} without labels; allowed: bound")
    usual = default_directory(settings)
    return settings, pathlib.Path(values.out or usual.with_name(f"search-{usual.name}")), objective


def before(argv):
    """Refuses what needs no TensorFlow; lists the presets."""
    if asked.lists_presets():
        return 0
    settings, directory, _ = _asked()
    asked.check(settings)
    if settings.model in allowed.registry.STAGED and not (settings.first_run or settings.end_to_end):
        raise ValueError(f"model: got {settings.model}, whose first model is another run; allowed: with --first_run=DIR")
    if settings.strategy == "multi_worker":
        raise ValueError("strategy: got multi_worker; allowed: auto, one, mirrored")
    if settings.patience is not None:
        raise ValueError(f"patience: got {settings.patience}; allowed: none, as trials are compared at the same point")
    allowed.check_search(directory)
    if importlib.util.find_spec("optuna") is None:
        raise ValueError("search: needs optuna, which is not installed; allowed: pip install 'tfadgm[search]'")


def main(argv):
    """Flags to one call of `search.search`."""
    from tfadgm.runs import search

    values, (settings, directory, objective) = flags.FLAGS, _asked()
    found = search.search(settings, directory, objective, values.trials, values.minutes, values.quiet)
    print(common.table(rows(found, objective)))
    print(f"  pictures: {', '.join(str(path) for path in sorted(directory.glob('*.png')))}")
    print(f"to train the best: bin/train --config={directory / allowed.BEST}", flush=True)


def rows(found, objective):
    """Returns pairs (name, value) of text from what `search.search` found."""
    factor, unit = (100.0, "%") if objective == "error" else (1.0, " nats")
    of = f"{objective} of {found['examples']} validation examples"
    lines = [("trials", f"{found['trials']}, of which {found['pruned']} given up, {found['failed']} failed")]
    lines.append((of, f"{factor * found['best']:.3f}{unit}, of trial {found['best_trial']}, which it was chosen for"))
    lines.append(("with the settings as they were", f"{factor * found['default']:.3f}{unit}"))
    for name, (usual, now) in found["changed"].items():
        lines.append((name, f"{_text(now)} in place of {_text(usual)}"))
    return lines


def _text(value):
    return f"{value:.3g}" if isinstance(value, float) else repeating.text(value)


main.goes_on, main.before = True, before


def entry():
    """The console command."""
    common.run(main, define_flags)


if __name__ == "__main__":
    entry()
