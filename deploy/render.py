#!/usr/bin/env python3
"""Prints what starts a training on several machines: a job of Slurm, or a manifest of Kubernetes.

  deploy/render.py train.sbatch --workers=4 --gpus=8 -- --model=sdgm --dataset=mnist --out=/shared/run | sbatch
  deploy/render.py jobset.yaml --workers=4 --image=IMAGE -- --model=sdgm --dataset=npz:/runs/own.npz --out=/runs/run
  deploy/render.py tfjob.yaml  --workers=4 --image=IMAGE -- ...          the same for Kubeflow's training operator

What follows -- are the flags of bin/train; --strategy=multi_worker is added. --out is needed: all attempts have one
directory.
"""

import argparse
import json
import pathlib
import re
import shlex
import string
import sys

HERE = pathlib.Path(__file__).resolve().parent
KINDS = ("train.sbatch", "jobset.yaml", "tfjob.yaml")
PORT = 2222


def render(kind, flags, name="tfadgm", workers=2, gpus=1, image="tfadgm:latest", volume="/runs", hours=24, restarts=10):
    """Returns the text of a template, one of `KINDS`.

    Args:
      kind: the template's name.
      flags: those of bin/train, a list of --name=value.
      name: of the job, and under Kubernetes of the volume's claim.
      workers: number of machines.
      gpus: of each.
      image: that of the containers, which has the package installed.
      volume: where the claim is mounted.
      hours: a job's limit under Slurm.
      restarts: how often a job that failed is started again.
    """
    if not re.fullmatch(r"[a-z]([a-z0-9-]{0,38}[a-z0-9])?", name):
        raise ValueError(f"name: got {name!r}; allowed: at most 40 small letters, digits and -, from a letter on")
    for each, least in dict(workers=1, gpus=0, hours=1, restarts=0).items():
        if locals()[each] < least:
            raise ValueError(f"{each}: got {locals()[each]}; allowed: at least {least}")
    if not any(flag.startswith("--out=") for flag in flags):
        raise ValueError("flags: got no --out=DIR; allowed: with it, as every attempt goes on in one directory")
    program = "bin/train" if kind == "train.sbatch" else "tfadgm-train"
    arguments = [program, "--strategy=multi_worker", *flags]
    values = dict(name=name, workers=workers, gpus=gpus, image=json.dumps(image), volume=json.dumps(volume), hours=hours)
    values |= dict(restarts=restarts, port=PORT, command=shlex.join(arguments), arguments=json.dumps(arguments))
    values |= dict(addresses=json.dumps([f"{name}-worker-0-{number}.{name}:{PORT}" for number in range(workers)]))
    return string.Template((HERE / kind).read_text()).substitute(values)


def main(argv):
    """Flags to one call of `render`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=KINDS)
    for name in ("workers", "gpus", "hours", "restarts"):
        parser.add_argument(f"--{name}", type=int, default=argparse.SUPPRESS)
    for name in ("name", "image", "volume"):
        parser.add_argument(f"--{name}", default=argparse.SUPPRESS)
    split = argv.index("--") if "--" in argv else len(argv)
    try:
        print(render(flags=argv[split + 1 :], **vars(parser.parse_args(argv[:split]))), end="")
    except ValueError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main(sys.argv[1:])
