"""From a data set to training streams: which labels are known, what is held out, and static batches.

A stream is a pure function of (seed, epoch): epoch e of a resumed run has the batches of epoch e of a run that was never
interrupted. Batches are gathered by index, so that a data set in a temporary file is never read into memory.
"""

import dataclasses
import math

import numpy as np
import tensorflow as tf

from tfadgm.data import on_disk
from tfadgm.data.dataset import UNLABELLED


@dataclasses.dataclass(frozen=True)
class Split:
    """Indices into the training set.

    Attributes:
      labelled: the examples whose labels are known.
      unlabelled: the unlabelled pool; the labelled examples are in it too, without their labels, if that was asked for.
      validation: held-out examples, with labels; in neither of the others.
    """

    labelled: np.ndarray
    unlabelled: np.ndarray
    validation: np.ndarray


def split(
    y,
    num_classes,
    labels=None,
    validation=0,
    seed=0,
    labelled_in_unlabelled=True,
    given_labels=None,
    classes=None,
    names=None,
    stratified=True,
):
    """Draws the validation set and the labelled examples from the seed.

    Args:
      y: int [N]; -1 is unlabelled.
      num_classes: K.
      labels: how many labels to keep, evenly over classes (the remainder goes to classes drawn at random); None keeps all,
        0 none.
      validation: how many examples to hold out, drawn from those that have a label: of every class in proportion to its
        labels, of which at least one stays.
      seed: the seed of both draws.
      labelled_in_unlabelled: whether labelled examples are also in the unlabelled pool (as in the papers).
      classes: those that have labels; None: all.
      given_labels: indices of the labelled examples, which are then not drawn (nor held out).
      names: of the classes, for errors; None: their numbers.
      stratified: False draws the held-out examples whatever their class, as older runs did.

    Raises:
      ValueError: if there are fewer labels than classes, or fewer examples of a class than are asked for.
    """
    names = [str(k) for k in range(num_classes)] if names is None else names
    generator = np.random.default_rng([seed, 1])
    classes = np.arange(num_classes) if classes is None else np.asarray(classes)
    given = np.asarray([] if given_labels is None else given_labels, "int64")
    # Of data without classes any example can be held out.
    candidates = np.flatnonzero(y != UNLABELLED) if num_classes else np.arange(len(y))
    known = generator.permutation(np.setdiff1d(candidates, given))
    if not 0 <= validation < max(len(known), 1):
        raise ValueError(
            f"validation: got {validation}; allowed: 0 to {len(known) - 1}, as {len(known)} examples have labels"
        )
    held_out, known = _hold_out(y, known, validation, stratified and labels != 0 and num_classes and not given.size)
    if given.size:
        labelled = given
    elif labels == 0 or not num_classes:
        labelled = known[:0]
    else:
        _check_classes(y, known, classes, names)
        labelled = known if labels is None else _even_draw(y, known, classes, labels, generator, names)
    pool = np.setdiff1d(np.arange(len(y)), held_out)
    if not labelled_in_unlabelled:
        pool = np.setdiff1d(pool, labelled)
        if not len(pool):
            raise ValueError("labelled_in_unlabelled: got no, and every example is labelled; allowed: yes, or fewer labels")
    return Split(np.sort(labelled), pool, held_out)


def _hold_out(y, known, validation, stratified):
    """Returns (validation examples, the others) of `known`, which is in random order.

    Stratified: each class gives the same share of its labels, rounded so that the sum is right, and keeps at least one.
    """
    if not (stratified and validation):
        return np.sort(known[:validation]), known[validation:]
    classes, of_class, counts = np.unique(y[known], return_inverse=True, return_counts=True)
    if validation > len(known) - len(classes):
        raise ValueError(
            f"validation: got {validation}; allowed: 0 to {len(known) - len(classes)}, as one of the {len(known)} labels of "
            f"each of {len(classes)} classes stays"
        )
    share = _proportional(validation, counts - 1)
    order = np.argsort(of_class, kind="stable")  # by class, in random order within
    rank = np.empty(len(known), "int64")
    rank[order] = np.arange(len(known)) - np.repeat(np.cumsum(counts) - counts, counts)
    chosen = rank < share[of_class]
    return np.sort(known[chosen]), known[~chosen]


def _proportional(total, most):
    """Returns whole numbers of sum `total`, in proportion to `most` and at most these: largest remainders are rounded up."""
    exact = total * most / most.sum()
    share = np.floor(exact).astype("int64")
    share[np.argsort(share - exact, kind="stable")[: total - share.sum()]] += 1
    return share


def _check_classes(y, known, classes, names):
    """Raises a ValueError that names all classes without a label."""
    missing = [names[k] for k in np.setdiff1d(classes, y[known])]
    if missing:
        listed = ", ".join(missing[:10]) + (f" and {len(missing) - 10} more" if len(missing) > 10 else "")
        word = "class" if len(missing) == 1 else "classes"
        verb = "has" if len(missing) == 1 else "have"
        raise ValueError(f"labels: {word} {listed} {verb} none; allowed: at least one of each of {len(classes)} classes")


def _even_draw(y, known, classes, labels, generator, names):
    if not len(classes) <= labels <= len(known):
        raise ValueError(f"labels: got {labels}; allowed: 0, or {len(classes)} (one per class) to {len(known)}")
    share = np.full(len(classes), labels // len(classes))
    share[generator.permutation(len(classes))[: labels % len(classes)]] += 1
    chosen = []
    for k, count in zip(classes, share, strict=True):
        of_class = known[y[known] == k]
        if len(of_class) < count:
            raise ValueError(
                f"labels: got {labels}, {count} of class {names[k]}; allowed: its {len(of_class)} examples, or labels=none "
                "for all"
            )
        chosen.append(of_class[:count])
    return np.concatenate(chosen)


def steps_per_epoch(split: Split, batch: int, least: int = 1) -> int:
    """Returns the number of whole unlabelled batches in the pool, at least 1; times what makes it at least `least`."""
    each = max(1, len(split.unlabelled) // batch)
    return each * -(-least // each)


def keep_from_training(split: Split, seed: int, share: float = 0.1) -> tuple[Split, np.ndarray]:
    """Returns (split without them, indices [n]) of a share of the rows that have no label, to watch the bound on.

    They are drawn from the seed; none where the pool has no unlabelled row, or one alone.
    """
    rows = np.setdiff1d(split.unlabelled, split.labelled)
    watched = np.sort(np.random.default_rng([seed, 8]).permutation(rows)[: math.ceil(share * len(rows))])
    if len(rows) < 2:
        watched = rows[:0]
    return dataclasses.replace(split, unlabelled=np.setdiff1d(split.unlabelled, watched)), watched


def epoch_indices(split, batch, labelled_batch, seed, epoch, steps=None):
    """Returns the index arrays of one epoch: unlabelled [steps, batch] and labelled [steps, labelled_batch].

    The unlabelled pool is permuted (and repeated, if it is smaller than a batch, or the epoch longer than a pass); the
    labelled examples are repeated permutations, so that each is used equally often; without any, the second array is
    [steps, 0]. `steps`: None for `steps_per_epoch`.
    """
    generator = np.random.default_rng([seed, 2, epoch])
    steps = steps_per_epoch(split, batch) if steps is None else steps

    def repeated(indices, columns):
        if not columns:
            return np.zeros([steps, 0], "int64")
        rounds = -(-steps * columns // len(indices))
        order = np.concatenate([generator.permutation(indices) for _ in range(rounds)])
        return order[: steps * columns].reshape(steps, columns)

    return repeated(split.unlabelled, batch), repeated(split.labelled, labelled_batch)


def training_stream(
    data,
    split,
    batch,
    labelled_batch,
    seed=0,
    first_epoch=0,
    with_labels=True,
    steps=None,
    first_step=0,
    replicas=1,
    own=range(1),
):
    """Returns an endless `tf.data.Dataset` of {"labelled": (raw, y), "unlabelled": raw}, with static shapes.

    Replica r of n reads the rows from r B / n to (r + 1) B / n of each batch of B: whoever reads, no example is read twice.

    Args:
      data: a `Dataset`.
      split: a `Split`.
      batch, labelled_batch: numbers of unlabelled and labelled examples in a batch.
      seed: the seed of the order.
      first_epoch, first_step: the epoch, and the step within it, at which the stream starts.
      with_labels: False leaves the labelled part out, for models without a class.
      steps: of an epoch; None: `steps_per_epoch`.
      replicas: how many share each batch, whose parts are the numbers of examples divided by it.
      own: the numbers of those for whom this stream is; it has their parts of a batch in turn.
    """
    x, y = data.x_train, data.y_train
    raw_type = tf.as_dtype(x.dtype)
    sizes = batch // replicas, labelled_batch // replicas

    def parts(epoch):
        whole = epoch_indices(split, batch, labelled_batch, seed, int(epoch), steps)
        left = [i[first_step if epoch == first_epoch else 0 :] for i in whole]
        of_all = (i.reshape(len(i), replicas, size) for i, size in zip(left, sizes, strict=True))
        return [i[:, own].reshape(len(i) * len(own), size) for i, size in zip(of_all, sizes, strict=True)]

    def epoch_batches(epoch):
        return tf.data.Dataset.from_tensor_slices(tuple(tf.numpy_function(parts, [epoch], [tf.int64, tf.int64])))

    def gather(values, indices, size, dtype, shape):
        found = tf.numpy_function(lambda i: np.ascontiguousarray(on_disk.gather(values, i)), [indices], dtype)
        return tf.ensure_shape(found, [size, *shape])

    def example_batch(unlabelled, labelled):
        result = {"unlabelled": gather(x, unlabelled, sizes[0], raw_type, data.raw_shape)}
        if with_labels:
            raw = gather(x, labelled, sizes[1], raw_type, data.raw_shape)
            result["labelled"] = (raw, gather(y, labelled, sizes[1], tf.int64, ()))
        return result

    epochs = tf.data.Dataset.range(first_epoch, np.iinfo("int64").max)
    stream = epochs.flat_map(epoch_batches).map(example_batch, num_parallel_calls=1).prefetch(4 * len(own))
    return stream.apply(tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY))
