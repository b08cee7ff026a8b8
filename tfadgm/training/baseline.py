"""What the labels alone give: the classifier network q(y|x), and a support vector machine, of the labelled examples."""

import numpy as np
import tensorflow as tf

from tfadgm import noise
from tfadgm.distributions.conditionals import Categorical
from tfadgm.networks import initial, optimizers
from tfadgm.networks.batch_norm import batch_moments, of_examples

STEPS = 2000
SVM_EXAMPLES = 5000  # most labelled examples of a support vector machine, whose time grows with their square
CHECKS = 20  # how often in training the weights are compared on held-out examples


def class_probabilities(
    model, x, y, x_test, steps=STEPS, batch=100, learning_rate=1e-3, seed=0, average=None, held_out=None
):
    """Trains q(y|x) with the architecture of the model's classifier on (x, y); returns its probabilities of x_test, [N, K].

    What helps the model helps the baseline too: the noise of its inputs, its batch norm, the moving average of the weights,
    the choice of the weights that are best on held-out examples.

    Args:
      model: gives preprocessing (with its training noise), number of classes and network: that of q(y|.) where it reads x,
        else that of the other conditionals.
      x, y: the labelled raw examples and their classes.
      x_test: raw examples.
      steps, batch, learning_rate, seed: of the training by Adam, the rate falling linearly to 0.
      average: decay of the moving average of the weights that is evaluated; None: the weights themselves.
      held_out: (x, y) by which the best of `CHECKS` states of the training is chosen; None: the last.
    """
    classifier = Categorical("x", model.num_classes, network(model))
    with initial.weights_of("q(y)", seed):
        classifier.build_from({"x": model.preprocess.size})
    optimizer = optimizers.Adam(learning_rate, average=average)
    optimizer.build(classifier.trainable_variables)
    step = _step(model, classifier, optimizer)
    generator, size, best, kept = np.random.default_rng([seed, 3]), min(batch, len(y)), np.inf, None
    for i in range(steps):
        chosen = np.sort(generator.choice(len(y), size, replace=False))
        optimizer.learning_rate.assign(learning_rate * (1 - i / steps))
        step(tf.constant(x[chosen]), tf.constant(y[chosen]), noise.step_seed(seed, i))
        if held_out is not None and (i + 1) % max(1, steps // CHECKS) == 0:
            with optimizers.averaged(optimizer, classifier.trainable_variables):
                error = np.mean(_probabilities(model, classifier, held_out[0]).argmax(1) != held_out[1])
                if error < best:
                    best, kept = error, classifier.get_weights()
    if kept is not None:
        classifier.set_weights(kept)
        return _probabilities(model, classifier, x_test)
    with optimizers.averaged(optimizer, classifier.trainable_variables):
        return _probabilities(model, classifier, x_test)


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


def network(model):
    """Returns the network of the model's classifier of x."""
    factor = model.q.get("y")
    return factor.network if factor is not None and "x" in factor.given else model.network


def _step(model, classifier, optimizer):
    @tf.function
    def step(raw, labels, step_seed):
        updates = []
        with tf.GradientTape() as tape, batch_moments(updates), of_examples(raw.shape[0]):
            log_q = classifier.log_probs({"x": model.preprocess(raw, step_seed)})
            loss = -tf.reduce_mean(tf.reduce_sum(log_q * tf.one_hot(labels, model.num_classes), -1))
        variables = [v.value for v in classifier.trainable_variables]
        optimizer.apply_gradients(zip(tape.gradient(loss, variables), classifier.trainable_variables, strict=True))
        for layer, mean, variance in updates:
            layer.update(mean, variance, optimizer.iterations)

    return step


def _probabilities(model, classifier, x):
    chunks = (x[i : i + 1000] for i in range(0, len(x), 1000))
    return np.concatenate([np.exp(classifier.log_probs({"x": model.preprocess(chunk)}).numpy()) for chunk in chunks])
