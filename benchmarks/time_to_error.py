#!/usr/bin/env python3
"""Wall-clock time and epochs to a target validation error.

    benchmarks/time_to_error.py --target=5 --model=sdgm --dataset=mnist --data_dir=DIR --validation=10000 --minutes=30

Every flag of `bin/train` is passed on. Reported from the run's metrics.csv: the training seconds and the epoch at which
the validation error, in percent, was first at or below the target, or that it never was.
"""

import json
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))


def first_below(rows, target):
    """Returns the first row of metrics.csv whose validation_error is at most `target` (a share), or None."""
    return next((row for row in rows if float(row["validation_error"]) <= target), None)


def main(arguments):
    """Trains, then reads the run's metrics."""
    own = [a for a in arguments if a.startswith(("--target=", "--json="))]
    passed = [a for a in arguments if a not in own]
    options = dict(a[2:].split("=", 1) for a in own)
    if "target" not in options or not any(a.startswith("--validation=") for a in passed):
        sys.exit("error: --target=PERCENT and --validation=N are required; " + __doc__.splitlines()[2].strip())
    out = next((a.split("=", 1)[1] for a in passed if a.startswith("--out=")), "runs/time_to_error")
    passed = [a for a in passed if not a.startswith("--out=")]
    subprocess.run([sys.executable, str(ROOT / "bin" / "train"), *passed, f"--out={out}"], check=True)
    from tfadgm.training.callbacks import read_rows

    rows, target = read_rows(pathlib.Path(out) / "metrics.csv"), float(options["target"])
    if any("validation_error" not in row for row in rows):
        sys.exit("error: model: got one without a validation error; allowed: one that classifies, with labels")
    row = first_below(rows, target / 100)
    best = min(float(r["validation_error"]) for r in rows)
    result = dict(
        command=" ".join(["bin/train", *passed]),
        target_percent=target,
        seconds=row and float(row["seconds"]),
        epochs=row and int(row["epoch"]),
        best_percent=100 * best,
    )
    print(json.dumps(result, indent=2))
    if "json" in options:
        pathlib.Path(options["json"]).write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
