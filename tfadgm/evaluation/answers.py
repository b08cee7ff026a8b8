"""What a model answers about many examples: probabilities of classes, densities.

Densities are in nats per example, in the data's own units unless it is said otherwise (see `density`); an example's value
depends on that example alone.
"""

import collections
import concurrent.futures
import math

import numpy as np
import tensorflow as tf

from tfadgm import machine, noise, telling
from tfadgm.data import on_disk
from tfadgm.distributions.transformed import SquashedGaussian
from tfadgm.models import density, imputation
from tfadgm.models.base import DeepGenerativeModel
from tfadgm.models.questions import CLASS_SAMPLES
from tfadgm.telling import Progress

MEMORY_VALUES = 40_000_000  # values of the widest layer in one chunk, 160 MB in float32
ELBO_EXAMPLES = 500  # at a time, at most
ELBO_ARRAYS = 32  # of the size of the widest layer, for which a bound of all classes has room: many are alive at once
# What is asked about many examples, by the keys of `_in_chunks`, as its progress is told.
TASKS = {"class": "classification", "own": "classification", "density": "log p(x)", "elbo": "bounds", "bayes": "Bayes' rule"}
TASKS |= {"trained_elbo": "bounds", "mean": "imputation", "draw": "imputation"}
LANES = 16  # float32 numbers that a processor computes at once, at most
# With t the Gaussian before the sigmoid, of variance v, p / q is exp(t^2 / 2v - |t|) for large |t|: its square has no mean.
INFINITE_VARIANCE = "no measure here: the weights of a Gaussian on a bounded z have an infinite variance, whatever q is"


def class_probabilities(
    model: DeepGenerativeModel, x: np.ndarray, samples: int = CLASS_SAMPLES, chunk: int = 500
) -> np.ndarray:
    """Returns q(y|x) = mean over `samples` draws of a of q(y|a, x), float64 [N, K], for raw examples x.

    It is the classifier that is served, its noise included: a service makes the errors that are reported.
    """
    _, rows = _rows(model)
    chunk = max(1, min(chunk, rows // (samples * model.classifier_rows)))
    log_probs = _in_chunks(lambda raw: model.log_answer(raw, samples), ("class", samples), model, x, chunk)
    probabilities = np.exp(log_probs.astype("float64"))
    return probabilities / probabilities.sum(1, keepdims=True)


def own_log_probs(model: DeepGenerativeModel, x: np.ndarray, samples: int = CLASS_SAMPLES, chunk: int = 500) -> np.ndarray:
    """Returns log q(y|a_s, x) of the model's own classifier, float32 [N, S, K]; S is 1 where nothing is drawn before y."""
    _, rows = _rows(model)
    chunk = max(1, min(chunk, rows // (samples * model.classifier_rows)))

    def by_example(raw):
        return tf.transpose(model.log_own_answer_by_sample(raw, samples), [1, 0, 2])

    return _in_chunks(by_example, ("own", samples), model, x, chunk)


def _rows(model):
    """Returns (classes, rows): how many classes each example is evaluated for, and how many rows fit into memory."""
    classes, network = model.num_classes if model.has_class else 1, model.network
    heads = (factor.head_units for factor in [*model.p.values(), *model.q.values()])
    widest = max(*heads, *network.hidden, *(network.hidden_above or ()))
    return classes, max(classes, MEMORY_VALUES // widest)


def latent_means(model: DeepGenerativeModel, x: np.ndarray) -> np.ndarray:
    """Returns the means of q's latents side by side, float32 [N, units], in the order of `latent_names`; see `encode`."""
    return _in_chunks(lambda raw: tf.concat(list(model.encode(raw).values()), -1), ("means",), model, x, ELBO_EXAMPLES)


def latent_names(model: DeepGenerativeModel) -> list[str]:
    """Returns the names of the columns of `latent_means`: z0, z1, ..., or z1_0, z1_1, ... of a latent called z1."""
    return [f"{name}{'_' * name[-1].isdigit()}{i}" for name in model.latents for i in range(model.sizes[name])]


def elbo(model: DeepGenerativeModel, x: np.ndarray) -> np.ndarray:
    """Returns -U(x) <= log p(x) in nats, [N]; binary data are binarised once, the same for every model and bound."""
    return _in_chunks(lambda raw: density.elbo(model, raw), ("elbo",), model, x, _elbo_chunk(model))


def trained_elbo(model: DeepGenerativeModel, x: np.ndarray) -> np.ndarray:
    """Returns the bound that training maximises, [N], of a model whose `elbo` is of another p(x): see `Questions`."""
    return _in_chunks(lambda raw: density.trained_elbo(model, raw), ("trained_elbo",), model, x, _elbo_chunk(model))


def _elbo_chunk(model):
    classes, rows = _rows(model)
    return max(1, min(ELBO_EXAMPLES, rows // (ELBO_ARRAYS * classes)))


def log_density(
    model: DeepGenerativeModel, x: np.ndarray, samples: int = 100, progress: Progress | None = None
) -> np.ndarray:
    """Returns the importance-weighted bound of log p(x) with `samples` samples in nats, [N] (Burda et al. 2015, eq. 8).

    It is what the exported signature `log_density` answers.
    """
    return importance(model, x, samples, progress)[0]


def importance(
    model: DeepGenerativeModel, x: np.ndarray, samples: int = 100, progress: Progress | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Importance-weighted estimates of p(x) from `samples` draws of q; memory grows with neither samples nor examples.

    Returns:
      (bound, effective): log (1/S) sum_s w_s in nats, [N], and the effective sample size (sum w)^2 / sum w^2, between 1
      and S, [N]: near 1 the bound is one lucky draw.
    """
    bound, effective = _importance(model, x, samples, "density", progress)
    return bound + log_scale(model, x), effective


def log_scale(model: DeepGenerativeModel, x: np.ndarray) -> np.ndarray:
    """Returns what the densities of examples in their own units have more than those of x as the model scales it, [N]."""
    return _in_chunks(model.log_scale, ("scale",), model, x, ELBO_EXAMPLES)


def bayes_class_probabilities(
    model: DeepGenerativeModel, x: np.ndarray, samples: int = 100, progress: Progress | None = None
) -> np.ndarray:
    """Returns p(y|x) = p(x, y) / p(x), float64 [N, K], from importance-weighted estimates of p(x, y) for every class.

    The generative classifier that Maaloe et al. 2016 propose in their discussion, beside q(y|x). The estimates of the
    classes share their noise.
    """
    log_p, _ = _importance(model, x, samples, "bayes", progress)
    log_p = log_p.astype("float64") - log_p.max(1, keepdims=True)
    return np.exp(log_p) / np.exp(log_p).sum(1, keepdims=True)


def impute(
    model: DeepGenerativeModel,
    x: np.ndarray,
    samples: int = imputation.SAMPLES,
    draws: int | None = None,
    progress: Progress | None = None,
) -> np.ndarray:
    """Returns raw rows of a table whose missing cells are filled, float32 [N, C]; with `draws`, so many, [draws, N, C].

    Args:
      model: a `DeepGenerativeModel` of a table.
      x: raw rows, float32 [N, C], NaN where a cell is missing.
      samples: draws of the latents for each row.
      draws: how many completions are drawn, for multiple imputation; None: one of means (see `imputation`).
      progress: called with (rows done, rows) now and then.
    """
    classes, rows = _rows(model)
    chunk = max(1, min(ELBO_EXAMPLES, rows // (samples * classes)))
    if draws is None:
        return _in_chunks(lambda raw: imputation.mean(model, raw, samples), ("mean", samples), model, x, chunk, progress)

    def drawn(raw):
        return tf.transpose(imputation.draw(model, raw, draws, samples), [1, 0, 2])

    return np.moveaxis(_in_chunks(drawn, ("draw", samples, draws), model, x, chunk, progress), 1, 0)


def _importance(model, x, samples, of, progress):
    """Returns log mean w and effective sample sizes, [N] of p(x) ("density"), or [N, K] of p(x, y) for each y ("bayes")."""
    classes, rows = _rows(model)
    chunk = max(1, min(len(x), rows // (min(samples, noise.AT_ONCE) * classes)))
    weights, shape = (model.log_weights, ()) if of == "density" else (model.class_log_weights, (classes,))

    def both(raw):
        return tf.stack([tf.transpose(part) for part in density.importance(model, raw, samples, weights, shape)], 1)

    return np.moveaxis(_in_chunks(both, (of, samples), model, x, chunk, progress), 1, 0)


def _in_chunks(function, key, model, x, chunk, progress=None):
    """Concatenates function(raw) over chunks of x; compiled once per model and `key`.

    Chunks are filled up to whole vectors of the processor's arithmetic, whose last bits are others in a remainder: an answer
    does not depend on the place of its row among the others.
    """
    spec = tf.TensorSpec([None, *model.preprocess.raw_shape], model.preprocess.raw_dtype)
    compiled = vars(model).setdefault("_evaluators", {})
    if key not in compiled:
        compiled[key] = tf.function(function, input_signature=[spec], autograph=False).get_concrete_function()

    def calls():  # (the examples, arguments)
        for start in range(0, len(x), chunk):
            raw = np.ascontiguousarray(x[start : start + chunk])
            filling = -len(raw) % LANES if chunk >= LANES else 0
            yield (start, start + len(raw)), (tf.constant(np.concatenate([raw, raw[:1].repeat(filling, 0)])),)

    results = []
    with telling.task(TASKS.get(key[0], "evaluation"), "examples") as task:
        for (start, done), result in _side_by_side(compiled[key], calls()):
            results.append(result[: done - start])
            on_disk.release(x)
            task(done, len(x))
            if progress:
                progress(done, len(x))
    return np.concatenate(results)


def _side_by_side(function, calls):
    """Yields (name, function(*arguments) as an array) for (name, arguments) of `calls`, in their order.

    As many are under way as the cores have room for.
    """
    workers, waiting = machine.side_by_side(), collections.deque[tuple]()
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        for name, arguments in calls:
            waiting.append((name, pool.submit(lambda given: function(*given).numpy(), arguments)))
            if len(waiting) > workers:
                name, future = waiting.popleft()
                yield name, future.result()
        for name, future in waiting:
            yield name, future.result()


def densities(
    model: DeepGenerativeModel,
    x: np.ndarray,
    samples: int = 100,
    examples: int = 1000,
    progress: Progress | None = None,
) -> dict[str, float | str]:
    """Returns the ELBO over all x, both bounds over the first `examples`, and standard errors over examples, a dict.

    elbo and log_density are of x as the model scales it, and of its kept columns alone, as they have always been here;
    elbo_own_units and log_density_own_units are of the data. log_scale is the mean difference of the ELBOs.
    components: how many numbers of an example log p(x) is of; components_dropped: how many more it has. bits_per_dimension:
    -log2 of the probability of the levels, per component, of data that are levels and modelled as such.
    densities_given: what log p(x) is conditioned on, if anything.
    examples_without_density: how many have an ELBO that is not finite, if any.
    """
    bound, (weighted, effective) = elbo(model, x), importance(model, x[:examples], samples, progress)
    scale = log_scale(model, x).astype("float64")
    scaled, scaled_weighted, size = bound - scale, weighted - scale[:examples], model.preprocess.components
    found: dict[str, float | str] = dict(
        elbo=float(scaled.mean()),
        elbo_stderr=_stderr(scaled),
        elbo_of_density_examples=float(scaled[:examples].mean()),
        log_density=float(scaled_weighted.mean()),
        log_density_stderr=_stderr(scaled_weighted),
        log_density_samples=samples,
        log_density_examples=len(weighted),
        effective_samples=float(np.median(effective)),
        log_scale=float(scale.mean()),
        elbo_own_units=float(bound.mean(dtype="float64")),
        log_density_own_units=float(weighted.mean(dtype="float64")),
        components=size,
        components_dropped=math.prod(model.preprocess.raw_shape) - size,
    )
    if model.densities_given:
        found["densities_given"] = model.densities_given
    if model.trained_otherwise:
        found |= dict(trained_elbo=float((trained_elbo(model, x) - scale).mean()), trained_elbo_of=model.trained_otherwise)
    if not np.isfinite(bound).all():
        found["examples_without_density"] = int((~np.isfinite(bound)).sum())
    if any(isinstance(factor, SquashedGaussian) for factor in model.q.values()):
        found["effective_samples_note"] = INFINITE_VARIANCE
    if model.gives_levels:
        found["bits_per_dimension"] = float(-weighted.mean(dtype="float64") / math.log(2) / size)
    return found


def _stderr(values):
    """The standard error of a mean over examples; NaN for one example, of which nothing follows."""
    return float(values.std() / math.sqrt(len(values))) if len(values) > 1 else math.nan
