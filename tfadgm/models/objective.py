"""The options of the objective, checked."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Objective:
    """What is maximised, and how it is estimated.

    Attributes:
      samples: S, samples of the latents in the bounds (eq. 17 of Maaloe et al. 2016; 1 in most of its experiments).
      classifier_samples: None: q(y|a_s, x), one class distribution per sample of a (eq. 17). A number, at least
        `samples`: q(y|x) = mean over so many samples of a, in the classification term and as the weights of the classes;
        cheap, since the additional samples run no decoder. See `bounds.unlabelled_bound` for why it is a bound.
      beta: alpha = beta * (N_l + N_u) / N_l is the weight of the classification term, relative to means per example
        (eq. 12; 0.1 to 2 in the paper, 0.1 in its code).
      labelled_weight: the weight of the labelled bound's mean beside the unlabelled bound's. 1 is the authors' code; eq. 13,
        a sum over the data set, is N_l / N_u. 0 leaves it out, and saves its time: labelled examples are in the
        unlabelled pool too, and 100 of them are learned by heart if each counts as much as 600 others.
      unlabelled_weight: the weight of the unlabelled bound's mean; 0 leaves it out, and its time.
      class_entropy: the weight T >= 1 of H(q(y|x)) in the unlabelled bound; 1 is the bound. Enumerated, q(y|x) then tends to
        softmax(f(y) / T), f(y) what the bound says of class y in nats: a power of the posterior. A likelihood of many
        numbers, as independent as no data's are, is too sure of the class (Grunwald and van Ommen 2017: a power mends it).
      virtual_adversarial: the weight of the mean of `adversarial.smoothness` of q(y|x) over the unlabelled examples.
      adversarial_radius: its radius; None: sqrt(D) / 64 for D numbers that networks read, sqrt(D) / 35 with convolutions.
      adversarial_shift: pixels by which pictures are moved in it, at most: x'.
      adversarial_temperature: T > 0, by which answers are made surer (T < 1) before others are compared with them in it.
      shift: pixels by which labelled pictures are moved, at most (`data.moves`), in their bound too.
      class_balance: the weight of `class_weights.balance`, how near the classes that q(y|x) gives to a batch are to p(y).
      num_labelled, num_unlabelled: N_l and N_u, the sizes of the training sets; without labels y is a cluster.
      exact_classes: None: y by exact enumeration. k: the k most probable classes exactly and one sampled from the rest.
      importance_weighted: log-mean-exp over the samples in place of the mean (Burda et al. 2015); q(y|x) is then the
        average over the samples of a. With a class the bound tends to log p(x) - KL(q(y|x) || p(y|x)) as samples grow.
      closed_kl: whether divergences of Gaussians, KL(q(z|.) || p(z|.)), are in closed form where they have one (Kingma et
        al. 2014, section 3.1), rather than log q - log p of a draw as in the code of Maaloe et al. 2016: the same bound.
      warmup_steps: steps over which the temperature of the latents' terms rises from 0 to 1 (Sonderby et al. 2016).
      weight_prior: whether sum log N(W; 0, 1) / (N_l + N_u) over all kernels W is added (the code of Kingma et al. 2014
        and of Maaloe et al. 2016).
    """

    samples: int = 1
    classifier_samples: int | None = None
    beta: float = 0.1
    labelled_weight: float = 1.0
    unlabelled_weight: float = 1.0
    class_entropy: float = 1.0
    virtual_adversarial: float = 0.0
    adversarial_radius: float | None = None
    adversarial_shift: int = 0
    adversarial_temperature: float = 1.0
    shift: int = 0
    class_balance: float = 0.0
    num_labelled: int = 1
    num_unlabelled: int = 0
    exact_classes: int | None = None
    importance_weighted: bool = False
    closed_kl: bool = False
    warmup_steps: int = 0
    weight_prior: bool = False

    def __post_init__(self):
        if self.samples < 1:
            raise ValueError(f"samples: got {self.samples}; allowed: at least 1")
        if self.classifier_samples is not None and self.classifier_samples < self.samples:
            raise ValueError(
                f"classifier_samples: got {self.classifier_samples}; allowed: none, or at least samples = {self.samples}"
            )
        least = dict(beta=0, labelled_weight=0, unlabelled_weight=0, class_entropy=1, virtual_adversarial=0, class_balance=0)
        least |= dict(shift=0, adversarial_shift=0, warmup_steps=0, num_labelled=0, num_unlabelled=0)
        for name, minimum in least.items():
            if not getattr(self, name) >= minimum:
                raise ValueError(f"{name}: got {getattr(self, name)}; allowed: at least {minimum}")
        if self.closed_kl and self.importance_weighted:
            raise ValueError("closed_kl: got true with importance_weighted, whose weights have no means; allowed: false")
        if self.adversarial_radius is not None and not self.adversarial_radius > 0:
            raise ValueError(f"adversarial_radius: got {self.adversarial_radius}; allowed: none, or greater than 0")
        if not self.adversarial_temperature > 0:
            raise ValueError(f"adversarial_temperature: got {self.adversarial_temperature}; allowed: greater than 0")

    @property
    def alpha(self):
        """The weight of the classification term."""
        if not self.num_labelled:
            return 0.0
        return self.beta * (self.num_labelled + self.num_unlabelled) / self.num_labelled
