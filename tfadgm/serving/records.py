"""The user's files, one record of JSON types per example: what an exported classifier says of it."""

import functools
import itertools
import pathlib
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import tensorflow as tf

from tfadgm import telling
from tfadgm.data import examples, on_disk, picture_files, ranges
from tfadgm.data.table_preprocess import UNLEARNED
from tfadgm.serving import classification

NOVELTY = ("log_density", "low_density_p_value", "typicality_p_value")  # in a record, of `Classifier.novelty`


def read_rows(
    files: Sequence[pathlib.Path | str],
    classifier: classification.AnyClassifier,
    failed: Callable[[ValueError], None] | None = None,
) -> examples.Rows:
    """Returns `examples.Rows`, a `Row` for every example of `files`.

    Args:
      files: paths of files.
      classifier: a `Classifier`, or what has its attributes.
      failed: called with the ValueError of a file that cannot be read or does not fit, which is then left out; None:
        raises it.
    """
    rows, remarks = examples.Rows(classifier.raw_shape, classifier.raw_dtype), picture_files.Remarks()
    for file in files:
        try:
            rows.add(str(file), *_rows_of(file, classifier, remarks))
        except ValueError as error:
            if failed is None:
                raise
            failed(error)
    for line in remarks.lines():
        telling.warn(line)
    return rows


def _rows_of(file, classifier, remarks):
    examples.check([file])
    shape, dtype, columns = classifier.raw_shape, classifier.raw_dtype, classifier.columns
    any_size = examples.is_picture(file) and classifier.any_size
    found = examples.read(file, shape, dtype, classifier.feature_names, remarks, any_size, columns)
    try:
        x = classification.as_raw(found.x, shape, dtype, bool(columns))
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from None
    if columns:
        _check_missing(file, x, classifier)
    told = list(found.notes)
    if classifier.ranges is not None and found.decoded:
        ranges.check_levels(file, found.x, classifier.ranges)
    elif classifier.ranges is not None:
        told += ranges.compare(file, found.x, classifier.ranges, classifier.feature_names)
    for line in told:
        telling.warn(line)
    return x, found.identifiers


def _check_missing(file, x, classifier):
    """Raises a ValueError if a cell is missing and the model refuses that: one such row is asked about."""
    missing = np.concatenate([np.isnan(chunk).any(1) for chunk in on_disk.chunks(x)])
    if not missing.any():
        return
    ask = classifier.probabilities if classifier.class_names else functools.partial(classifier.log_density, samples=1)
    try:
        ask(x[missing.argmax()][np.newaxis], batch=1)
    except (tf.errors.InvalidArgumentError, OSError) as error:
        if UNLEARNED not in str(error):
            raise
        told = f"{missing.sum()} of {len(x)} rows, the first is row {missing.argmax()} (from 0)"
        raise ValueError(f"{file}: has missing cells in {told}; allowed: {UNLEARNED}") from None


def of_files(
    classifier: classification.AnyClassifier,
    files: Sequence[pathlib.Path | str],
    batch: int = 100,
    log_density_samples: int = 0,
    progress: telling.Progress | None = None,
    failed: Callable[[ValueError], None] | None = None,
    novelty: bool = False,
) -> Iterator[dict]:
    """Yields one dict of JSON types per example, in the order of `files`; all files are read and checked first.

    Keys: file, row, id (where a csv has a column that identifies its rows), class, probability (of that class),
    probabilities (of every class by name), and log_density (nats; None if it is not finite) if `log_density_samples` is not
    0. With `novelty` log_density, low_density_p_value, typicality_p_value (see `models.novelty`) and the entropy of q(y|x)
    in nats; of a model without classes there is nothing of these. `progress(done, total)` is called now and then.

    Args:
      classifier: a `Classifier` or `serving.client.RemoteClassifier`.
      files: paths of files of `examples.KINDS`.
      batch: examples that are computed at once.
      log_density_samples: importance samples of log p(x).
      progress: see above.
      novelty: whether each example is compared with those of training; log_density then has the samples of these.
      failed: called with the ValueError of each file or row that has no answer, or an answer that is not finite; the others
        are answered. None: raises it.

    Raises:
      ValueError: for `batch` or samples out of range, or no files; without `failed` also for a file that is missing,
        unreadable or does not fit the model.
    """
    if batch < 1 or log_density_samples < 0:
        raise ValueError(f"got batch={batch}, log_density_samples={log_density_samples}; allowed: at least 1, at least 0")
    if not files:
        examples.check(files)
    rows = read_rows(files, classifier, failed)
    done, reading = 0, iter(rows)
    while part := list(itertools.islice(reading, batch * classifier.at_once)):
        x = np.stack([row.x for row in part])
        answers = [_named(row) for row in part]
        if classifier.class_names:
            for answer, probabilities in zip(answers, classifier.probabilities(x, batch), strict=True):
                answer |= _of_classes(classifier.class_names, probabilities, novelty)
        if novelty or log_density_samples:
            names = NOVELTY if novelty else NOVELTY[:1]
            for answer, found in zip(answers, _densities(classifier, x, log_density_samples, batch, novelty), strict=True):
                answer |= {
                    name: float(value) if np.isfinite(value) else None for name, value in zip(names, found, strict=True)
                }
        for answer in answers:
            place = f"{answer['file']}: row {answer['row']}"
            if answer.get("probability", 0.0) is None:
                _tell(failed, f"{place}: its probabilities are not finite; allowed: values as trained on")
                continue
            if answer.get("log_density", 0.0) is None and failed:
                failed(ValueError(f"{place}: its log_density is not finite"))
            yield answer
        done += len(part)
        if progress:
            progress(done, len(rows))


def _densities(classifier, x, samples, batch, novelty):
    """Returns what stands in a record by the names of `NOVELTY`, or by the first of them alone."""
    return classifier.novelty(x, batch) if novelty else classifier.log_density(x, samples, batch)[:, np.newaxis]


def _tell(failed, message):
    if failed is None:
        raise ValueError(message)
    failed(ValueError(message))


def _named(row):
    return {"file": row.file, "row": row.row, **({} if row.identifier is None else {"id": row.identifier})}


def _of_classes(names, probabilities, novelty):
    """Class, probability and probabilities by name, and the entropy with `novelty`; probability is None if not finite."""
    if not np.isfinite(probabilities).all():
        return {"probability": None}
    best = int(np.argmax(probabilities))
    found = {"class": names[best], "probability": float(probabilities[best])}
    found["probabilities"] = dict(zip(names, map(float, probabilities), strict=True))
    if novelty:
        known = probabilities[probabilities > 0].astype("float64")
        found["entropy"] = float(-(known * np.log(known)).sum())
    return found
