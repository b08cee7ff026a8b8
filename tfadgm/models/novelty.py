"""Whether an example is like those of training: where its log p(x) stands among that of examples of the same law.

With x_1 ... x_N the reference, of the law of the training data, and m the median of their log p(x_n),

    low(x)     = (1 + #{n: log p(x_n) <= log p(x)}) / (N + 1)
    typical(x) = (1 + #{n: |log p(x_n) - m| >= |log p(x) - m|}) / (N + 1)

are p-values: of a new example of that law, P(low <= t) <= t, whatever the model is worth, since the N + 1 examples are
exchangeable (conformal prediction, Vovk et al. 2005); of `typical` so but for m, which is of the reference alone.

A high density is no proof that an example belongs: plain pictures can have higher ones than any of training (Nalisnick et
al. 2019a, "Do deep generative models know what they don't know?"). `typical` asks on both sides (Nalisnick et al. 2019b,
"Detecting out-of-distribution inputs to deep generative models using typicality", for one example; with the median in place
of their mean). A missing cell is not scored, and counts are scored given their sum: rows compare with rows of as many.
"""

import dataclasses
from typing import Any, Self

import numpy as np
import tensorflow as tf

EXAMPLES = 1000  # of a reference, at most: p-values from 1 / 1001
SAMPLES = 10  # importance samples of log p(x)


@dataclasses.dataclass(frozen=True)
class Reference:
    """log p(x) of examples of the law of the training data.

    Attributes:
      log_density: ascending, in nats and the data's own units, `samples` importance samples each, float32 [N].
      of: which part of the data they are: "validation", "test", or "train", whose density is a little too high.
      samples: S.
    """

    log_density: np.ndarray
    of: str
    samples: int = SAMPLES

    def __post_init__(self) -> None:
        values = np.sort(np.asarray(self.log_density, "float32"))
        if values.ndim != 1 or not 1 <= len(values) <= EXAMPLES or not np.isfinite(values).all() or self.samples < 1:
            raise ValueError(
                f"reference: got shape {values.shape} and {self.samples} samples; allowed: 1 to {EXAMPLES} finite numbers"
            )
        object.__setattr__(self, "log_density", values)

    def to_dict(self) -> dict[str, Any]:
        """Returns JSON types."""
        return dict(of=self.of, samples=self.samples, log_density=[float(value) for value in self.log_density])

    @classmethod
    def from_dict(cls, found: dict[str, Any]) -> Self:
        """Returns the reference that `to_dict` described; raises a ValueError for anything else."""
        try:
            return cls(np.asarray(found["log_density"], "float32"), str(found["of"]), int(found["samples"]))
        except (LookupError, TypeError) as error:
            raise ValueError(f"reference: got {found!r:.40}; allowed: of, samples, log_density") from error

    @property
    def median(self) -> np.float32:
        """m, in nats."""
        return np.median(self.log_density)

    def p_values(self, log_density: tf.Tensor) -> dict[str, tf.Tensor]:
        """Returns low and typical of log p(x), float32 [N]; NaN where that is NaN."""
        count, values = len(self.log_density), tf.convert_to_tensor(log_density)
        distances = np.sort(np.abs(self.log_density - self.median))
        not_above = tf.searchsorted(self.log_density, values, side="right")
        nearer = tf.searchsorted(distances, tf.abs(values - self.median), side="left")
        unknown = tf.math.is_nan(values)

        def share(at_least):
            found = tf.cast(1 + at_least, tf.float32) / (count + 1)
            return tf.where(unknown, np.float32(np.nan), found)

        return {"low": share(not_above), "typical": share(count - nearer)}
