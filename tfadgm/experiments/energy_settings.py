"""How the bound of a `Potential` is maximised and measured: what can be chosen."""

import dataclasses
import math

ENERGIES = ("U1", "U2", "U3", "U4")  # of `potential.ENERGIES`


def _setting(default, least, text, below=math.inf):
    return dataclasses.field(default=default, metadata=dict(least=least, text=text, below=below))


@dataclasses.dataclass(frozen=True)
class Settings:
    """How the bound is maximised and measured; each field says what it means.

    Training is Adam with a learning rate that falls to 0 along half a cosine. The energy's temperature falls geometrically
    over the first half: while it is warm the modes are connected, and q(z) splits as they part. Without, it may miss one.
    Raises a ValueError for a value that is not allowed.
    """

    steps: int = _setting(40_000, 1, "Training steps.")
    batch: int = _setting(1024, 1, "Draws of a and z per step, times samples.")
    samples: int = _setting(1, 1, "Samples inside the logarithm in training; 1 is the paper's bound.")
    learning_rate: float = _setting(3e-3, 0.0, "Adam's learning rate at the start; it falls to 0.")
    temperature: float = _setting(10.0, 1.0, "T of exp(-U(z) / T) at the start; it falls to 1.")
    average: float = _setting(0.999, 0.0, "Decay of the moving average of the weights, which is what is kept.", below=1)
    evaluation_samples: int = _setting(100_000, 2, "Draws for the bounds that are reported.")
    importance_samples: int = _setting(50, 1, "Samples inside the logarithm of the importance-weighted bound.")

    def __post_init__(self):
        for field in dataclasses.fields(self):
            value, least, below = getattr(self, field.name), field.metadata["least"], field.metadata["below"]
            if not least <= value < below:
                allowed = f"at least {least}" + f", below {below}" * (below < math.inf)
                raise ValueError(f"{field.name}: got {value}; allowed: {allowed}")
        if self.importance_samples > (half := self.evaluation_samples // 2):
            raise ValueError(f"importance_samples: got {self.importance_samples}; allowed: 1 to {half}, half the draws")
