"""What the labels alone give: the model's own classifier network, with what helps the model, and an SVM."""

import numpy as np
import pytest

from tfadgm import registry
from tfadgm.data.preprocess import Preprocess
from tfadgm.models.objective import Objective
from tfadgm.models.untapped import UntappedOptions
from tfadgm.networks import mlp
from tfadgm.training import baseline


def _model(name="m2", **options):
    return registry.model_class(name)(Preprocess((2,)), 2, network=mlp.Network(hidden=(16,)), **options)


def _data(count, seed=0):
    generator = np.random.default_rng(seed)
    y = np.arange(count) % 2
    return (generator.normal(size=(count, 2)) * 0.4 + np.where(y, 1, -1)[:, None]).astype("float32"), y


def test_the_network_is_that_of_the_models_classifier():
    options = UntappedOptions(hidden_y=(5, 4))
    assert _model("untapped", options=options).classifier_network.hidden == (5, 4)
    assert _model("adgm").classifier_network.hidden == (16,)
    m1m2 = _model("m1m2")  # whose q(y|z1) does not read x
    assert m1m2.classifier_network == m1m2.network
    assert _model("vae").classifier_network.hidden == (16,)


@pytest.mark.parametrize("average", [None, 0.99])
def test_it_learns_and_is_the_same_again(average):
    (x, y), (x_test, y_test) = _data(40), _data(200, 1)
    options = dict(steps=60, learning_rate=1e-2, average=average)
    first, again = (baseline.class_probabilities(_model(), x, y, x_test, **options) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert (first.argmax(1) != y_test).mean() < 0.05


def test_a_training_leaves_nothing_to_the_next():
    (x, y), (other, labels) = _data(40), _data(30, 2)
    supervised = baseline.Supervised(_model(), learning_rate=1e-2, average=0.9)
    first = supervised.train(x, y, steps=20).log_probs(x)
    supervised.train(other, 1 - labels, steps=30)
    np.testing.assert_array_equal(supervised.train(x, y, steps=20).log_probs(x), first)
    np.testing.assert_array_equal(
        np.exp(first), baseline.class_probabilities(_model(), x, y, x, steps=20, learning_rate=1e-2, average=0.9)
    )


def test_it_learns_from_pictures_that_are_moved_as_the_model_does():
    """Of a single bright pixel at two places, moved pictures show the places around it, which lone ones do not."""
    x = np.zeros((8, 9, 9, 1), "float32")
    x[:4, 4, 2], x[4:, 4, 6] = 1.0, 1.0
    y = np.repeat([0, 1], 4)
    beside = np.zeros((2, 9, 9, 1), "float32")
    beside[0, 5, 1], beside[1, 3, 7] = 1.0, 1.0  # a row and a column away

    def likelihood(shift):
        network = mlp.Network(hidden=(16,), image_shape=(9, 9, 1))
        model = registry.model_class("m2")(Preprocess((9, 9, 1)), 2, network=network, objective=Objective(shift=shift))
        return baseline.class_probabilities(model, x, y, beside, steps=300, learning_rate=1e-2)[[0, 1], [0, 1]]

    assert (likelihood(2) > 0.9).all() and (likelihood(0) < 0.9).all()


def test_the_best_weights_on_held_out_examples_are_chosen():
    (x, y), (x_test, _) = _data(40), _data(50, 1)
    chosen = baseline.class_probabilities(_model(), x, y, x_test, steps=40, held_out=(x_test, 1 - y[:1].repeat(50)))
    last = baseline.class_probabilities(_model(), x, y, x_test, steps=40)
    assert np.abs(chosen - last).max() > 0


def test_steps_come_in_blocks_that_end_where_the_weights_are_compared(monkeypatch):
    assert list(baseline._blocks(10, 4, 3)) == [(0, 3), (3, 4), (4, 7), (7, 8), (8, 10)]
    (x, y), (x_test, _) = _data(40), _data(50, 1)
    one = baseline.class_probabilities(_model(), x, y, x_test, steps=40)
    monkeypatch.setattr(baseline, "NUMBERS_AT_ONCE", 1)
    np.testing.assert_array_equal(baseline.class_probabilities(_model(), x, y, x_test, steps=40), one)


def test_an_svm_is_asked_too():
    (x, y), (x_test, y_test) = _data(40), _data(200, 1)
    assert (baseline.svm_classes(_model(), x, y, x_test) != y_test).mean() < 0.05
    x_test[3] = 3e38
    assert len(baseline.svm_classes(_model(), x * 100, y, x_test)) == 200


def test_an_svm_of_very_many_labels_is_left_out(monkeypatch):
    monkeypatch.setattr(baseline, "SVM_EXAMPLES", 10)
    assert baseline.svm_classes(_model(), *_data(40), _data(3)[0]) is None
