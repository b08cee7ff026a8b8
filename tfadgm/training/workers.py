"""The processes that train one model together: who they are, and what they tell each other.

They are those of TF_CONFIG, or of a Slurm step; the first, the chief, alone reads and writes the run directory, and tells
the others what to train. What it says goes by TensorFlow's coordination service, which also finds who is gone.
"""

import faulthandler
import functools
import json
import os
import re
import signal
import threading

import tensorflow as tf

from tfadgm.telling import tell

HEARTBEAT = 30  # seconds without a sign of life after which a worker counts as gone
JOIN = 600  # seconds in which all workers must have come
PORT = 8888  # of the first task of a node, under Slurm
JOBS = ("chief", "worker")


class WorkerLost(RuntimeError):
    """Another process of the group is gone, and with it what the group was doing."""


def named():
    """Returns ({job: addresses}, job, number) of the group that the environment names, or None.

    Raises:
      ValueError: if TF_CONFIG or Slurm's variables name no such group.
    """
    text = os.environ.get("TF_CONFIG")
    if text:
        return _of_tf_config(text)
    if "SLURM_PROCID" not in os.environ:
        return None
    try:  # GPUs are those that a task sees; what the resolver makes of them is not asked for
        resolver = tf.distribute.cluster_resolver.SlurmClusterResolver(
            port_base=PORT, gpus_per_node=10_000, gpus_per_task=1, auto_set_gpu=False
        )
        cluster = resolver.cluster_spec().as_dict()
    except (RuntimeError, ValueError) as error:
        raise ValueError(f"SLURM_PROCID: set, and {_line(error)}; allowed: within srun, or TF_CONFIG") from None
    return cluster, *resolver.get_task_info()


def _of_tf_config(text):
    form = '{"cluster": {"worker": ["HOST:PORT", ...]}, "task": {"type": "worker", "index": 0}}'
    try:
        config = json.loads(text)
        cluster, task = config.get("cluster", {}), config.get("task", {})
        sizes = {job: len(list(addresses)) for job, addresses in cluster.items()}
        if not sizes:
            return None
        job, number = task["type"], int(task["index"])
        if set(sizes) <= set(JOBS) and 0 <= number < sizes[job]:
            return cluster, job, number
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError):
        pass
    raise ValueError(f"TF_CONFIG: got {text!r:.200}; allowed: {form}, jobs {' and '.join(JOBS)}")


def check(strategy):
    """Raises a ValueError where TF_CONFIG names several workers and the setting `strategy` says nothing of it."""
    found = strategy == "auto" and os.environ.get("TF_CONFIG") and named()
    count = sum(map(len, found[0].values())) if found else 1
    if count > 1:
        raise ValueError(
            f"strategy: got auto, and TF_CONFIG names {count} workers; allowed: multi_worker, or one or mirrored, with "
            "which each process trains alone"
        )


@functools.cache
def join():
    """Returns the `Group` that the environment names, when all of it have come; called before TensorFlow computes anything.

    Raises:
      ValueError: if the environment names none, or TensorFlow has begun to compute.
    """
    found = named()
    if found is None:
        raise ValueError("strategy: got multi_worker without TF_CONFIG; allowed: with it in the environment, or within srun")
    return Group(*found)


def of(strategy):
    """Returns the `Group` of a `tf.distribute.Strategy`, or None."""
    return join() if isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy) else None


class Group:
    """Some processes, of which this is one.

    Attributes:
      strategy: the `tf.distribute.MultiWorkerMirroredStrategy`.
      size: how many processes there are.
      number: of this one, from 0, the chief.
    """

    def __init__(self, cluster, job, number):
        from tensorflow.python.eager import context  # what the public modules offer of it has no timeouts

        self.size = sum(len(addresses) for addresses in cluster.values())
        self.number = number + (len(cluster.get("chief", ())) if job == "worker" else 0)
        self._context, self._told = context.context(), 0
        os.environ["TF_CONFIG"] = json.dumps(dict(cluster=cluster, task=dict(type=job, index=number)))
        terminated = signal.getsignal(signal.SIGTERM)
        seconds = int(os.environ.get("TFADGM_HEARTBEAT_SECONDS") or HEARTBEAT)
        self._configure(cluster, seconds)
        # TensorFlow waits on whatever timeout it is told, and no thread of Python runs meanwhile.
        tell(f"waits for {self.size} workers, and ends if not all come within {JOIN} seconds")
        nowhere = open(os.devnull, "w")
        faulthandler.dump_traceback_later(JOIN, exit=True, file=nowhere)
        try:
            self.strategy = tf.distribute.MultiWorkerMirroredStrategy()
        except RuntimeError as error:
            told = "allowed: multi_worker in a process that has computed nothing yet"
            raise ValueError(f"strategy: {_line(error)}; {told}") from error
        finally:
            faulthandler.cancel_dump_traceback_later()
            nowhere.close()
            if threading.current_thread() is threading.main_thread():  # TensorFlow has taken SIGTERM to do nothing at it
                signal.signal(signal.SIGTERM, signal.SIG_DFL if terminated is None else terminated)
        self.replicas = self.strategy.num_replicas_in_sync // self.size  # of this process
        self._sum = tf.function(lambda values: self.strategy.run(_sum, (values,)), autograph=False)

    def _configure(self, cluster, seconds):
        from tensorflow.compiler.xla.tsl.protobuf import coordination_config_pb2

        jobs = [job for job in JOBS if job in cluster]
        coordinated = [coordination_config_pb2.CoordinatedJob(name=job, num_tasks=len(cluster[job])) for job in jobs]
        self._context.configure_coordination_service(
            "standalone",
            service_leader=f"/job:{jobs[0]}/replica:0/task:0",
            cluster_register_timeout_in_ms=1000 * JOIN,
            heartbeat_timeout_in_ms=1000 * seconds,
            shutdown_barrier_timeout_in_ms=1000 * seconds,
            coordinated_jobs=coordinated,
        )

    @property
    def is_chief(self):
        """Whether this process reads and writes the run directory."""
        return self.number == 0

    def tell(self, content):
        """Tells all others `content`, in JSON types; called by the chief."""
        self._context.set_config_key_value(f"tfadgm/{self._told}", json.dumps(content))
        self._told += 1

    def hear(self):
        """Waits for what the chief tells next, and returns it."""
        content = json.loads(self._context.get_config_key_value(f"tfadgm/{self._told}"))
        self._told += 1
        return content

    def share(self, make):
        """Returns make() of the chief, in JSON types, in all processes."""
        if not self.is_chief:
            return self.hear()
        content = make()
        self.tell(content)
        return content

    def agree(self, values):
        """Returns the sums of a list of numbers over the processes, the same in each; all must call it."""
        total = self._sum(tf.constant(values, tf.float32))
        return [float(value) / self.replicas for value in self.strategy.experimental_local_results(total)[0]]

    def take_over(self, variables):
        """Gives the variables of all processes the values that the chief has; all must call it."""

        def of_replica(alike):
            context = tf.distribute.get_replica_context()
            own = context.replica_id_in_sync_group == 0
            values = [tf.where(own, v.read_value(), tf.zeros_like(v.read_value())) for v in alike]
            return context.all_reduce(tf.distribute.ReduceOp.SUM, values)

        for dtype in sorted({v.dtype.name for v in variables}):  # what is reduced at once is of one type
            alike = [v for v in variables if v.dtype.name == dtype]
            found = tf.function(functools.partial(self.strategy.run, of_replica, (alike,)), autograph=False)()
            for variable, value in zip(alike, found, strict=True):
                variable.assign(self.strategy.experimental_local_results(value)[0])


def _sum(values):
    return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, values + 0.0)


def lost(error):
    """Returns the `WorkerLost` that an error of TensorFlow's collectives or coordination service stands for."""
    tasks = sorted(set(re.findall(r"/job:(\w+)/replica:0/task:(\d+)", str(error))))
    who = ", ".join(f"{job} {number}" for job, number in tasks) or "a worker"
    return WorkerLost(f"{who} is gone, and the group ends; the same command on all workers goes on from the last checkpoint")


def _line(error):
    return (str(error).strip() or type(error).__name__).splitlines()[0]
