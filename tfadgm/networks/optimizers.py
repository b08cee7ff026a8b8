"""Adam as one pass over memory per weight, with both of the papers' gradient clippings."""

import contextlib

import keras
import numpy as np
import tensorflow as tf


@contextlib.contextmanager
def averaged(optimizer, variables):
    """Within this scope `variables` have the moving average that the optimizer keeps of them, if it keeps one."""
    averages = getattr(optimizer, "_model_variables_moving_average", None)
    if not averages or not optimizer.use_ema:
        yield
        return
    current = [variable.numpy() for variable in variables]
    try:
        for variable, average in zip(variables, averages, strict=True):
            variable.assign(average)
        yield
    finally:
        for variable, value in zip(variables, current, strict=True):
            variable.assign(value)


def reset(optimizer):
    """Makes a built optimizer one that has made no step; its learning rate stays."""
    for variable in optimizer.variables:
        if variable is not optimizer._learning_rate:
            variable.assign(np.zeros(variable.shape, variable.dtype))


@keras.saving.register_keras_serializable("tfadgm")
class Adam(keras.optimizers.Adam):
    """Adam (Kingma and Ba 2015), by TensorFlow's fused kernel.

    Keras writes the update as about ten operations, each a pass over all weights, which is a tenth of a training step of
    these networks. The kernel computes m, v and

        w -= learning_rate * sqrt(1 - b2^t) / (1 - b1^t) * m / (sqrt(v) + epsilon)

    in one. Gradients are clipped first to a total norm, then element by element (the order of the authors' code).

    Args:
      max_norm: the total norm to which gradients are scaled down, or None.
      max_value: the absolute value to which each element is then clipped, or None.
      average: the decay of the moving average of the weights, or None for none; smaller in the first steps.
      **kwargs: see `keras.optimizers.Adam`.
    """

    def __init__(self, learning_rate=3e-4, max_norm=None, max_value=None, average=None, **kwargs):
        kwargs.update(use_ema=average is not None, ema_momentum=0.99 if average is None else average)
        super().__init__(learning_rate, **kwargs)
        self.max_norm, self.max_value, self.average = max_norm, max_value, average

    def _clip_gradients(self, grads):
        # Clipping needs the sum over replicas; Keras sums once more, hence the division.
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        if replicas == 1 or (self.max_norm is None and self.max_value is None):
            return self._clip(grads)
        total = tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, grads)
        return [gradient / replicas for gradient in self._clip(total)]

    def _clip(self, grads):
        if self.max_norm is not None:
            grads, _ = tf.clip_by_global_norm(grads, self.max_norm)
        if self.max_value is not None:
            grads = [tf.clip_by_value(g, -self.max_value, self.max_value) for g in grads]
        return grads

    def update_step(self, gradient, variable, learning_rate):
        i = self._get_variable_index(variable)
        step = tf.cast(self.iterations + 1, tf.float32)
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[i].value.handle,
            v=self._velocities[i].value.handle,
            beta1_power=tf.pow(self.beta_1, step),
            beta2_power=tf.pow(self.beta_2, step),
            lr=tf.cast(learning_rate, tf.float32),
            beta1=self.beta_1,
            beta2=self.beta_2,
            epsilon=self.epsilon,
            grad=gradient,
        )

    def _update_model_variables_moving_average(self, trainable_variables):
        """Moves the averages, with the decay min(average, t / (9 + t)): a short run's average is not its start's."""
        step = tf.cast(self.iterations, tf.float32)
        rest = 1.0 - tf.minimum(self.ema_momentum, step / (9.0 + step))
        for variable, average in zip(trainable_variables, self._model_variables_moving_average, strict=True):
            average.assign(average + rest * (variable - average))

    def get_config(self):
        config = super().get_config()
        for name in ("use_ema", "ema_momentum"):
            config.pop(name)
        return {**config, "max_norm": self.max_norm, "max_value": self.max_value, "average": self.average}
