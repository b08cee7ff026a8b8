"""What a model is worth on held-out examples: error, calibration and densities."""

import collections
import concurrent.futures
import math

import numpy as np
import scipy.optimize
import tensorflow as tf

from tfadgm import machine, noise
from tfadgm.serving import signatures

# All evaluation noise comes from this seed: results depend on the model alone.
SEED = (0, 2016)
OBSERVED_AT_ONCE = 500  # examples that are binarised (or dequantised) from one seed
MEMORY_VALUES = 40_000_000  # values of the widest layer in one chunk, 160 MB in float32


def class_probabilities(model, x, samples=100, chunk=500):
    """Returns q(y|x) = mean over `samples` draws of a of q(y|a, x), float64 [N, K], for raw examples x.

    It is the classifier that is served, its noise included: a service makes the errors that are reported.
    """

    _, rows = _rows(model)
    chunk = max(1, min(chunk, rows // (samples * model.classifier_rows)))

    def log_probs(raw, observed, seed):
        return signatures.log_class_probs(model, raw, samples)

    probabilities = np.exp(_in_chunks(log_probs, ("class", samples), model, x, chunk).astype("float64"))
    return probabilities / probabilities.sum(1, keepdims=True)


def _rows(model):
    """Returns (classes, rows): how many classes each example is evaluated for, and how many rows fit into memory."""
    classes, network = model.num_classes if model.has_class else 1, model.network
    heads = (factor.head_units for factor in [*model.p.values(), *model.q.values()])
    widest = max(*heads, *network.hidden, *(network.hidden_above or ()))
    return classes, max(classes, MEMORY_VALUES // widest)


def elbo(model, x):
    """Returns -U(x) <= log p(x) in nats, [N]; binary data are binarised once, the same for every model and bound."""
    classes, rows = _rows(model)
    chunk = max(1, min(OBSERVED_AT_ONCE, rows // classes))

    def bound(raw, observed, seed):
        return model.elbo(raw, seed, observed)

    return _in_chunks(bound, ("elbo",), model, x, chunk)


def trained_elbo(model, x):
    """Returns the bound that training maximises, [N], of a model whose `elbo` is of another p(x): see `Questions`."""

    def bound(raw, observed, seed):
        return model.trained_elbo(raw, seed, observed)

    return _in_chunks(bound, ("trained_elbo",), model, x, min(OBSERVED_AT_ONCE, _rows(model)[1]))


def log_density(model, x, samples=100, progress=None):
    """Returns the importance-weighted bound of log p(x) with `samples` samples in nats, [N] (Burda et al. 2015, eq. 8)."""
    return importance(model, x, samples, progress)[0]


def importance(model, x, samples=100, progress=None):
    """Importance-weighted estimates of p(x) from `samples` draws of q; memory grows with neither samples nor examples.

    Returns:
      (bound, effective): log (1/S) sum_s w_s in nats, [N], and the effective sample size (sum w)^2 / sum w^2, between 1
      and S, [N]: near 1 the bound is one lucky draw.
    """
    return _importance(model, x, samples, model.log_weights, "density", progress)


def bayes_class_probabilities(model, x, samples=100, progress=None):
    """Returns p(y|x) = p(x, y) / p(x), float64 [N, K], from importance-weighted estimates of p(x, y) for every class.

    The generative classifier that Maaloe et al. 2016 propose in their discussion, beside q(y|x). The estimates of the
    classes share their noise.
    """
    log_p, _ = _importance(model, x, samples, model.class_log_weights, "bayes", progress)
    log_p = log_p.astype("float64") - log_p.max(1, keepdims=True)
    return np.exp(log_p) / np.exp(log_p).sum(1, keepdims=True)


def _importance(model, x, samples, log_weights, key, progress):
    """Returns log mean w and effective sample sizes, [N, ...], of log_weights(raw, seed, samples, observed), [..., S, B].

    Samples and examples are cut into chunks of at most `MEMORY_VALUES` values.
    """
    classes, rows = _rows(model)
    at_once = max(1, min(samples, rows // (20 * classes)))
    chunk = max(1, min(len(x), rows // (at_once * classes)))

    def sums(raw, observed, seed):
        once, twice = None, None
        for part, start in enumerate(range(0, samples, at_once)):
            size = min(at_once, samples - start)
            before = [] if once is None else [once, twice]
            with tf.control_dependencies(before):  # one part after the other, so that memory is one part's
                log_w = log_weights(raw, tf.identity(noise.fold(seed, part)), size, observed)
            new = tf.reduce_logsumexp(log_w, -2), tf.reduce_logsumexp(2 * log_w, -2)
            once, twice = new if once is None else map(_logaddexp, (once, twice), new)
        return tf.stack([tf.transpose(once), tf.transpose(twice)], 1)

    once, twice = np.moveaxis(_in_chunks(sums, (key, samples, at_once), model, x, chunk, progress), 1, 0)
    return once - math.log(samples), np.exp(2 * once - twice)


def _logaddexp(a, b):
    return tf.reduce_logsumexp(tf.stack([a, b]), 0)


def _in_chunks(function, key, model, x, chunk, progress=None):
    """Concatenates function(raw, observed, seed) over chunks of x; compiled once per model and `key`.

    `observed` is the x whose density is asked for, [B, D]: its noise depends on the row alone, not on the chunks.
    """
    preprocess = model.preprocess
    shapes = [([None, *preprocess.raw_shape], preprocess.raw_dtype), ([None, preprocess.size], tf.float32), ([2], tf.int32)]
    spec = [tf.TensorSpec(*shape) for shape in shapes]
    compiled = vars(model).setdefault("_evaluators", {})
    if key not in compiled:
        compiled[key] = tf.function(function, input_signature=spec, autograph=False).get_concrete_function()

    def calls():  # (last example, arguments)
        number = 0
        for block in range(0, len(x), OBSERVED_AT_ONCE):
            raw = np.ascontiguousarray(x[block : block + OBSERVED_AT_ONCE])
            observed = preprocess.observation(raw, noise.fold(tf.constant([SEED[0] + block, SEED[1]]), "observation"))
            for start in range(0, len(raw), chunk):
                part, seed = slice(start, start + chunk), tf.constant([SEED[0] + number, SEED[1]])
                yield min(block + start + chunk, len(x)), (raw[part], observed[part], seed)
                number += 1

    results = []
    for done, result in _side_by_side(compiled[key], calls()):
        results.append(result)
        if progress:
            progress(done, len(x))
    return np.concatenate(results)


def _side_by_side(function, calls):
    """Yields (name, function(*arguments) as an array) for (name, arguments) of `calls`, in their order.

    As many are under way as the cores have room for.
    """
    workers, waiting = machine.side_by_side(), collections.deque()
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        for name, arguments in calls:
            waiting.append((name, pool.submit(lambda arguments=arguments: function(*arguments).numpy())))
            if len(waiting) > workers:
                name, future = waiting.popleft()
                yield name, future.result()
        for name, future in waiting:
            yield name, future.result()


def expected_calibration_error(probabilities, y, bins=15):
    """Expected calibration error: sum over bins of (n_b / N) |accuracy_b - confidence_b| (Guo et al. 2017, eq. 3).

    Args:
      probabilities: [N, K].
      y: class numbers [N].
      bins: number of equal-width bins of the confidence max_k p_k.
    """
    confidence, correct = probabilities.max(1), probabilities.argmax(1) == y
    index = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = [abs(correct[index == b].sum() - confidence[index == b].sum()) for b in range(bins)]
    return float(sum(gaps) / len(y))


def classification(probabilities, y):
    """Returns error, its standard error, expected calibration error and negative log-likelihood (nats) of predictions."""
    wrong = probabilities.argmax(1) != y
    error = float(wrong.mean())
    likelihood = np.maximum(probabilities[np.arange(len(y)), y], np.finfo("float64").tiny)
    return dict(
        error=error,
        error_stderr=math.sqrt(error * (1 - error) / len(y)),
        examples=len(y),
        ece=expected_calibration_error(probabilities, y),
        nll=float(-np.log(likelihood).mean()),
    )


def match_clusters(clusters, y, num_clusters, num_classes):
    """Returns which class each cluster stands for, one-hot float64 [clusters, classes].

    As many clusters as classes, or fewer: the one-to-one matching with the fewest errors (the Hungarian algorithm). More:
    each cluster the class of most of its examples.

    Args:
      clusters: int [N], the cluster of each example.
      y: int [N], its class.
      num_clusters, num_classes: their numbers.
    """
    counts = np.bincount(clusters * num_classes + y, minlength=num_clusters * num_classes).reshape(-1, num_classes)
    if num_clusters > num_classes:
        return np.eye(num_classes)[counts.argmax(1)]
    return np.eye(num_classes)[scipy.optimize.linear_sum_assignment(-counts)[1]]


def densities(model, x, samples=100, examples=1000, progress=None):
    """Returns the ELBO over all x, both bounds over the first `examples`, and standard errors over examples."""
    bound, (weighted, effective) = elbo(model, x), importance(model, x[:examples], samples, progress)
    results = dict(
        elbo=float(bound.mean()),
        elbo_stderr=float(bound.std() / math.sqrt(len(bound))),
        elbo_of_density_examples=float(bound[: len(weighted)].mean()),
        log_density=float(weighted.mean()),
        log_density_stderr=float(weighted.std() / math.sqrt(len(weighted))),
        log_density_samples=samples,
        log_density_examples=len(weighted),
        effective_samples=float(np.median(effective)),
    )
    if model.trained_otherwise:
        results |= dict(trained_elbo=float(trained_elbo(model, x).mean()), trained_elbo_of=model.trained_otherwise)
    return results
