"""Fashion-MNIST (Xiao et al. 2017): clothes in MNIST's format, prepared as MNIST is."""

from tfadgm.data import mnist


def load(argument=None, **options):
    """Returns the 60,000 training and 10,000 test images."""
    return mnist.load(argument, **options, name="fashion_mnist")
