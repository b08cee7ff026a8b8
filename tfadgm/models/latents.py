"""Names and sizes of latents that may come in several layers."""


def layers(name, count):
    """Returns the names of `count` layers of a latent, from x upwards: "z", or "z1", "z2", ..."""
    return [name] if count == 1 else [f"{name}{i}" for i in range(1, count + 1)]


def sizes(name, value, count=None):
    """Returns the sizes of a latent's layers as a tuple, from an integer or several.

    Args:
      name: of the option, for the message.
      value: an integer, or a sequence of them.
      count: how many there must be; None: at least one.

    Raises:
      ValueError: if there are others, or one is below 1.
    """
    found = (value,) if isinstance(value, int) else tuple(value)
    if not found or any(size < 1 for size in found) or (count is not None and len(found) != count):
        wanted = {None: "one or more sizes", 1: "one size"}.get(count, f"{count} sizes, one per layer,")
        raise ValueError(f"{name}: got {','.join(map(str, found))}; allowed: {wanted} of at least 1")
    return found
