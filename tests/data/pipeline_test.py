"""Splits and streams: what is drawn, what can leak, what is repeated."""

import numpy as np
import pytest

from tfadgm.data import on_disk, pipeline
from tfadgm.data.dataset import Dataset

CLASSES = [str(k) for k in range(4)]


def make_data(n=203, unlabelled=0):
    """Every example's raw value is its index, so that a stream can be traced back to examples."""
    x = np.arange(n, dtype="float32")[:, np.newaxis]
    y = np.arange(n) % 4
    y[n - unlabelled :] = -1
    return Dataset("toy", x, y, None, None, CLASSES, likelihood="gaussian")


def test_labels_are_even_over_classes_and_drawn_from_the_seed():
    y = make_data().y_train
    first, again, other = (pipeline.split(y, 4, labels=20, seed=seed) for seed in (1, 1, 2))
    assert np.bincount(y[first.labelled]).tolist() == [5, 5, 5, 5]
    assert np.array_equal(first.labelled, again.labelled)
    assert not np.array_equal(first.labelled, other.labelled)


def test_a_remainder_goes_to_different_classes():
    y = make_data().y_train
    counts = np.bincount(y[pipeline.split(y, 4, labels=22).labelled])
    assert sorted(counts.tolist()) == [5, 5, 6, 6]


@pytest.mark.parametrize("shared", [True, False])
def test_sets_are_disjoint_where_they_must_be(shared):
    y = make_data(unlabelled=40).y_train
    split = pipeline.split(y, 4, labels=12, validation=30, labelled_in_unlabelled=shared)
    assert not set(split.validation) & set(split.unlabelled)
    assert not set(split.validation) & set(split.labelled)
    assert (y[split.validation] >= 0).all()
    assert bool(set(split.labelled) & set(split.unlabelled)) == shared
    everything = set(split.validation) | set(split.unlabelled) | set(split.labelled)
    assert everything == set(range(len(y)))


@pytest.mark.parametrize(
    "options, message",
    [
        (dict(labels=3), "one per class"),
        (dict(labels=1000), "allowed: 0, or 4"),
        (dict(validation=5000), "validation: got 5000"),
        (dict(validation=-1), "validation: got -1"),
        (dict(labelled_in_unlabelled=False), "every example is labelled"),
    ],
)
def test_impossible_splits_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        pipeline.split(make_data().y_train, 4, **options)


def test_a_class_without_labels_is_refused():
    y = make_data().y_train
    y[y == 2] = -1
    with pytest.raises(ValueError, match="class 2 has none"):
        pipeline.split(y, 4)


def test_classes_that_are_said_to_have_no_labels_need_none():
    y = make_data().y_train
    y[y >= 2] = -1
    drawn = pipeline.split(y, 4, labels=10, validation=20, classes=(0, 1))
    assert np.bincount(y[drawn.labelled]).tolist() == [5, 5] and set(y[drawn.validation]) == {0, 1}
    assert set(y[pipeline.split(y, 4, classes=(0, 1)).labelled]) == {0, 1}
    with pytest.raises(ValueError, match="labels: got 1; allowed: 0, or 2 "):
        pipeline.split(y, 4, labels=1, classes=(0, 1))


def test_no_labels_leave_everything_in_the_pool():
    drawn = pipeline.split(make_data().y_train, 4, labels=0, validation=30)
    assert drawn.labelled.size == 0 and len(drawn.validation) == 30
    assert len(drawn.unlabelled) + 30 == len(make_data().y_train)
    unlabelled, labelled = pipeline.epoch_indices(drawn, 10, 0, seed=0, epoch=0)
    assert labelled.shape == (len(unlabelled), 0)


def test_data_without_classes_have_a_validation_set_all_the_same():
    drawn = pipeline.split(np.full(50, -1), 0, labels=None, validation=7)
    assert drawn.labelled.size == 0 and len(drawn.validation) == 7 and len(drawn.unlabelled) == 43


def test_a_class_with_too_few_examples_is_refused():
    y = np.array([0] * 50 + [1] * 50 + [2] * 50 + [3] * 2)
    with pytest.raises(ValueError, match="of class 3; allowed: its 2"):
        pipeline.split(y, 4, labels=40)


def test_an_epoch_visits_the_pool_once_and_every_label_equally_often():
    split = pipeline.split(make_data(200).y_train, 4, labels=20)
    unlabelled, labelled = pipeline.epoch_indices(split, 50, 10, seed=0, epoch=3)
    assert unlabelled.shape == (4, 50) and labelled.shape == (4, 10)
    assert sorted(unlabelled.ravel()) == list(range(200))
    assert np.unique(labelled, return_counts=True)[1].tolist() == [2] * 20


def test_a_pool_smaller_than_a_batch_is_repeated():
    split = pipeline.split(make_data(24).y_train, 4, labels=8)
    unlabelled, labelled = pipeline.epoch_indices(split, 100, 100, seed=0, epoch=0)
    assert unlabelled.shape == labelled.shape == (1, 100)


def take(stream, count):
    return [batch for batch, _ in zip(stream.as_numpy_iterator(), range(count), strict=False)]


def test_a_stream_that_starts_later_continues_the_first():
    data = make_data()
    split = pipeline.split(data.y_train, 4, labels=20)
    whole = take(pipeline.training_stream(data, split, 50, 10), 8)  # 4 steps per epoch
    second_epoch = take(pipeline.training_stream(data, split, 50, 10, first_epoch=1), 4)
    for a, b in zip(whole[4:], second_epoch, strict=True):
        assert np.array_equal(a["unlabelled"], b["unlabelled"])
        assert np.array_equal(a["labelled"][0], b["labelled"][0])
    assert not np.array_equal(whole[0]["unlabelled"], whole[4]["unlabelled"])


def test_no_label_reaches_the_unlabelled_stream_and_only_known_labels_the_labelled_one():
    data = make_data()
    split = pipeline.split(data.y_train, 4, labels=20, validation=40)
    hidden = np.setdiff1d(np.arange(len(data.y_train)), split.labelled)
    poisoned = data.y_train.copy()
    poisoned[hidden] = 99  # a leak of any label that should be unknown would show
    data.y_train = poisoned
    for batch in take(pipeline.training_stream(data, split, 50, 10), 12):
        assert set(batch) == {"labelled", "unlabelled"}
        assert isinstance(batch["unlabelled"], np.ndarray)
        raw, y = batch["labelled"]
        assert np.array_equal(y, raw[:, 0].astype(int) % 4)
        assert set(raw[:, 0].astype(int)) <= set(split.labelled)
        assert not set(batch["unlabelled"][:, 0].astype(int)) & set(split.validation)


def test_shapes_are_static():
    data = make_data()
    stream = pipeline.training_stream(data, pipeline.split(data.y_train, 4, labels=20), 50, 10)
    spec = stream.element_spec
    assert spec["unlabelled"].shape == (50, 1)
    assert spec["labelled"][0].shape == (10, 1) and spec["labelled"][1].shape == (10,)


def test_a_stream_without_labels():
    data = make_data()
    split = pipeline.split(data.y_train, 4, labels=20)
    assert set(pipeline.training_stream(data, split, 50, 10, with_labels=False).element_spec) == {"unlabelled"}


def test_a_data_set_in_a_file_is_not_read_into_memory(monkeypatch):
    monkeypatch.setattr(on_disk, "LARGE_BYTES", 1000)
    grown = on_disk.Growing([5], "float32", "x")
    for i in range(300):
        grown.add(np.full((1, 5), i))
    x = grown.array()
    assert isinstance(x, np.memmap)
    data = Dataset("large", x, np.arange(300) % 4, None, None, CLASSES, likelihood="gaussian")
    split = pipeline.split(data.y_train, 4, labels=20)
    batch = take(pipeline.training_stream(data, split, 50, 10), 1)[0]
    assert isinstance(data.x_train, np.memmap)
    assert np.array_equal(batch["labelled"][0][:, 0].astype(int) % 4, batch["labelled"][1])


@pytest.mark.parametrize("seed", range(5))
def test_what_is_held_out_is_of_every_class_and_leaves_each_a_label(seed):
    y = np.array([0] * 90 + [1] * 8 + [2] * 2 + [-1] * 50)
    drawn = pipeline.split(y, 3, validation=30, seed=seed)
    # 30 * 89 / 97 = 27.5, 30 * 7 / 97 = 2.2, 30 * 1 / 97 = 0.3, rounded by largest remainders
    assert np.bincount(y[drawn.validation], minlength=3).tolist() == [28, 2, 0]
    assert np.bincount(y[drawn.labelled]).tolist() == [62, 6, 2]
    assert np.bincount(y[pipeline.split(y, 3, validation=97, seed=seed).labelled]).tolist() == [1, 1, 1]
    with pytest.raises(ValueError, match="validation: got 98; allowed: 0 to 97, as one of the 100 labels of each of 3 "):
        pipeline.split(y, 3, validation=98, seed=seed)


def test_what_is_held_out_is_drawn_from_the_seed_and_is_no_order_of_the_file():
    y = np.arange(400) % 4
    first, again, other = (pipeline.split(y, 4, validation=40, seed=seed).validation for seed in (1, 1, 2))
    assert np.array_equal(first, again) and not np.array_equal(first, other)
    assert np.bincount(y[first]).tolist() == [10] * 4 and first.max() > 300


def test_all_classes_without_labels_are_named():
    y = np.array([0, 0, 2, 2, -1])
    with pytest.raises(ValueError, match="labels: classes dog, owl have none; allowed: at least one of each of 4 classes"):
        pipeline.split(y, 4, names=["ant", "dog", "cat", "owl"])
    with pytest.raises(ValueError, match="labels: got 4, 2 of class cat; allowed: its 1 examples"):
        pipeline.split(np.array([0, 0, 0, 0, 1]), 2, labels=4, names=["ant", "cat"])


def test_rows_that_are_watched_are_a_share_of_those_without_labels_and_leave_the_pool():
    split = pipeline.split(make_data(unlabelled=40).y_train, 4, labels=12)
    rest, watched = pipeline.keep_from_training(split, seed=3)
    assert len(watched) == 20 and not np.isin(watched, split.labelled).any()  # a tenth of 191, rounded up
    assert np.array_equal(np.union1d(rest.unlabelled, watched), split.unlabelled)
    assert np.intersect1d(rest.unlabelled, watched).size == 0 and rest.labelled is split.labelled
    np.testing.assert_array_equal(pipeline.keep_from_training(split, seed=3)[1], watched)
    all_labelled = pipeline.split(make_data().y_train, 4)
    assert pipeline.keep_from_training(all_labelled, seed=3)[1].size == 0


def test_an_epoch_of_several_passes_uses_every_row_as_often():
    split = pipeline.split(make_data(n=40).y_train, 4)
    assert pipeline.steps_per_epoch(split, 10, least=9) == 12
    unlabelled, labelled = pipeline.epoch_indices(split, 10, 20, seed=0, epoch=0, steps=12)
    assert unlabelled.shape == (12, 10) and set(np.bincount(unlabelled.ravel())) == {3}
    assert set(np.bincount(labelled.ravel())) == {6}
