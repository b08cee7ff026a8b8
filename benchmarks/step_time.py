#!/usr/bin/env python3
"""Milliseconds per training step, and how close its arithmetic comes to what the machine can do.

    benchmarks/step_time.py --model=adgm                    the paper's MNIST size, exact enumeration, float32
    benchmarks/step_time.py --model=sdgm --exact_classes=none,2 --xla=off,on --precision=float32,bfloat16
    benchmarks/step_time.py --model=adgm,vae --threads=1,2        threads of one operation; none: as training has it
    benchmarks/step_time.py --model=sdgm --trunk=mlp,conv --shared_encoder=off,on --in_turns      steps beside each other
    benchmarks/step_time.py --model=vae,m2,sdgm --sums=reordered,as_written --in_turns    what bits that stay the same cost

Each variant runs in a process of its own, which interleaves blocks of steps with blocks of the largest matrix product's
loop (as many side by side as the threads of one leave cores for), so that a noisy machine disturbs both alike. Reported
per variant: the median step, the multiplications and additions of all matrix products and convolutions in the step's graph
(forward and backward, 2 m n k each, counted from their shapes), the rate they are done at, the machine's best rate in the
same run and the ratio, and peak memory. The step is the whole `train_step`: noise, distributions, batch norm, clipping and
Adam count as time, not as arithmetic. The ceiling is what the ratio would be if the step were nothing but its own products,
of their own shapes, as many at a time; convolutions are not among these.

With --in_turns one process makes blocks of steps of all variants in turns, and compares them to the first: what else the
machine does is then the same for all. Threads are as training has them.
"""

import contextlib
import itertools
import json
import math
import os
import pathlib
import resource
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

import common  # noqa: E402
from absl import app, flags  # noqa: E402

FLAGS = flags.FLAGS
flags.DEFINE_list("model", ["adgm"], "Models.")
flags.DEFINE_list("exact_classes", ["none"], "none: all classes; k: k exactly and one sampled.")
flags.DEFINE_list("classifier_samples", ["none"], "Samples of a inside q(y|x).")
flags.DEFINE_list("batch_norm", ["false"], "Batch normalisation.")
flags.DEFINE_list("trunk", ["mlp"], "Networks that read and write x; conv: as a grey square picture.")
flags.DEFINE_list("shared_encoder", ["off"], "Whether the networks of q share an encoder.")
flags.DEFINE_list("xla", ["off"], "XLA.")
flags.DEFINE_list("precision", ["float32"], "Precision.")
flags.DEFINE_list("threads", ["none"], "Threads of one operation; none: as training has it.")
flags.DEFINE_list("sums", ["as_written"], "Order of sums; reordered: as TensorFlow's optimizer of graphs has it.")
flags.DEFINE_integer("inputs", 784, "Size of x.")
flags.DEFINE_string("hidden", "500,500", "Hidden layers.")
flags.DEFINE_integer("latents", 100, "Size of a and of z.")
flags.DEFINE_integer("batch", 100, "Labelled and unlabelled examples, each.")
flags.DEFINE_integer("blocks", 20, "Blocks of steps.")
flags.DEFINE_bool("in_turns", False, "Steps of all variants in turns, in one process.")
flags.DEFINE_string("json", None, "Where to write the results.")
flags.DEFINE_string("one", None, "Internal: the variant that this process measures.")
VARIED = (
    *("model", "exact_classes", "classifier_samples", "batch_norm", "trunk", "shared_encoder"),
    *("xla", "precision", "threads", "sums"),
)


def make_step(variant):
    """Returns (model, batch, step) of a variant: a dict of the flags of that name, as text."""
    import numpy as np
    import tensorflow as tf

    from tfadgm import registry
    from tfadgm.data.preprocess import Preprocess
    from tfadgm.models.objective import Objective
    from tfadgm.networks import optimizers
    from tfadgm.networks.mlp import Network
    from tfadgm.runs.settings import parse

    names = ("exact_classes", "classifier_samples")
    objective = Objective(num_labelled=100, num_unlabelled=60_000, **{name: parse(name, variant[name]) for name in names})
    network = Network(
        hidden=parse("hidden", FLAGS.hidden),
        batch_norm=parse("batch_norm", variant["batch_norm"]),
        trunk=variant["trunk"],
        image_shape=(math.isqrt(FLAGS.inputs),) * 2 + (1,),
        shared_encoder=variant["shared_encoder"],
    )
    model_class = registry.model_class(variant["model"])
    layers = 2 if variant["model"] in ("cagem", "lvae", "m1m2") else 1
    sizes = {"dim_z": (FLAGS.latents,) * layers}
    sizes |= {"dim_a": (FLAGS.latents,)} if variant["model"] in ("adgm", "avae", "sdgm") else {}
    model = model_class(
        Preprocess([FLAGS.inputs], "uint8", scale=1 / 255, noise="binarise"),
        10,
        network=network,
        objective=objective,
        xla=variant["xla"] == "on",
        precision=variant["precision"],
        **sizes,
    )
    model.compile(optimizer=optimizers.Adam(3e-4), jit_compile=False)
    model.optimizer.build(model.trainable_variables)
    raw = tf.constant(np.random.default_rng(0).integers(0, 256, (FLAGS.batch, FLAGS.inputs)).astype("uint8"))
    batch = {"unlabelled": raw, "labelled": (raw, tf.constant(np.arange(FLAGS.batch) % 10))}
    if not model.classifies:
        del batch["labelled"]
    return model, batch, tf.function(model.train_step)


def step_operations(model, batch):
    """Returns the operations of the graph of the loss and its gradients."""
    import tensorflow as tf

    traced = tf.function(model._terms_and_gradients, autograph=False)
    return traced.get_concrete_function(batch, tf.constant([0, 0]), 1.0).graph.get_operations()


def count_flops(model, batch):
    """Returns the floating-point operations of all matrix products and convolutions of the loss and its gradients."""
    return sum(common.flops(op) for op in step_operations(model, batch))


def products_alone(model, batch):
    """Returns a function that makes the step's matrix products, of the same shapes and types, and nothing else.

    They are dealt in turn to as many chains as the cores have room for; within a chain one waits for the other.
    """
    import tensorflow as tf

    from tfadgm import machine

    products = []
    for op in step_operations(model, batch):
        if op.type == "MatMul":
            a, b = (tf.cast(tf.random.normal(i.shape), i.dtype) for i in op.inputs[:2])
            products.append((a, b, op.get_attr("transpose_a"), op.get_attr("transpose_b")))

    @tf.function(autograph=False)
    def run():
        totals = [tf.constant(0.0)] * machine.side_by_side()  # of one element of each: what nobody reads is not computed
        for number, (a, b, transpose_a, transpose_b) in enumerate(products):
            chain = number % len(totals)
            with tf.control_dependencies([totals[chain]]):
                out = tf.linalg.matmul(a, b, transpose_a, transpose_b)
            totals[chain] += tf.cast(out[0, 0], tf.float32)
        return tf.add_n(totals)

    return run


def sums_of(variant):
    """The scope in which a variant's steps are made."""
    from tfadgm import machine

    return machine.sums_as_written() if variant["sums"] == "as_written" else contextlib.nullcontext()


def measure(variant):
    """Returns the measurements of one variant."""
    with sums_of(variant):
        return _measure(variant)


def _measure(variant):
    import numpy as np
    import tensorflow as tf

    from tfadgm import machine
    from tfadgm.runs.settings import parse

    machine.set_threads(parse("threads", variant["threads"]), variant["xla"])
    model, batch, step = make_step(variant)
    flops = count_flops(model, batch)
    size = 4096
    a = tf.random.normal([size, size])
    others = [tf.random.normal([size, size]) for _ in range(machine.side_by_side())]
    product = tf.function(lambda: tf.add_n([tf.linalg.matmul(a, b)[0, 0] for b in others]))
    alone = products_alone(model, batch)
    step(batch), product(), alone()
    step_times, product_times, alone_times = [], [], []
    for _ in range(FLAGS.blocks):
        begin = time.perf_counter()
        for _ in range(5):
            np.asarray(step(batch)["objective"])
        middle = time.perf_counter()
        product().numpy()
        end = time.perf_counter()
        for _ in range(5):
            alone().numpy()
        step_times.append((middle - begin) / 5)
        product_times.append(end - middle)
        alone_times.append((time.perf_counter() - end) / 5)
    peak = 2 * size**3 * len(others) / min(product_times)
    milliseconds = 1e3 * float(np.median(step_times))
    best = min(step_times)
    return dict(
        variant,
        inputs=FLAGS.inputs,
        hidden=FLAGS.hidden,
        latents=FLAGS.latents,
        batch=FLAGS.batch,
        milliseconds=milliseconds,
        best_milliseconds=1e3 * best,
        gflop_per_step=flops / 1e9,
        gflops=flops / milliseconds / 1e6,
        matmul_gflops=peak / 1e9,
        ratio=flops / (milliseconds / 1e3) / peak,
        best_ratio=flops / best / peak,
        ceiling=flops / float(np.median(alone_times)) / peak,
        peak_memory_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        operation_threads=machine.threads() or "all cores",
        devices=[device.name for device in tf.config.list_logical_devices()],
        cores=machine.cores(),
    )


def named(variant):
    """Returns a variant as text, without what is usual."""
    return " ".join(
        value if name == "model" else f"{name}={value}"
        for name, value in variant.items()
        if value not in ("none", "false", "off", "float32", "mlp", "as_written")
    )


def in_turns(variants):
    """Prints the milliseconds of a step of each variant, by the clock and of all cores, and their ratios to the first's.

    They are medians over the blocks. What all cores spend on a step hardly depends on what else keeps them busy.
    """
    import numpy as np

    from tfadgm import machine

    machine.set_threads(None, "off")
    made = [make_step(variant) for variant in variants]
    for variant, (_, batch, step) in zip(variants, made, strict=True):
        with sums_of(variant):
            step(batch)
    times = np.zeros([2, FLAGS.blocks, len(made)])
    for block in range(FLAGS.blocks):
        for i, (_, batch, step) in enumerate(made):
            with sums_of(variants[i]):
                begin = np.array([time.perf_counter(), time.process_time()])
                for _ in range(5):
                    np.asarray(step(batch)["objective"])
                times[:, block, i] = 1e3 * (np.array([time.perf_counter(), time.process_time()]) - begin) / 5
    middle, ratios = np.median(times, 1), np.median(times / times[..., :1], 1)
    print(f"{'variant':68} {'ms':>7} {'ratio':>6} {'ms of cores':>12} {'ratio':>6} {'GFLOP':>6} {'weights':>9}")
    for i, (model, batch, _) in enumerate(made):
        print(
            f"{named(variants[i]):68} {middle[0, i]:7.1f} {ratios[0, i]:6.2f} {middle[1, i]:12.1f} {ratios[1, i]:6.2f} "
            f"{count_flops(model, batch) / 1e9:6.2f} {model.count_params():9}",
            flush=True,
        )


def main(argv):
    """Measures every combination of the listed flags."""
    if FLAGS.in_turns:
        in_turns([dict(zip(VARIED, values, strict=True)) for values in itertools.product(*(FLAGS[n].value for n in VARIED))])
        return
    if FLAGS.one:
        print("RESULT " + json.dumps(measure(json.loads(FLAGS.one))))
        return
    results = []
    print(f"{'variant':58} {'ms':>7} {'GFLOP':>6} {'GFLOP/s':>8} {'machine':>8} {'ratio':>6} {'ceiling':>7} {'MB':>6}")
    for values in itertools.product(*(FLAGS[name].value for name in VARIED)):
        variant = dict(zip(VARIED, values, strict=True))
        command = [sys.executable, *sys.argv, f"--one={json.dumps(variant)}"]
        done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"})
        lines = [line for line in done.stdout.splitlines() if line.startswith("RESULT ")]
        if not lines:
            raise SystemExit(f"{variant} failed:\n{done.stderr[-2000:]}")
        result = json.loads(lines[0][7:])
        results.append(result)
        print(
            f"{named(variant):58} {result['milliseconds']:7.1f} {result['gflop_per_step']:6.2f} {result['gflops']:8.1f} "
            f"{result['matmul_gflops']:8.1f} {result['ratio']:6.2f} {result['ceiling']:7.2f} "
            f"{result['peak_memory_mb']:6.0f}",
            flush=True,
        )
    if FLAGS.json:
        path = pathlib.Path(FLAGS.json)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(dict(rows=results, hardware=common.hardware()), indent=2) + "\n")


if __name__ == "__main__":
    app.run(main)
