"""From settings to data, split, model and training: what a `Settings` says, as arguments of those who know none."""

import dataclasses
import itertools
import math
import pathlib
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfadgm import machine, registry, telling
from tfadgm.data import holdout, labels, pipeline
from tfadgm.data.dataset import Dataset
from tfadgm.models.base import DeepGenerativeModel
from tfadgm.models.objective import Objective
from tfadgm.networks.mlp import Network
from tfadgm.runs import allowed, recipes
from tfadgm.runs.kinds import AUTO
from tfadgm.runs.settings import EPOCH_STEPS, Settings
from tfadgm.training import callbacks, fit, strategies

MANY_CLASSES = 20  # above which exact_classes "auto" visits a few


def resolved(settings: Settings, model: DeepGenerativeModel) -> dict[str, Any]:
    """Returns what became of the settings that are "auto" or left to the data set, a dict."""
    return dict(
        precision=model.precision,
        xla=model.xla,
        threads=machine.threads() or "all cores",
        replicas=strategies.make_strategy(settings.strategy).num_replicas_in_sync,
        likelihood=model.likelihood,
        exact_classes=model.objective.exact_classes,
        class_prior=model.class_prior,
        inputs=model.preprocess.size,
        warmup_steps=model.objective.warmup_steps,
        units={name: size for name, size in model.sizes.items() if name != "x"},
    )


def load_data(settings: Settings, stratified: bool = True, kinds: bool = True) -> tuple[Dataset, pipeline.Split]:
    """Returns (data, split): the `Dataset` that the settings name and its `Split`.

    Args:
      settings: a `Settings`.
      stratified: see `pipeline.split`.
      kinds: whether the columns of a table have kinds; all are numbers, none missing, in runs from before they had.
    """
    allowed.check_data(settings)
    name, _, argument = settings.dataset.partition(":")
    load = registry.lookup(registry.DATASETS, "dataset", name)
    of_table = dict(label=settings.label, columns=settings.columns, ignore=settings.ignore)
    given = dict(of_table, tfds_name=settings.tfds_name, image_size=settings.image_size, genes=settings.genes)
    given |= dict(features=settings.features, test_files=settings.test_files)
    with telling.task(f"reading {settings.dataset}"):
        data = load(argument or None, seed=settings.seed, data_dir=settings.data_dir, kinds=kinds, **given)
    return data, draw_split(settings, data, stratified)


def draw_split(settings: Settings, data: Dataset, stratified: bool = True) -> pipeline.Split:
    """Returns the `Split` of a `Dataset` that the settings ask for; see `pipeline.split` for `stratified`."""
    return pipeline.split(
        data.y_train,
        data.num_classes,
        labels=settings.labels,
        validation=_held_out(settings, data),
        seed=settings.seed,
        labelled_in_unlabelled=settings.labelled_in_unlabelled,
        given_labels=_given_labels(settings, data),
        classes=data.labelled_classes,
        names=data.class_names,
        stratified=stratified,
    )


def _held_out(settings, data):
    if settings.validation is None and settings.dataset.partition(":")[0] in registry.OWN:
        return holdout.automatic(data, settings.labels)
    return settings.validation or 0


def _given_labels(settings, data):
    if settings.label_draw == "random":
        return None
    count = 0 if data.paper_labels is None else len(data.paper_labels)
    if not count or settings.labels != count:
        allowed = f"labels={count}, or label_draw=random" if count else "label_draw=random, as its paper draws them"
        raise ValueError(f"label_draw: got 'paper' for {data.name} with labels {settings.labels}; allowed: {allowed}")
    return data.paper_labels


SIZES = ("hidden", "dim_z", "dim_a", "steps", "batch", "warmup_epochs")  # what may be "auto" and then follows the data
WARMUP = 0.2  # share of the epochs, for warmup_epochs "auto"


def sized(settings: Settings, data: Dataset, split: pipeline.Split, before: dict[str, Any] | None = None) -> Settings:
    """Returns the settings with what the numbers of rows, columns and classes ask for in place of every "auto" size.

    `before`: what a run that goes on had for these, a dict: see `sizes`.
    """
    if not sizes(settings):
        return settings
    columns = data.make_preprocess(settings.likelihood or data.likelihood, settings.min_column_std).read_size
    settings = recipes.sized(settings, len(split.unlabelled), columns, len(value_names(settings, data)), before)
    if settings.warmup_epochs == "auto":
        planned = plan(settings, split).epochs
        epochs = 10.0 / WARMUP if planned is None else planned
        settings = dataclasses.replace(settings, warmup_epochs=WARMUP * epochs)
    return settings


def sizes(settings: Settings, of: Settings | None = None) -> dict[str, Any]:
    """Returns {name: value in the settings `of`} of what is "auto" in the settings and follows the data."""
    return {name: getattr(of or settings, name) for name in SIZES if getattr(settings, name) == "auto"}


def make_model(settings: Settings, data: Dataset, split: pipeline.Split) -> DeepGenerativeModel:
    """Returns the model that the settings describe, with fresh weights."""
    allowed.check_model(settings)
    settings = sized(settings, data, split)
    _check_normalised(settings, split)
    likelihood = settings.likelihood or data.likelihood
    spread = 0.0 if settings.trunk == "conv" else settings.min_column_std
    preprocess = data.make_preprocess(likelihood, spread, settings.hidden_cells)
    network = Network(
        hidden=settings.hidden,
        hidden_above=settings.hidden_above,
        activation=settings.activation,
        head_deviation=settings.head_deviation,
        log_variance_ceiling=settings.log_variance_ceiling,
        batch_norm=settings.batch_norm,
        trunk=settings.trunk,
        filters=settings.filters,
        depth=settings.depth,
        pooled=settings.pooled,
        image_shape=preprocess.image_shape,
        shared_encoder=settings.shared_encoder,
    )
    classes = len(value_names(settings, data))
    objective = Objective(
        samples=settings.samples,
        classifier_samples=settings.classifier_samples,
        beta=settings.beta,
        labelled_weight=settings.labelled_weight,
        unlabelled_weight=settings.unlabelled_weight,
        class_entropy=settings.class_entropy,
        virtual_adversarial=settings.virtual_adversarial,
        adversarial_radius=settings.adversarial_radius,
        adversarial_shift=settings.adversarial_shift,
        adversarial_temperature=settings.adversarial_temperature,
        shift=settings.shift,
        class_balance=settings.class_balance,
        num_labelled=len(split.labelled),
        num_unlabelled=len(split.unlabelled),
        exact_classes=_exact_classes(settings, classes),
        importance_weighted=settings.importance_weighted,
        closed_kl=settings.closed_kl,
        warmup_steps=round(settings.warmup_epochs * epoch_steps(settings, split)),
        weight_prior=settings.weight_prior,
    )
    model_class = registry.model_class(settings.model)
    if model_class is registry.model_class("m1") and data.labelled_classes is not None:
        raise ValueError(
            f"model: got m1 for {settings.dataset}, which has labels of some classes alone; allowed: any but m1 and m1m2"
        )
    if model_class.classifies and classes < 2:
        why = f", as {data.without_classes}" if data.without_classes else ""
        told = "--clusters=K, or a model without classes"
        raise ValueError(
            f"model: got {settings.model} for {classes} classes{why}; allowed: {told}: {', '.join(_densities())}"
        )
    model = model_class(
        preprocess,
        classes,
        likelihood=likelihood,
        levels=data.levels,
        network=network,
        objective=objective,
        seed=settings.seed,
        xla=machine.use_xla(settings.xla),
        precision=machine.resolve_precision(settings.precision),
        class_prior=_class_prior(settings, data, split, model_class),
        answer_temperature=1.0 if settings.answer_temperature == AUTO else settings.answer_temperature,
        **_model_options(settings, model_class),
    )
    if settings.first_run is not None and model.first_stage is None:
        raise ValueError(
            f"first_run: got {settings.first_run}; allowed: none, as {settings.model} starts from no other model"
        )
    if not model.learns_from_labels:
        allowed.check_unlabelled(settings)
    return model


def _check_normalised(settings, split):
    """Batch norm needs two examples: one alone has no variance, by which the moving averages could go."""
    replicas = tf.distribute.get_strategy().num_replicas_in_sync
    if settings.batch_norm and min(settings.batch // replicas, len(split.unlabelled)) < 2:
        raise ValueError(
            f"batch: got {settings.batch} of {len(split.unlabelled)} unlabelled examples for {replicas} replicas, with "
            "batch_norm; allowed: at least 2 for each replica, or batch_norm=false"
        )


def _exact_classes(settings, classes):
    if settings.exact_classes == "auto":
        return 2 if classes > MANY_CLASSES else None
    return settings.exact_classes


def value_names(settings: Settings, data: Dataset) -> list[str]:
    """Returns the names of the values of y: the classes, then those without a label; without labels numbered clusters."""
    further = settings.clusters or 0
    if settings.labels == 0 or not data.num_classes:
        return [f"cluster {k}" for k in range(further or data.num_classes)]
    fresh = (f"cluster {k}" for k in itertools.count(1) if f"cluster {k}" not in data.class_names)
    return [*data.class_names, *itertools.islice(fresh, further)]


def _class_prior(settings, data, split, model_class):
    """Returns p(y) as the model takes it: a number for each value of y, or None, uniform."""
    prior, known = settings.class_prior, data.y_train[split.labelled]
    if prior == "auto":  # labels that were drawn evenly over the classes do not tell how often each is
        prior = "labels" if model_class.has_class_prior and settings.labels is None and known.size else "uniform"
    if prior == "uniform":
        return None
    if prior != "labels":
        return prior
    if not known.size:
        raise ValueError(f"class_prior: got labels for {settings.dataset}, which has none; allowed: uniform, auto")
    return labels.shares(known, len(value_names(settings, data))).tolist()


def _densities():
    return [name for name in registry.MODELS if not registry.model_class(name).classifies]


def _model_options(settings, model_class):
    own = [field.name for field in dataclasses.fields(settings) if field.metadata["group"] == "model"]
    own = [name for name in own if name not in ("class_prior", "clusters")]  # of every model with a y
    given = {name: getattr(settings, name) for name in own if getattr(settings, name) is not None}
    further = [field.name for field in dataclasses.fields(model_class.options_class)] if model_class.options_class else []
    options = {name: given.pop(name) for name in further if name in given}
    return given | ({"options": model_class.options_class(**options)} if further else {})


def train(
    settings: Settings,
    data: Dataset,
    split: pipeline.Split,
    directory: pathlib.Path,
    quiet: bool = False,
    start: DeepGenerativeModel | None = None,
    further: Sequence[keras.callbacks.Callback] = (),
) -> tuple[DeepGenerativeModel, callbacks.State, list[dict[str, str | float]]]:
    """Trains, or goes on training, the model that the settings describe: see `training.fit.train`.

    Args:
      settings: a `Settings`.
      data, split: from `load_data`.
      directory: a `pathlib.Path`, of the run.
      quiet: whether to print no progress.
      start: the trained model of the first stage, for a model that has one.
      further: callbacks that look at each epoch before it is logged.

    Returns:
      (model with its best weights, its `callbacks.State`, rows of metrics.csv).
    """

    def make():
        return _started(settings, data, split, start)

    strategy = strategies.make_strategy(settings.strategy)
    planned = plan(sized(settings, data, split), split)
    return fit.train(make, data, split, planned, directory, strategy, quiet, further)


def _started(settings, data, split, start):
    model = make_model(settings, data, split)
    if start is not None:
        model.start_from(start)
    return model


def initial_weights(
    settings: Settings, data: Dataset, split: pipeline.Split, start: DeepGenerativeModel | None = None
) -> list[np.ndarray]:
    """Returns the weights with which `train` begins; arguments as there."""
    return _started(settings, data, split, start).get_weights()


def epoch_steps(settings: Settings, split: pipeline.Split) -> int:
    """The number of steps of an epoch: a pass over the pool, or passes of `EPOCH_STEPS` at least for a budget in steps."""
    return pipeline.steps_per_epoch(split, settings.batch, EPOCH_STEPS if settings.steps is not None else 1)


def plan(settings: Settings, split: pipeline.Split) -> fit.Plan:
    """Returns the `fit.Plan` of settings that are `sized`."""
    own = [field.name for field in dataclasses.fields(fit.Plan) if field.name not in ("choose", "epoch_steps")]
    given = {name: getattr(settings, name) for name in own}
    if settings.steps is not None:
        given["epochs"] = math.ceil(settings.steps / epoch_steps(settings, split))
    return fit.Plan(**given, choose=settings.chooses, epoch_steps=epoch_steps(settings, split))
