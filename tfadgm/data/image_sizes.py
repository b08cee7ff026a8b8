"""The size of pictures as text."""

import re


def parse(text):
    """Returns (height, width) of a text such as "28x20", or raises a ValueError."""
    if not re.fullmatch(r"[1-9]\d{0,3}x[1-9]\d{0,3}", text, re.ASCII):
        raise ValueError(f"image_size: got {text!r}; allowed: HEIGHTxWIDTH in pixels, each from 1 to 9999, such as 28x28")
    height, width = text.split("x")
    return int(height), int(width)
