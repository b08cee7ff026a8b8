"""The supervised baseline: the classifier network q(y|x) alone, trained on the labelled examples alone."""

import keras
import numpy as np
import tensorflow as tf

from tfadgm import noise, optimizers
from tfadgm.batch_norm import batch_moments
from tfadgm.conditionals import Categorical

STEPS = 2000


def class_probabilities(model, x, y, x_test, steps=STEPS, batch=100, learning_rate=1e-3, seed=0):
    """Trains q(y|x) with the architecture of `model`'s networks on (x, y); returns its probabilities of x_test, [N, K].

    Args:
      model: gives preprocessing (with its training noise), network and number of classes.
      x, y: the labelled raw examples and their classes.
      x_test: raw examples.
      steps, batch, learning_rate, seed: of the training by Adam, the rate falling linearly to 0.
    """
    keras.utils.set_random_seed(seed)  # of the initial weights, whatever was made before
    classifier = Categorical("x", model.num_classes, model.network)
    classifier.build_from({"x": model.preprocess.size})
    optimizer = optimizers.Adam(learning_rate)
    optimizer.build(classifier.trainable_variables)
    generator, size = np.random.default_rng([seed, 3]), min(batch, len(y))

    @tf.function
    def step(raw, labels, step_seed):
        updates = []
        with tf.GradientTape() as tape, batch_moments(updates):
            log_q = classifier.log_probs({"x": model.preprocess(raw, step_seed)})
            loss = -tf.reduce_mean(tf.reduce_sum(log_q * tf.one_hot(labels, model.num_classes), -1))
        variables = [v.value for v in classifier.trainable_variables]
        optimizer.apply_gradients(zip(tape.gradient(loss, variables), classifier.trainable_variables, strict=True))
        for layer, mean, variance in updates:
            layer.update(mean, variance, optimizer.iterations)

    for i in range(steps):
        chosen = np.sort(generator.choice(len(y), size, replace=False))
        optimizer.learning_rate.assign(learning_rate * (1 - i / steps))
        step(tf.constant(x[chosen]), tf.constant(y[chosen]), noise.step_seed(seed, i))
    chunks = (x_test[i : i + 1000] for i in range(0, len(x_test), 1000))
    return np.concatenate([np.exp(classifier.log_probs({"x": model.preprocess(chunk)}).numpy()) for chunk in chunks])
