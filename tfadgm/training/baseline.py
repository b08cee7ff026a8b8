"""What the labels alone give: the classifier network q(y|x), and a support vector machine, of the labelled examples."""

import numpy as np
import tensorflow as tf

from tfadgm import machine, noise
from tfadgm.data import on_disk
from tfadgm.data.moves import moved
from tfadgm.distributions.conditionals import Categorical
from tfadgm.networks import initial, optimizers
from tfadgm.networks.batch_norm import batch_moments, of_examples
from tfadgm.training import stopping

STEPS = 2000
SVM_EXAMPLES = 5000  # most labelled examples of a support vector machine, whose time grows with their square
NUMBERS_AT_ONCE = 4_000_000  # of the batches that one call of the graph makes steps of
CHECKS = 20  # how often in training the weights are compared on held-out examples


class Supervised:
    """q(y|x) with the architecture of a model's classifier, of labelled examples alone; by one compiled step for many.

    What helps the model helps it too: the noise of its inputs, moves of pictures, its batch norm, the moving average of the
    weights, the choice of the weights that are best on held-out examples.

    Args:
      model: gives preprocessing (with its training noise), number of classes and network: that of q(y|.) where it reads x,
        else that of the other conditionals.
      learning_rate: of Adam; it falls linearly to 0 in each training.
      seed: of the initial weights, the batches and the noise.
      average: decay of the moving average of the weights that is evaluated; None: the weights themselves.
    """

    def __init__(self, model, learning_rate=1e-3, seed=0, average=None):
        self.preprocess, self.learning_rate, self.seed = model.preprocess, learning_rate, seed
        self.classifier = Categorical("x", model.num_classes, model.classifier_network)
        with initial.weights_of("q(y)", seed):
            self.classifier.build_from({"x": model.preprocess.size})
        self.begun = self.classifier.get_weights()
        self.optimizer = optimizers.Adam(learning_rate, average=average)
        self.optimizer.build(self.classifier.trainable_variables)
        self._steps = _steps(model, self.classifier, self.optimizer, seed)
        spec = tf.TensorSpec([None, *model.preprocess.raw_shape], model.preprocess.raw_dtype)
        self._log_probs = tf.function(
            lambda raw: self.classifier.log_probs({"x": self.preprocess(raw)}), input_signature=[spec], autograph=False
        )

    @machine.sums_as_written()
    def train(self, x, y, steps=STEPS, batch=100, held_out=None):
        """Trains anew from the initial weights on (x, y), raw examples and their classes; returns itself.

        Within `stopping.watched` a signal ends it between two calls of the graph.

        Args:
          x, y: the labelled examples.
          steps, batch: their numbers.
          held_out: (x, y) by which the best of `CHECKS` states of the training is chosen; None: the last.
        """
        self.classifier.set_weights(self.begun)
        optimizers.reset(self.optimizer)
        generator, size, best, kept = np.random.default_rng([self.seed, 3]), min(batch, len(y)), np.inf, None
        at_once, every = max(1, NUMBERS_AT_ONCE // (size * self.preprocess.size)), max(1, steps // CHECKS)
        for start, end in _blocks(steps, every, at_once):
            stopping.heed()
            i = np.arange(start, end)
            chosen = np.stack([np.sort(generator.choice(len(y), size, replace=False)) for _ in i])
            rates = (self.learning_rate * (1 - i / steps)).astype("float32")
            self._steps(*map(tf.constant, (on_disk.gather(x, chosen), y[chosen], rates, i.astype("int32"))))
            if held_out is not None and end % every == 0:
                with optimizers.averaged(self.optimizer, self.classifier.trainable_variables):
                    error = np.mean(self.log_probs(held_out[0]).argmax(1) != held_out[1])
                    if error < best:
                        best, kept = error, self.classifier.get_weights()
        if kept is None:
            with optimizers.averaged(self.optimizer, self.classifier.trainable_variables):
                kept = self.classifier.get_weights()
        self.classifier.set_weights(kept)
        return self

    def log_probs(self, x):
        """log q(y|x), float32 [N, K], of raw examples."""
        parts = []
        for i in range(0, len(x), 1000):
            parts.append(self._log_probs(tf.constant(x[i : i + 1000])).numpy())
            on_disk.release(x)
        return np.concatenate(parts)


def class_probabilities(model, x, y, x_test, seed=0, average=None, learning_rate=1e-3, **how):
    """Trains a `Supervised` on (x, y); returns its probabilities of x_test, [N, K]. `how`: see `Supervised.train`."""
    return np.exp(Supervised(model, learning_rate, seed, average).train(x, y, **how).log_probs(x_test))


def svm_classes(model, x, y, x_test):
    """Returns the classes [N] that an SVM says of x as the classifier reads it: RBF kernel of scikit-learn's width, C = 10.

    None for more than `SVM_EXAMPLES` labels. Arguments as those of `class_probabilities`.
    """
    from sklearn.svm import SVC

    if len(y) > SVM_EXAMPLES:
        return None
    reads = model.preprocess.read_size
    machine = SVC(C=10.0, random_state=0).fit(np.asarray(model.preprocess(x)[:, :reads], "float64"), y)
    parts = (model.preprocess(x_test[i : i + 1000])[:, :reads] for i in range(0, len(x_test), 1000))
    return np.concatenate([machine.predict(np.nan_to_num(part, nan=0.0).astype("float64")) for part in parts])


def _blocks(steps, every, most):
    """(first, end) of blocks of at most `most` of 0 to `steps`, none of which goes beyond a multiple of `every`."""
    start = 0
    while start < steps:
        end = min(start + most, steps, (start // every + 1) * every)
        yield start, end
        start = end


def _steps(model, classifier, optimizer, seed):
    """A function that makes steps: raw [steps, B, ...], labels [steps, B], their learning rates and numbers, [steps]."""

    def step(raw, labels, rate, number):
        optimizer.learning_rate.assign(rate)
        step_seed, updates = noise.step_seed(seed, number), []
        with tf.GradientTape() as tape, batch_moments(updates), of_examples(raw.shape[0]):
            pictures = moved(raw, model.objective.shift, noise.fold(step_seed, "moved"))
            log_q = classifier.log_probs({"x": model.preprocess(pictures, step_seed)})
            loss = -tf.reduce_mean(tf.reduce_sum(log_q * tf.one_hot(labels, model.num_classes), -1))
        variables = [v.value for v in classifier.trainable_variables]
        optimizer.apply_gradients(zip(tape.gradient(loss, variables), classifier.trainable_variables, strict=True))
        for layer, mean, variance in updates:
            layer.update(mean, variance, optimizer.iterations)

    def steps(*batches):
        def body(i):
            step(*(part[i] for part in batches))
            return i + 1

        tf.while_loop(lambda i: i < tf.shape(batches[0])[0], body, [0], parallel_iterations=1)

    return tf.function(steps, autograph=False, reduce_retracing=True)
