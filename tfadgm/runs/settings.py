"""Every setting of a run: its type, default, allowed values and meaning, in one place.

The defaults are those of the papers where the paper gives one; `recipes.py` holds the measured settings per data set,
which the binaries start from. `bin/train` makes one flag of each field.
"""

import dataclasses
import functools
import os

from tfadgm import registry
from tfadgm.data.columns import KINDS as COLUMN_KINDS
from tfadgm.data.columns import ORDERS
from tfadgm.runs import allowed
from tfadgm.runs.kinds import BUDGETS, KINDS, Auto, is_of

SIZED = "'auto': by the numbers of rows, columns and classes."
EPOCH_STEPS = 100  # of an epoch, at least, where the budget is a number of steps: a small pool is passed over several times
WITH_A = ("adgm", "sdgm", "avae")
AUXILIARIES = tuple(dict.fromkeys(name for names in registry.AUXILIARIES.values() for name in names))


def _setting(default, text, choices=None, kind=None, group="common", of=None):
    """A field; `of` names the models that have the option, all where it is None."""
    kind, text = kind or type(default), text if of is None else f"{text[:-1]} ({', '.join(of)})."
    return dataclasses.field(default=default, metadata=dict(text=text, choices=choices, kind=kind, group=group, of=of))


_network = functools.partial(_setting, group="network")
_model = functools.partial(_setting, group="model")
_untapped = functools.partial(_model, of=("untapped",))
_objective = functools.partial(_setting, group="objective")
_training = functools.partial(_setting, group="training")
_evaluation = functools.partial(_setting, group="evaluation")


@dataclasses.dataclass(frozen=True)
class Settings:
    """All settings of a run; see each field's text. Raises a ValueError for a value that is not allowed."""

    model: str = _setting("sdgm", "The model.", registry.MODELS)  # as it is: models may be added
    dataset: str = _setting(
        "mnist",
        f"The data: {', '.join(registry.DATASETS)}. npz:FILE, csv:FILE, parquet:FILE, h5ad:FILE, images:DIR, "
        "tfrecord:PATTERN for your own; freyface:FILE; mnist:low, omniglot:characters, norb:OPTIONS (see their modules).",
    )
    labels: int | None = _setting(
        100, "Number of labels to keep, evenly over classes; 'none' keeps all; with 0, y is a cluster.", kind=int
    )
    label_draw: str = _setting(
        "random", "Draw the labels from the seed, or take those that the paper gives.", ("random", "paper")
    )
    data_dir: str | None = _setting(None, "TensorFlow Datasets directory.", kind="path")
    label: str | None = _setting(
        "label", "Column of the labels, of a csv, parquet, h5ad or tfrecord; 'none': there is none.", kind=str
    )
    columns: str | None = _setting(
        None, f"Kinds of columns, as NAME:KIND,...: {', '.join((*COLUMN_KINDS, *ORDERS))}; 'none': as they look.", kind=str
    )
    ignore: str | None = _setting(None, "Columns that are not read, as NAME,...", kind=str)
    genes: int | None = _setting(
        None, "Most genes of an h5ad that are read, those that vary most; 'none': all, or 2000 if there are more.", kind=int
    )
    tfds_name: str | None = _setting(None, "Read the data set from a TFDS copy of this name.", kind=str)
    image_size: str | None = _setting(
        None,
        "HEIGHTxWIDTH of pictures in folders, such as 28x28: others are resized and cut to it; 'none': their own size, or "
        "where they have several, the median.",
        kind=str,
    )
    features: str | None = _setting(
        None, "JSON that says what the records of tfrecord:PATTERN hold; 'none': features.json beside them.", kind="path"
    )
    test_files: str | None = _setting(None, "PATTERN of the test files of tfrecord:PATTERN.", kind=str)
    epochs: int | None = _setting(None, "Number of epochs (passes over the unlabelled pool).", kind=int)
    minutes: float | None = _setting(None, "Training time; stops within a step. Instead of epochs.", kind=float)
    steps: int | Auto | None = _setting(
        None, f"Optimizer steps, rounded up to epochs of at least {EPOCH_STEPS}. Instead of epochs. {SIZED}", kind="count"
    )
    first_run: str | None = _setting(
        None, "Run of the model that is trained first (m1m2: an m1); 'none' trains it, with half of the budget.", kind="path"
    )
    seed: int = _setting(0, "Seed of the label draw, the initial weights and all noise.")
    validation: int | None = _setting(
        None,
        "Number of training examples to hold out, by which the best weights are chosen; 'none': of your own data without a "
        "test set a fifth of the labelled ones, by which nothing is chosen, else none.",
        kind=int,
    )

    trunk: str = _network("mlp", "Networks that read and write x: fully connected or convolutional.", registry.TRUNKS)
    hidden: tuple[int, ...] | Auto = _network(
        (500, 500), f"Widths of the hidden layers, such as 500,500. {SIZED}", kind="sizes"
    )
    hidden_above: tuple[int, ...] | None = _network(
        None, "The same for networks between latents; 'none': as hidden.", kind=tuple
    )
    filters: tuple[int, ...] = _network((32, 64), "Channels of the stride-2 convolutions, with trunk=conv.")
    depth: int = _network(1, "Convolutions at each size when x is read, of which the first has stride 2, with trunk=conv.")
    pooled: bool = _network(
        False, "Whether q(y|.) reads the means of the last maps over their positions, in place of the maps, with trunk=conv."
    )
    shared_encoder: str = _network(
        "off",
        "on: the networks of q share what reads x, up to their first hidden layer; stopped: it is not trained by the "
        "classification term.",
        registry.SHARED_ENCODERS,
    )
    activation: str = _network("relu", "Activation of hidden layers.", registry.ACTIVATIONS)
    head_deviation: float | None = _network(None, "Initial spread of the heads of Gaussians; 'none': Glorot.", kind=float)
    log_variance_ceiling: float | None = _network(
        None, "Smooth upper bound of the log-variance of Gaussian latents; 'none': no bound.", kind=float
    )
    batch_norm: bool = _network(False, "Batch normalisation of hidden layers.")
    likelihood: str | None = _network(None, "p(x|.); 'none' takes the data set's.", tuple(registry.LIKELIHOODS), kind=str)
    min_column_std: float | None = _network(None, "Drop components of x below this spread; 'none': data set's.", kind=float)
    dim_z: tuple[int, ...] | Auto | None = _model(
        None, f"Size of z, or of z1,z2,...; 'none' takes the model's default. {SIZED}", kind="sizes"
    )
    dim_a: tuple[int, ...] | Auto | None = _model(
        None, f"Size of a, or of a1,a2,...; 'none' takes the model's default. {SIZED}", kind="sizes", of=WITH_A
    )
    a_sees_x: bool | None = _model(None, "Whether p(a|.) has x among its parents.", kind=bool, of=WITH_A)
    auxiliary: str | None = _model(
        None,
        "informed: p(a|.) learned, uninformed: p(a) = N(0, I), deterministic: a = f(x); of avae informed, or linear: exact, "
        "for q(z|a,x) linear in a.",
        AUXILIARIES,
        kind=str,
        of=WITH_A,
    )
    aux_gradient: str | None = _model(None, "What trains q(a|x).", registry.AUX_GRADIENTS, kind=str, of=("adgm", "sdgm"))
    flows: int | None = _model(None, "Planar flows behind q(z|x).", kind=int, of=("vae", "lvae", "m1"))
    skip: bool | None = _model(None, "Whether q(z2|.) has x among its parents.", kind=bool, of=("cagem",))
    classifier: str | None = _model(None, "What answers p(y|x).", registry.CASCADE_CLASSIFIERS, kind=str, of=("cagem",))
    end_to_end: bool | None = _model(None, "Train M1 and M2 at once.", kind=bool, of=("m1m2",))
    feature_classifier: str | None = _model(
        None, "The classifier of the features.", registry.FEATURE_CLASSIFIERS, kind=str, of=("m1",)
    )
    anchors: int | None = _model(None, "Most anchors of the classifier's kernel.", kind=int, of=("m1",))
    z_range: tuple[float, ...] | None = _untapped(None, "Interval of each z, two numbers.", kind="numbers")
    hidden_y: tuple[int, ...] | None = _untapped(None, "Widths of the networks of q(y|x).", kind=tuple)
    hidden_z: tuple[int, ...] | None = _untapped(None, "Widths of the networks of q(z|x,y).", kind=tuple)
    class_draw: str | None = _untapped(None, "y of unlabelled examples.", registry.CLASS_DRAWS, kind=str)
    gumbel_temperature: float | None = _untapped(None, "Temperature of a relaxed y.", kind=float)
    forward_weight: float | None = _untapped(None, "alpha_f: weight of the forward bounds.", kind=float)
    reverse_weight: float | None = _untapped(None, "alpha_r: weight of the inverse's bound.", kind=float)
    labelled_reverse: bool | None = _untapped(None, "Whether labelled examples train the inverse too.", kind=bool)
    reverse_gradient: str | None = _untapped(None, "What the inverse's bound trains.", registry.REVERSE_GRADIENTS, kind=str)
    class_weight: float | None = _untapped(None, "Weight of the classification term.", kind=float)
    x_weight: float | None = _untapped(None, "Weight of the inverse's squared error.", kind=float)
    class_prior: str | tuple = _model(
        "uniform",
        "p(y): uniform, labels (their smoothed shares), K numbers P1,P2,..., or auto: labels, unless they are drawn evenly.",
        kind="prior",
    )
    clusters: int | None = _model(
        None, "Values of y without a label, beside the classes; with labels=0 all values, 'none': one per class.", kind=int
    )

    beta: float = _objective(0.1, "alpha = beta (N_l + N_u) / N_l weighs the classification term.")
    labelled_weight: float = _objective(1.0, "Weight of the labelled bound's mean beside the unlabelled bound's.")
    unlabelled_weight: float = _objective(1.0, "Weight of the unlabelled bound's mean.")
    class_entropy: float = _objective(1.0, "Weight, at least 1, of H(q(y|x)) in the unlabelled bound; 1: the bound.")
    virtual_adversarial: float = _objective(0.0, "Weight of the virtual adversarial term of q(y|x) (Miyato et al. 2015).")
    adversarial_radius: float | None = _objective(
        None,
        "Its radius, in units of x as networks read it; 'none': sqrt(D) / 64 for D numbers, / 35 with convolutions.",
        kind=float,
    )
    adversarial_shift: int = _objective(0, "Pixels by which pictures are moved in that term, either way, at most.")
    adversarial_temperature: float = _objective(
        1.0, "Temperature of the answers that others are compared with in that term; below 1 they are surer."
    )
    shift: int = _objective(0, "Pixels by which labelled pictures are moved in training, either way, at most.")
    class_balance: float = _objective(
        0.0, "Weight of -KL(mean q(y|x) || p(y)), of the classes of a batch of unlabelled examples together."
    )
    samples: int = _objective(1, "Samples of the latents in the bounds.")
    classifier_samples: int | None = _objective(
        None, "Samples of a averaged inside q(y|x); 'none': as the bounds.", kind=int
    )
    exact_classes: int | str | None = _objective(
        None, "k most probable classes exactly, one sampled; 'none': all; 'auto': 2 of more than 20.", kind="count"
    )
    importance_weighted: bool = _objective(False, "Importance-weighted bounds in training.")
    closed_kl: bool = _objective(False, "Divergences of Gaussians in closed form in training, where they have one.")
    warmup_epochs: float | Auto = _objective(
        0.0, "Epochs over which the temperature of the latents' terms rises to 1; 'auto': a fifth of them.", kind="amount"
    )
    weight_prior: bool = _objective(False, "A standard normal prior on the kernels, divided by the number of examples.")

    batch: int | Auto = _training(100, f"Unlabelled examples in a batch, over all replicas. {SIZED}", kind="count")
    labelled_batch: int = _training(100, "Labelled examples in a batch, at most; over all replicas.")
    labelled_in_unlabelled: bool = _training(True, "Whether labelled examples are in the unlabelled pool too.")
    learning_rate: float = _training(3e-4, "Adam's learning rate.")
    adam_epsilon: float = _training(1e-7, "Adam's epsilon.")
    schedule: str = _training("constant", "Learning rate over time.", ("constant", "linear", "steps"))
    decay_from: float = _training(0.5, "schedule=linear: share of the training after which it falls to 0.")
    decay: float = _training(0.75, "schedule=steps: factor by which it falls every decay_epochs, to a tenth at least.")
    decay_epochs: int = _training(200, "schedule=steps: epochs between two falls.")
    average: float | None = _training(None, "Decay of the moving average of the weights that is evaluated.", kind=float)
    max_norm: float | None = _training(None, "Clip gradients to this total norm.", kind=float)
    max_value: float | None = _training(None, "Then clip each element to this absolute value.", kind=float)
    patience: int | None = _training(None, "Stop after so many epochs without a better validation error.", kind=int)
    stop: str = _training(
        "none",
        "bound: a tenth of the rows without labels is kept from training, which ends after a fifth of its epochs without a "
        "better bound of these, with the weights of the best; with a budget in minutes nothing else ends it.",
        ("none", "bound"),
    )
    keep: str = _training(
        "best", "The weights of the best epoch on the validation examples, or of the last.", ("best", "last")
    )
    on_nan: str = _training(
        "stop",
        "NaN or overflow in training: stop, or restore the last checkpoint, at half the learning rate, at most five times.",
        ("stop", "restore"),
    )
    checkpoint_seconds: float = _training(60.0, "Least time between checkpoints.")
    strategy: str = _training(
        "auto",
        "Devices: one, all GPUs mirrored (auto, where there are several), or, multi_worker, those of all processes that "
        "TF_CONFIG or srun names.",
        ("auto", "one", "mirrored", "multi_worker"),
    )
    hidden_cells: float | None = _training(
        None,
        "Share of the observed cells of a table that are not read in training, for cells that go missing at use; 'none': "
        "0.1 where cells are missing, else 0.",
        kind=float,
    )
    xla: str = _training("auto", "XLA for the loss and its gradients; auto: on GPUs, where it pays.", ("auto", "on", "off"))
    threads: int | None = _training(
        None, "Threads of one operation; 'none': 1 on two cores without XLA, where it pays, else all cores.", kind=int
    )
    precision: str = _training(
        "float32",
        "Arithmetic of the networks; distributions stay float32. auto: bfloat16 where the processor multiplies it natively.",
        ("float32", "bfloat16", "auto"),
    )

    cross_fit: int = _evaluation(
        0, "Folds of the labelled examples on which the error is measured, each by a training of its own; 0: none."
    )
    select: bool = _evaluation(
        False,
        "Whether the model is weighed against what the labels alone give, by cross-fitting, and a pool of both answers; on "
        "for your own data.",
    )
    answer_temperature: float | Auto = _evaluation(
        1.0,
        "T of the classifier's answers, q(y|x)^(1/T) normalised, where select is off; 'auto': that of the lowest NLL on the "
        "labelled examples held out.",
        kind="amount",
    )
    test_samples: int = _evaluation(100, "Samples of a averaged inside q(y|x) at test.")
    density_samples: int = _evaluation(100, "Importance samples of log p(x) at test.")
    density_examples: int = _evaluation(1000, "Test examples whose log p(x) is estimated.")

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.metadata["kind"] in (tuple, "numbers", "sizes", "prior") and isinstance(value, int | list):
                value = (value,) if isinstance(value, int) else tuple(value)
            _check_type(field, value)
            choices = field.metadata["choices"]
            if choices and value is not None and value not in choices:
                raise ValueError(f"{field.name}: got {value!r}; allowed: {', '.join(choices)}")
            object.__setattr__(self, field.name, located(field.name, value))
        budget = {name: getattr(self, name) for name in BUDGETS}
        if sum(value is not None for value in budget.values()) != 1:
            told = ", ".join(f"{name}={value}" for name, value in budget.items())
            raise ValueError(f"got {told}; allowed: exactly one of the three")
        if self.patience is not None and not self.validation:
            raise ValueError(f"patience: got {self.patience} with validation 0; allowed: none, or validation of at least 1")
        allowed.check_ranges(self)

    @property
    def chooses(self) -> bool:
        """Whether the validation examples choose the weights; those that were held out unasked do not."""
        return bool(self.validation) and self.keep == "best"


def located(name: str, value: object) -> object:
    """Returns the value of the setting `name` with a path in it made absolute, so that it holds in every directory."""
    if name == "dataset" and isinstance(value, str):
        kind, colon, path = value.partition(":")
        return f"{kind}:{_absolute(path)}" if kind in registry.OF_FILES and path else value
    return _absolute(value) if name in ("data_dir", "first_run") and isinstance(value, str) else value


def _absolute(path):
    return path if "://" in path else os.path.abspath(os.path.expanduser(path))


def _check_type(field, value):
    kind = field.metadata["kind"]
    if not (value is None and "None" in str(field.type)) and not is_of(kind, value):
        raise ValueError(f"{field.name}: got {value!r}; allowed: {KINDS[kind][1]}")


def parse(name: str, text: str) -> bool | int | float | str | tuple | None:
    """Returns the value of the setting `name` written as `text`, or raises a ValueError that tells what is allowed."""
    field = {field.name: field for field in dataclasses.fields(Settings)}[name]
    kind, text = field.metadata["kind"], text.strip()
    if text.lower() == "none" and text not in (field.metadata["choices"] or ()):
        if "None" in str(field.type):
            return None
        raise ValueError(f"{name}: got 'none'; allowed: {KINDS[kind][1]}")
    try:
        return KINDS[kind][0](text)
    except ValueError:
        raise ValueError(f"{name}: got {text!r}; allowed: {KINDS[kind][1]}") from None
