"""What the machine has, and what follows from it: devices, XLA, precision, threads, the order of sums."""

import contextlib
import os
import pathlib
import platform
import threading

import tensorflow as tf

REORDERS = "arithmetic_optimization"  # of `tf.config.optimizer.set_experimental_options`


def cores():
    """Returns the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def hardware():
    """Returns what numbers are measured on: processor, cores that this process may use, Python, TensorFlow."""
    names = [line.split(":")[1].strip() for line in _cpuinfo().splitlines() if line.startswith("model name")]
    return dict(
        processor=names[0] if names else platform.processor() or platform.machine(),
        cores=cores(),
        python=platform.python_version(),
        tensorflow=tf.__version__,
    )


def describe(machine):
    """Returns what `hardware` found in words: "2 cores of ..."."""
    return f"{machine['cores']} {'core' if machine['cores'] == 1 else 'cores'} of {machine['processor']}"


def use_xla(name):
    """Whether to compile by XLA: "on", "off", or "auto": on GPUs only.

    On CPUs XLA's matrix products are slower than the default kernels: `benchmarks/step_time.py --xla=on,off` measures it.
    """
    return name == "on" or (name == "auto" and bool(tf.config.list_logical_devices("GPU")))


def resolve_precision(name):
    """Returns "float32" or "bfloat16"; "auto" is bfloat16 where products in it are faster: AVX512-BF16 or AMX, or Ampere."""
    if name != "auto":
        return name
    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        capability = tf.config.experimental.get_device_details(gpus[0]).get("compute_capability", (0, 0))
        return "bfloat16" if capability[0] >= 8 else "float32"
    return "bfloat16" if any(name in _cpuinfo() for name in ("avx512_bf16", "amx_bf16")) else "float32"


def threads():
    """Returns the threads of one operation that were set, by `set_threads` or TF_NUM_INTRAOP_THREADS; None: all cores."""
    given = os.environ.get("TF_NUM_INTRAOP_THREADS", "")
    return tf.config.threading.get_intra_op_parallelism_threads() or int(given if given.isdigit() else 0) or None


def set_threads(number, xla="auto"):
    """Sets the threads of one operation, which TensorFlow takes when it starts to compute and cannot change afterwards.

    The networks' products are small: a second thread gains less in each than two operations gain side by side
    (`benchmarks/step_time.py --threads=1,2`). Evaluation, whose operations wait for each other, then has several chunks
    side by side: see `side_by_side`. A program compiled by XLA is one operation, and wants all cores.

    Args:
      number: at least 1; None: 1 on two cores without a GPU and without XLA, elsewhere TensorFlow's choice, which is all
        cores. What TF_NUM_INTRAOP_THREADS says stays, and what TensorFlow has started with.
      xla: the setting of that name.

    Raises:
      ValueError: for a number, if TensorFlow has started with another.
    """
    pays = cores() == 2 and xla != "on" and not tf.config.list_physical_devices("GPU")
    if number is None and (threads() or not pays):
        return
    try:
        tf.config.threading.set_intra_op_parallelism_threads(number or 1)
    except RuntimeError:
        if number is not None:
            raise ValueError(
                f"threads: got {number}; allowed: none, since TensorFlow has started to compute with another number"
            ) from None


def side_by_side():
    """Returns how many graphs of single operations in a row the cores have room for: 1 unless threads were set."""
    if threads() is None or tf.config.list_physical_devices("GPU"):
        return 1
    return max(1, cores() // threads())


_scopes, _lock = [], threading.Lock()


@contextlib.contextmanager
def sums_as_written():
    """Within this scope, or a function that it decorates, graphs add in the order that their functions were written in.

    TensorFlow's optimizer of graphs reorders sums by the addresses of nodes (`arithmetic_optimization`), so that the same
    training has other last bits in another process, or as the eleventh of one. Without it steps take as long: see BUILD.md.
    The option is the process's: scopes of several threads share it, and the last that ends gives back what was set.
    """
    options = tf.config.optimizer
    with _lock:
        _scopes.append(options.get_experimental_options().get(REORDERS, True))
        options.set_experimental_options({REORDERS: False})
    try:
        yield
    finally:
        with _lock:
            before = _scopes[0]
            _scopes.pop()
            if not _scopes:
                options.set_experimental_options({REORDERS: before})


def _cpuinfo():
    try:
        return pathlib.Path("/proc/cpuinfo").read_text()
    except OSError:
        return ""
