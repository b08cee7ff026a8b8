"""Never worse than the labels alone: q(y|x) is a pool of the model and of what its labels alone give, by cross-fitting.

The bound is not always on the side of the classes. Three members (`models.answer`) stand for weights of the bound from 0 to
1: logistic regression on x, the same network on the labelled examples alone, and the model. Each classifies the labelled
examples by trainings that have not seen them (`cross_fit.folds`), and from these answers come

- the penalty of the logistic regression, that of the lowest cross-fitted NLL;
- a temperature t_m per member (`svm.fit_temperature`);
- the weights, w = argmax sum_n log sum_m w_m p_m(y_n|x_n) + sum_m PRIOR_m log w_m: those of stacking, which maximise the
  cross-fitted log score of the pool (Yao et al. 2018, "Using stacking to average Bayesian predictive distributions"), with
  a Dirichlet prior. Twenty labels cannot say which of two members is better; the prior then shares the weight, and favours
  the simplest.

Then logistic regression and network are fitted to all labelled examples, and the pool answers where the model alone did.
Where the labelled examples have shares rho_k of the classes and p(y) is another pi, what was learned of them alone answers
p_m(y|x) pi_y / rho_y, normalised (Elkan 2001, "The foundations of cost-sensitive learning"), and example n counts with
pi_k / rho_k, k its class, in each of these sums, which then are those of the data as pi says they are.

(Logistic regression on the latents is no member: z is what the class does not explain, and says nothing of it.)
"""

import dataclasses
import pathlib
import time
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import threadpoolctl
from scipy import optimize, special
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from tfadgm import evaluation, telling
from tfadgm.data import labels, on_disk, pipeline
from tfadgm.data.dataset import Dataset
from tfadgm.models import svm
from tfadgm.models.answer import MEMBERS
from tfadgm.models.base import DeepGenerativeModel
from tfadgm.runs import build, cross_fit, fold_files
from tfadgm.runs.settings import Settings
from tfadgm.telling import tell
from tfadgm.training import baseline, callbacks, fit, progress, stopping

FOLDS = 4
STEPS = 4000  # of the fold models together, at most: of a long training fewer folds than FOLDS are trained, one at least
PENALTIES = (0.01, 0.1, 1.0, 10.0, 100.0)  # C of the logistic regression
NETWORK_STEPS, NETWORK_RATE = 400, 3e-3
PRIOR = (1.2, 1.2, 3.6)  # of `MEMBERS`, in examples that each alone explains (`benchmarks/pool_prior.py`)
MOST = 2000  # labelled examples that members are compared on, and that the logistic regression is fitted to


@dataclasses.dataclass(frozen=True)
class Selection:
    """What was found: the arguments of `Answer.assign`, and what is told of it.

    Attributes:
      weights, temperatures: {member: number}.
      logistic: (W, b).
      network: arrays.
      told: cross-fitted numbers, {members: {name: {weight, temperature, nll, nll_stderr, error}}} of each, calibrated, and
        nll, nll_stderr, error of the pool; of how many examples, of how many folds, and penalty C.
      seconds: that it took, those of a process that was interrupted included, but for a model that it had not finished.
    """

    weights: dict[str, float]
    temperatures: dict[str, float]
    logistic: tuple[np.ndarray, np.ndarray]
    network: list[np.ndarray]
    told: dict[str, Any]
    seconds: float = 0.0

    def give(self, model: DeepGenerativeModel) -> None:
        """From now on the pool answers q(y|x) of the model (`Questions.log_answer`), which is saved and exported with it."""
        model.add_answer().assign(self.weights, self.temperatures, self.logistic, self.network)


def select(
    settings: Settings,
    data: Dataset,
    split: pipeline.Split,
    model: DeepGenerativeModel,
    state: callbacks.State,
    start: DeepGenerativeModel | None = None,
    directory: pathlib.Path | None = None,
) -> Selection | None:
    """Weighs the model against what its labels alone give; None where that cannot be, as is told.

    Args:
      settings: of the run, with sizes in place of "auto" (`build.sized`).
      data, split: of the run.
      model: the trained model, as `build.train` returned it; its weights are the same afterwards.
      state: what training ended with: the fold models are trained for as many epochs as its weights were.
      start: the trained model of the first stage, for a model that has one.
      directory: of the run, where the answers of each fold model are kept until `fold_files.remove`; None: nowhere.

    Raises:
      stopping.Stopped: by SIGTERM or SIGINT, between two steps.
    """
    begun, y = time.perf_counter(), data.y_train[split.labelled]
    fold = cross_fit.folds(y, FOLDS, settings.seed)
    if not np.array_equal(np.unique(y[fold >= 0]), np.arange(model.num_classes)):
        tell("select: a value of y has fewer than two labels, of which none can be left out; the model answers alone")
        return None
    epochs = _epochs(settings, state)
    used = int(np.clip(STEPS // max(1, epochs * build.epoch_steps(settings, split)), 1, FOLDS))
    fold = np.where(fold < used, fold, -1)
    most = int(np.clip(MOST * 10_000 // model.preprocess.read_size, 100, MOST))
    chosen = np.sort(np.random.default_rng([settings.seed, 9]).permutation(len(y))[:most])
    asked = chosen[fold[chosen] >= 0]
    folds = fold_files.Folds(directory)

    def where() -> str:
        return f"in the selection, with {len(folds.answers)} of {used} models trained"

    with stopping.within(where, "with what is left" if directory is not None else "from its beginning"):
        with telling.task(f"selection: {used} {'model' if used == 1 else 'models'} on parts of the labels"):
            answers = {"model": _of_model(settings, data, split, model, epochs, fold, asked, start, folds)}
        with telling.task("selection: the labels alone"):
            answers["network"], network = _of_network(settings, data, split, model, fold, asked)
            answers["logistic"], logistic, penalty = _of_logistic(data, split, model, fold, asked, chosen)
    about = dict(folds=used, penalty=penalty)
    found = _weighed(answers, y[asked], network, logistic, about, log_shares(model, y))
    return dataclasses.replace(found, seconds=time.perf_counter() - begun + folds.seconds)


def calibrate(settings: Settings, data: Dataset, split: pipeline.Split, model: DeepGenerativeModel) -> None:
    """From now on the model answers at the temperature of the lowest NLL on the labelled examples that are held out.

    Their NLL is then a little too low, and that of the test examples is not: it is one number, of all of them.
    """
    if not model.classifies:
        return
    if not model.learns_from_labels or not len(split.validation):
        lack = "no labelled example is held out (--validation)" if model.learns_from_labels else "y is a cluster"
        tell(f"answer_temperature: {lack}; it stays 1")
        return
    answers = evaluation.own_log_probs(model, on_disk.take(data.x_train, split.validation), settings.test_samples)
    model.answer_at(1 / temperature(answers, data.y_train[split.validation]))


def log_shares(model: DeepGenerativeModel, y: np.ndarray) -> np.ndarray:
    """log pi_k / rho_k, [K]: of p(y) to the smoothed shares of labels y, all of which have some; 0 where p(y) is learned."""
    if not model.has_class_prior:
        return np.zeros(model.num_classes)
    prior = np.full(model.num_classes, 1 / model.num_classes) if model.class_prior is None else np.array(model.class_prior)
    return np.log(prior / prior.sum() / labels.shares(y, model.num_classes))


def _epochs(settings, state):
    """The number of epochs after which training had the weights that were taken."""
    if settings.chooses and state.best_epoch:
        return state.best_epoch
    return state.bound_epoch or state.epoch


def _of_model(settings, data, split, model, epochs, fold, asked, start, folds):
    """log q(y|a_s, x) of the examples `asked` by models that have not seen them, [n, S, K]; `folds` has those so far."""
    kept, initial = model.get_weights(), build.initial_weights(settings, data, split, start)
    plan = dataclasses.replace(build.plan(settings, split), labelled_batch=min(settings.labelled_batch, len(split.labelled)))
    count, about = fold.max() + 1, f"{plan} {epochs} epochs {settings.test_samples} samples"
    parts = [_without(split, fold == k) for k in range(count)]
    rows = [split.labelled[asked[fold[asked] == k]] for k in range(count)]
    begun = fold_files.identity(about, *initial)
    identities = [fold_files.identity(about, begun, p.labelled, p.unlabelled, r) for p, r in zip(parts, rows, strict=True)]
    folds.read(identities, [(len(each), model.num_classes) for each in rows])
    try:
        for k in range(count):
            if k not in folds.answers:
                now = time.perf_counter()
                fit.train_again(model, initial, data, parts[k], plan, epochs, [progress.OfSeveral(k, count)])
                x = on_disk.take(data.x_train, rows[k])
                found = evaluation.own_log_probs(model.with_precision("float32"), x, settings.test_samples)
                folds.add(k, identities[k], found, time.perf_counter() - now)
    finally:
        model.set_weights(kept)
    return _in_order([folds.answers[k] for k in range(count)], fold, asked)


def _without(split, left_out):
    """The split without some of the labelled examples, which leave the unlabelled pool too."""
    pool = np.setdiff1d(split.unlabelled, split.labelled[left_out])
    return dataclasses.replace(split, labelled=split.labelled[~left_out], unlabelled=pool)


def _of_network(settings, data, split, model, fold, asked):
    """The same of the network alone, [n, 1, K], and the network when it is trained on all labels."""
    supervised = baseline.Supervised(model, NETWORK_RATE, settings.seed, settings.average)
    batch = min(settings.labelled_batch, *(int(np.sum(fold != k)) for k in range(fold.max() + 1)))
    parts = []

    def examples(rows: Any) -> tuple[np.ndarray, np.ndarray]:
        return on_disk.take(data.x_train, split.labelled[rows]), data.y_train[split.labelled[rows]]

    for k in range(fold.max() + 1):
        telling.advance("network", k, fold.max() + 2)
        supervised.train(*examples(fold != k), NETWORK_STEPS, batch)
        parts.append(supervised.log_probs(examples(asked[fold[asked] == k])[0])[:, np.newaxis])
    trained = supervised.train(*examples(slice(None)), NETWORK_STEPS, batch)
    return _in_order(parts, fold, asked), trained.classifier


def _of_logistic(data, split, model, fold, asked, chosen):
    """The same of logistic regression at its best penalty, [n, 1, K], (W, b) of all examples, and the penalty C."""
    x = np.asarray(model.preprocess(on_disk.gather(data.x_train, split.labelled[chosen])))[:, : model.preprocess.read_size]
    y, fold, asked, found = data.y_train[split.labelled[chosen]], fold[chosen], fold[chosen] >= 0, []
    for C in PENALTIES:
        answers = np.zeros((len(y), 1, model.num_classes))
        for k in range(fold.max() + 1):
            W, b = _logistic(x[fold != k], y[fold != k], C)
            answers[fold == k, 0] = special.log_softmax(x[fold == k] @ W + b, 1)
        found.append((-answers[asked, 0, y[asked]].mean(), C, answers[asked]))
    _, best, answers = min(found, key=lambda each: each[0])
    return answers, _logistic(x, y, best), best


def _logistic(x, y, C):
    """(W, b) of multinomial logistic regression, [D, K] and [K]."""
    with warnings.catch_warnings(), threadpoolctl.threadpool_limits(1):  # few rows: threads only wait for each other
        warnings.simplefilter("ignore", ConvergenceWarning)
        found = LogisticRegression(C=C, max_iter=1000).fit(x, y)
    W, b = found.coef_.T, found.intercept_
    return (W * [-0.5, 0.5], b * [-0.5, 0.5]) if len(b) == 1 else (W, b)  # two classes have one score


def _in_order(parts, fold, asked):
    """The parts of the folds in the order of the examples `asked`."""
    order = np.argsort(fold[asked], kind="stable")
    together = np.concatenate(parts)
    found = np.empty_like(together)
    found[order] = together
    return found


def temperature(f: np.ndarray, y: np.ndarray, shift: float | np.ndarray = 0.0, counts: np.ndarray | None = None) -> float:
    """The t of lowest cross-entropy of mean_s softmax(t f_s + shift), f [n, S, K], with labels y [n], smoothed as in `svm`.

    `counts` [n]: how often each example counts; None: once.
    """
    targets = svm.smoothed(y, f.shape[-1]) * (1.0 if counts is None else counts[:, np.newaxis])

    def cross_entropy(log_t):
        answers = special.logsumexp(special.log_softmax(np.exp(log_t) * f + shift, -1), 1) - np.log(f.shape[1])
        return -(targets * answers).sum()

    return float(np.exp(optimize.minimize_scalar(cross_entropy, bounds=(-5, 3), method="bounded").x))


def stacking(log_scores: np.ndarray, prior: Sequence[float] = PRIOR, counts: np.ndarray | None = None) -> np.ndarray:
    """The weights [M] of highest log score of the pool plus sum_m prior_m log w_m, from log p_m(y_n|x_n), [n, M].

    `counts` [n]: how often each example counts; None: once. By the steps of expectation maximisation, which rise to the one
    maximum of a concave function.
    """
    examples = np.asarray(prior, "float64")
    weights, each = examples / examples.sum(), np.ones(len(log_scores)) if counts is None else counts
    for _ in range(1000):
        shares = each @ special.softmax(log_scores + np.log(weights), 1) + examples
        weights = shares / shares.sum()
    return weights


def _weighed(answers, y, network, logistic, about, shift):
    """The `Selection` that follows from the members' cross-fitted answers {name: log q, [n, S, K]}, and `log_shares`."""
    counts = np.exp(shift[y])
    counts *= len(y) / counts.sum()
    shifts = dict(model=0.0, network=shift, logistic=shift)  # the model's training had p(y) before it
    temperatures = {name: temperature(answers[name], y, shifts[name], counts) for name in MEMBERS}
    calibrated = {name: special.softmax(temperatures[name] * answers[name] + shifts[name], -1).mean(1) for name in MEMBERS}
    scores = np.log(np.maximum(np.stack([calibrated[name][np.arange(len(y)), y] for name in MEMBERS], 1), 1e-30))
    found = stacking(scores, counts=counts)
    weights = dict(zip(MEMBERS, map(float, found), strict=True))
    pooled = sum(weights[name] * calibrated[name] for name in MEMBERS)
    members = {
        name: dict(weight=weights[name], temperature=temperatures[name], **_worth(calibrated[name], y, counts))
        for name in MEMBERS
    }
    told = dict(members=members, **_worth(pooled, y, counts), examples=len(y), **about)
    network.head.bias.assign_add(np.asarray(shift / temperatures["network"], "float32"))  # times t, it is the shift
    W, b = logistic
    return Selection(weights, temperatures, (W, b + shift / temperatures["logistic"]), network.get_weights(), told)


def _worth(probabilities, y, counts):
    scores = -np.log(np.maximum(probabilities[np.arange(len(y)), y], 1e-30)) * counts
    return dict(
        nll=float(scores.mean()),
        nll_stderr=float(scores.std(ddof=1) / np.sqrt(len(y))),
        error=float(np.mean((probabilities.argmax(1) != y) * counts)),
    )
