#!/usr/bin/env python3
"""Latency and throughput of an exported classifier behind TF Serving's protocol, and where the time goes.

    benchmarks/serving.py                  an untrained ADGM of the paper's MNIST size, 100 samples of a
    benchmarks/serving.py --run=DIR        the export of a run

The server is tests/serving/conformance_server.py, in a process of its own. It is not TF Serving: what it spends outside the
model (protocol buffers in Python) is its own, so the model's seconds and the others are reported apart. Per batch size:
median and 99th percentile of the seconds of one Classify call at the client, in the server's handler and in the model's
signature, one call after the other; calls and images per second with several clients at once. Then the forward pass of the
classifier alone, its arithmetic (2 m n k per matrix product) and its share of the machine's best float32 product, both
measured in turns in one process.
"""

import concurrent.futures
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

from absl import app, flags
from common import ROOT, flops, hardware

FLAGS = flags.FLAGS
flags.DEFINE_string("run", None, "Directory of a run; its newest export is served.")
flags.DEFINE_list("batches", ["1", "32", "128"], "Images per call.")
flags.DEFINE_integer("calls", 300, "Calls per batch size.")
flags.DEFINE_integer("clients", 4, "Clients at once, for the throughput.")
flags.DEFINE_integer("samples", 100, "Samples of a, without --run.")
flags.DEFINE_string("to", str(ROOT / "benchmarks" / "results" / "speed" / "serving.json"), "Where to write the results.")
NAME = "tfadgm"


def paper_sized():
    """An ADGM of Maaloe et al. 2016 for MNIST: 500-500, a and z of 100."""
    from tfadgm.data.preprocess import Preprocess
    from tfadgm.models.adgm import ADGM
    from tfadgm.networks.mlp import Network

    preprocess = Preprocess([28, 28, 1], "uint8", scale=1 / 255, noise="binarise")
    return ADGM(preprocess, 10, dim_z=100, dim_a=100, network=Network(hidden=(500, 500)))


def open_export(directory):
    """Returns (model, samples, base of versions)."""
    from tfadgm.runs import run_directory
    from tfadgm.serving import export

    if FLAGS.run:
        base = pathlib.Path(FLAGS.run) / "export"
        version = max(export.versions(base))
        about = json.loads((base / str(version) / export.DESCRIPTION_FILE).read_text())
        return run_directory.Run.open(FLAGS.run).model, about["samples"], base
    model, base = paper_sized(), pathlib.Path(directory) / NAME
    export.save(model, [str(k) for k in range(10)], base, FLAGS.samples)
    return model, FLAGS.samples, base


def requests_of(x, batch):
    """Returns serialised ClassificationRequests of `batch` images each."""
    from tensorflow_serving.apis import classification_pb2

    from tfadgm.serving import warmup

    found = []
    for start in range(0, len(x) - batch + 1, batch):
        request = classification_pb2.ClassificationRequest()
        request.model_spec.name, request.model_spec.signature_name = NAME, "classify"
        request.input.example_list.examples.extend(warmup.memory_example(row) for row in x[start : start + batch])
        found.append(request)
    return found


def percentiles(seconds):
    import numpy as np

    return {f"p{p}_ms": 1e3 * float(np.percentile(seconds, p)) for p in (50, 99)}


def load(address, x, batch):
    """Calls the server, first one call at a time, then with several clients; returns what the client saw."""
    import grpc
    from tensorflow_serving.apis import prediction_service_pb2_grpc

    requests = requests_of(x, batch)

    def calls(n):
        options = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]
        with grpc.insecure_channel(address, options) as channel:
            stub, seconds = prediction_service_pb2_grpc.PredictionServiceStub(channel), []
            for i in range(n):
                begin = time.perf_counter()
                stub.Classify(requests[i % len(requests)])
                seconds.append(time.perf_counter() - begin)
        return seconds

    calls(10)
    alone = calls(FLAGS.calls)
    begin = time.perf_counter()
    with concurrent.futures.ThreadPoolExecutor(FLAGS.clients) as pool:
        list(pool.map(calls, [FLAGS.calls // FLAGS.clients] * FLAGS.clients))
    rate = FLAGS.calls // FLAGS.clients * FLAGS.clients / (time.perf_counter() - begin)
    return dict(client=percentiles(alone), calls_per_second=rate, images_per_second=rate * batch)


def serve(base, x, batch):
    """Returns the measurements of one batch size, from a server of its own."""
    with tempfile.NamedTemporaryFile(suffix=".timings") as timings:
        program = [sys.executable, str(ROOT / "tests" / "serving" / "conformance_server.py"), f"--model_name={NAME}"]
        program += [f"--model_base_path={base}", "--port=0", "--rest_api_port=0", f"--timings={timings.name}"]
        environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
        with subprocess.Popen(program, stdout=subprocess.PIPE, text=True, env=environment) as server:
            try:
                address = next(line for line in server.stdout if line.startswith("grpc ")).split()[1]
                found = load(address, x, batch)
            finally:
                server.send_signal(signal.SIGTERM)
        lines = [json.loads(line) for line in pathlib.Path(timings.name).read_text().splitlines()]
    times = [(model, total) for _, method, model, total in lines if method == "classify"][10 : 10 + FLAGS.calls]
    model, total = zip(*times, strict=True)
    outside = 1 - sum(model) / sum(total)
    return dict(found, batch=batch, server=percentiles(total), model=percentiles(model), share_outside_the_model=outside)


def forward(model, samples, batch):
    """The classifier's forward pass alone, against the machine's best float32 product."""
    import numpy as np
    import tensorflow as tf

    from tfadgm.serving import signatures

    spec = tf.TensorSpec([batch, *model.preprocess.raw_shape], model.preprocess.raw_dtype)
    compute = tf.function(lambda raw: signatures.log_class_probs(model, raw, samples), autograph=False)
    compute = compute.get_concrete_function(spec)
    work = sum(flops(op) for op in compute.graph.get_operations())
    raw, big = tf.zeros(spec.shape, spec.dtype), tf.random.normal([4096, 4096])
    product = tf.function(lambda: tf.linalg.matmul(big, big))
    product(), compute(raw)
    ours, best = [], []
    for _ in range(10):
        begin = time.perf_counter()
        for _ in range(5):
            compute(raw).numpy()
        middle = time.perf_counter()
        product().numpy()
        ours.append((middle - begin) / 5)
        best.append(time.perf_counter() - middle)
    seconds, peak = float(np.median(ours)), 2 * 4096**3 / min(best)
    rates = dict(gflops=work / seconds / 1e9, matmul_gflops=peak / 1e9, ratio=work / seconds / peak)
    most = batch * peak / work
    return dict(batch=batch, milliseconds=1e3 * seconds, gflop=work / 1e9, **rates, most_images_per_second=most)


def main(argv):
    """Serves, calls, measures; prints a table and writes JSON."""
    import numpy as np

    with tempfile.TemporaryDirectory() as directory:
        model, samples, base = open_export(directory)
        shape, dtype = model.preprocess.raw_shape, model.preprocess.raw_dtype
        x = np.random.default_rng(0).integers(0, 256, (512, *shape)).astype(dtype)
        batches = [int(batch) for batch in FLAGS.batches]
        served = [serve(base, x, batch) for batch in batches]
        alone = [forward(model, samples, batch) for batch in batches]
    print("milliseconds of a Classify call, median (99th percentile)")
    for row in served:
        parts = [f"{part} {row[part]['p50_ms']:.2f} ({row[part]['p99_ms']:.2f})" for part in ("client", "server", "model")]
        outside, rate = row["share_outside_the_model"], row["images_per_second"]
        print(f"{row['batch']:4} images: {', '.join(parts)}; outside the model {outside:.0%}; {rate:.0f} images/s")
    print("the forward pass alone")
    for row in alone:
        rates = f"{row['gflops']:.0f} of {row['matmul_gflops']:.0f} GFLOP/s: {row['ratio']:.2f}"
        most = f"at the machine's peak {row['most_images_per_second']:.0f} images/s"
        print(f"{row['batch']:4} images: {row['milliseconds']:.2f} ms, {row['gflop']:.2f} GFLOP, {rates}; {most}")
    path = pathlib.Path(FLAGS.to)
    path.parent.mkdir(parents=True, exist_ok=True)
    content = dict(samples=samples, run=FLAGS.run, served=served, forward=alone, hardware=hardware())
    path.write_text(json.dumps(content, indent=2) + "\n")


if __name__ == "__main__":
    app.run(main)
