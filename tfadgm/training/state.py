"""What a training must know to go on, beside weights, optimizer and step: it is written into every checkpoint."""

import dataclasses
import json
import math

import tensorflow as tf


@dataclasses.dataclass
class State:
    """What a resumed run must know beside weights, optimizer and step.

    Attributes:
      epoch: number of finished epochs.
      step: number of steps of the running epoch that were made.
      sums: {term: (sum, count)} of these steps, in the state that is written.
      seconds: training time so far (steps only).
      best, best_epoch: lowest validation error and its epoch.
      bound, bound_epoch: best bound of the rows that `Watch` watches, and its epoch.
      finished: whether the budget is used up or the run was stopped early.
      steps: number of optimizer steps, known when training ends.
      restored: how often training went back to a checkpoint after it had diverged, each time at half the learning rate.
      restored_to: the number of optimizer steps of the last of these checkpoints.
    """

    epoch: int = 0
    step: int = 0
    sums: dict = dataclasses.field(default_factory=dict)
    seconds: float = 0.0
    best: float = math.inf
    best_epoch: int = 0
    bound: float = -math.inf
    bound_epoch: int = 0
    finished: bool = False
    steps: int = 0
    restored: int = 0
    restored_to: int = -1

    def serialize(self):
        return json.dumps(dataclasses.asdict(self))

    def deserialize(self, text):
        """Takes over what `serialize` wrote; raises a ValueError for anything else."""
        found = json.loads(text)
        if not isinstance(found, dict):
            raise ValueError(f"state: got {text!r:.60}; allowed: an object")
        for field in dataclasses.fields(self):
            value = found.get(field.name, getattr(self, field.name))
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if not (number if field.type in (int, float) else isinstance(value, field.type)):
                raise ValueError(f"state: {field.name} is {value!r:.40}; allowed: of type {field.type.__name__}")
        vars(self).update({name: value for name, value in found.items() if name in vars(self)})


class PythonState(tf.train.experimental.PythonState):
    """A `State` as a part of a `tf.train.Checkpoint`."""

    def __init__(self, state):
        self.state = state

    def serialize(self):
        return self.state.serialize()

    def deserialize(self, string_value):
        self.state.deserialize(string_value)
