#!/usr/bin/env python3
"""Examples per second of several processes and devices on this machine, and what a cluster would do on paper.

    benchmarks/scaling.py                                   1 and 2 replicas of one process, 1 and 2 workers
    benchmarks/scaling.py --step_ms=8.1 --gigabytes=40      on paper, with a step that was measured elsewhere

The step is the training loop's own (`training/loop.py`) at the paper's MNIST size, every replica with the same number of
examples, so that n replicas do n times the work. On this machine all share the same cores: their sum is what is measured,
and 2 workers are slower than 2 replicas by what a second process and the loopback take.

On paper a step of n GPUs takes

    t(n) = t(1) + 2 (n - 1) / n * bytes / bandwidth + 2 (n - 1) * latency

the ring all-reduce of all gradients over the slowest link, after the backward pass (nothing of it beside it, which is the
worst case), with t(1) the step of one replica. Efficiency is t(1) / t(n). Reading is taken to be hidden.
"""

import json
import os
import pathlib
import socket
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

import common  # noqa: E402
from absl import app, flags  # noqa: E402

FLAGS = flags.FLAGS
flags.DEFINE_string("model", "adgm", "Model.")
flags.DEFINE_integer("inputs", 784, "Size of x.")
flags.DEFINE_string("hidden", "500,500", "Hidden layers.")
flags.DEFINE_integer("latents", 100, "Size of a and of z.")
flags.DEFINE_integer("batch", 100, "Labelled and unlabelled examples of a replica, each.")
flags.DEFINE_integer("steps", 20, "Steps of a block.")
flags.DEFINE_integer("blocks", 3, "Blocks; the best is taken.")
flags.DEFINE_float("step_ms", None, "Milliseconds of a step of one replica on paper; none: as measured here.")
flags.DEFINE_float("gigabytes", 12.5, "Bandwidth of the slowest link on paper, gigabytes per second (12.5: 100 Gbit/s).")
flags.DEFINE_float("microseconds", 20.0, "Latency of a message on paper.")
flags.DEFINE_string("json", None, "Where to write the results.")
flags.DEFINE_string("one", None, "Internal: what this process measures.")
CASES = {"1 replica": (1, 1), "2 replicas": (1, 2), "1 worker": (1, 0), "2 workers": (2, 0)}  # processes, replicas of each
ON_PAPER = (8, 16, 32, 64, 128, 256)


def measure(replicas):
    """Returns the measurements of this process: of so many replicas, or, of 0, as a worker of its group."""
    import numpy as np
    import tensorflow as tf

    if replicas > 1:
        devices = [tf.config.LogicalDeviceConfiguration()] * replicas
        tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], devices)
    from tfadgm import machine, registry
    from tfadgm.data.preprocess import Preprocess
    from tfadgm.networks import optimizers
    from tfadgm.networks.mlp import Network
    from tfadgm.runs.settings import parse
    from tfadgm.training import loop, strategies

    machine.set_threads(None)
    strategy = strategies.make_strategy("multi_worker" if not replicas else "mirrored" if replicas > 1 else "one")
    sizes = {"dim_z": FLAGS.latents} | ({"dim_a": FLAGS.latents} if FLAGS.model in ("adgm", "sdgm") else {})
    with strategy.scope():
        preprocess = Preprocess([FLAGS.inputs], "uint8", scale=1 / 255, noise="binarise")
        network = Network(hidden=parse("hidden", FLAGS.hidden))
        model = registry.model_class(FLAGS.model)(preprocess, 10, network=network, **sizes)
        model.compile(optimizer=optimizers.Adam(3e-4), jit_compile=False)
        model.optimizer.build(model.trainable_variables)
    raw = np.random.default_rng(0).integers(0, 256, (FLAGS.batch, FLAGS.inputs)).astype("uint8")
    batch = {"unlabelled": raw, "labelled": (raw, np.arange(FLAGS.batch) % 10)}
    times = []
    for _ in range(FLAGS.blocks + 1):  # the first builds the graph
        begun = time.perf_counter()
        loop.run(model, lambda _: tf.data.Dataset.from_tensors(batch).repeat(), 1, FLAGS.steps, [])
        times.append((time.perf_counter() - begun) / FLAGS.steps)
    weights = sum(int(np.prod(weight.shape)) for weight in model.trainable_variables)
    seconds = min(times[1:])
    total = strategy.num_replicas_in_sync
    return dict(
        milliseconds=1e3 * seconds,
        replicas=total,
        examples_per_second=2 * FLAGS.batch * total / seconds,
        gradient_bytes=4 * weights,
    )


def run(processes, replicas):
    """Returns the measurements of a case, those of its first process."""
    held = [socket.socket() for _ in range(processes)]
    for each in held:
        each.bind(("localhost", 0))
    cluster = dict(worker=[f"localhost:{each.getsockname()[1]}" for each in held])
    for each in held:
        each.close()
    started = []
    for number in range(processes):
        own = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
        if not replicas:
            own["TF_CONFIG"] = json.dumps(dict(cluster=cluster, task=dict(type="worker", index=number)))
        command = [sys.executable, *sys.argv, f"--one={replicas}"]
        pipes = dict(stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        started.append(subprocess.Popen(command, env={**os.environ, **own}, **pipes))
    done = [process.communicate() for process in started]
    lines = [line for line in done[0][0].splitlines() if line.startswith("RESULT ")]
    if not lines:
        raise SystemExit(done[0][1][-2000:])
    return json.loads(lines[0][7:])


def on_paper(step, size, replicas, bandwidth, latency):
    """Returns the seconds of a step of `replicas` GPUs.

    Args:
      step: seconds of a step of one.
      size: bytes that are reduced.
      replicas: n.
      bandwidth: bytes per second of the slowest link.
      latency: seconds of a message.
    """
    return step + 2 * (replicas - 1) / replicas * size / bandwidth + 2 * (replicas - 1) * latency


def main(argv):
    """Measures every case, and prints what follows on paper."""
    if FLAGS.one is not None:
        print("RESULT " + json.dumps(measure(int(FLAGS.one))))
        return
    rows = []
    for name, case in CASES.items():
        rows.append(dict(case=name, **run(*case)))
        found = rows[-1]
        print(f"{name:12} {found['milliseconds']:8.1f} ms {found['examples_per_second']:8.0f} examples/s", flush=True)
    size, step = rows[0]["gradient_bytes"], (FLAGS.step_ms or rows[0]["milliseconds"]) / 1e3
    print(f"{size} bytes of gradients per step; on paper, with a step of {1e3 * step:.1f} ms of one replica,")
    print(f"{FLAGS.gigabytes:g} GB/s and {FLAGS.microseconds:g} microseconds:")
    paper = []
    for replicas in ON_PAPER:
        seconds = on_paper(step, size, replicas, 1e9 * FLAGS.gigabytes, 1e-6 * FLAGS.microseconds)
        rate = 2 * FLAGS.batch * replicas / seconds
        paper.append(
            dict(replicas=replicas, milliseconds=1e3 * seconds, efficiency=step / seconds, examples_per_second=rate)
        )
        print(f"{replicas:5} GPUs {1e3 * seconds:8.2f} ms {rate:10.0f} examples/s, efficiency {step / seconds:.2f}")
    if FLAGS.json:
        names = ("model", "inputs", "hidden", "latents", "batch", "steps", "blocks", "step_ms", "gigabytes", "microseconds")
        settings = {name: FLAGS[name].value for name in names}
        content = dict(settings=settings, rows=rows, paper=paper, hardware=common.hardware())
        path = pathlib.Path(FLAGS.json)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content, indent=2) + "\n")


if __name__ == "__main__":
    app.run(main)
