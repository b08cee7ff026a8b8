"""Fashion-MNIST (Xiao et al. 2017): clothes in MNIST's format, prepared as MNIST is."""

from tfadgm.data import mnist


def load(argument=None, *, data_dir=None, tfds_name=None, **_):
    """Returns the 60,000 training and 10,000 test images."""
    return mnist.load(argument, data_dir=data_dir, tfds_name=tfds_name, name="fashion_mnist")
