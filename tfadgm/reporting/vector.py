"""A figure of matplotlib as SVG that stands within a page: in the page's colours, light or dark, and in its letters.

What is drawn in `plotting`'s colours of text, axes and grid gets the page's by CSS (`currentColor`, `--quiet`, `--grid`);
all else keeps its own, which are mid tones that both grounds bear. Thousands of points are a picture within the SVG.
"""

import base64
import io
import re
import xml.etree.ElementTree as ET

import matplotlib
import numpy as np
from matplotlib.collections import PathCollection
from PIL import Image

from tfadgm.reporting import plotting

NAMESPACE, LINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
DPI = 150  # of pictures within an SVG
POINTS = 300  # in a scatter plot, from which it is a picture
COLOURS = {plotting.STRONG: "currentColor", plotting.QUIET: "var(--quiet)", plotting.GRID: "var(--grid)"}
SIDE = 160  # pixels of the longer side of an example's picture, at most


def svg(figure, name):
    """Returns a matplotlib `Figure` as the text of an SVG element; `name` keeps its ids apart from those of others'."""
    for ax in figure.axes:
        for each in ax.collections:
            if isinstance(each, PathCollection) and len(each.get_offsets()) > POINTS:
                each.set_rasterized(True)
    written = io.BytesIO()
    empty = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        figure.savefig(written, format="svg", dpi=DPI, transparent=True, metadata=empty)
    ET.register_namespace("", NAMESPACE)
    ET.register_namespace("xlink", LINK)
    root = ET.fromstring(written.getvalue())
    for child in [each for each in root if each.tag == f"{{{NAMESPACE}}}metadata"]:
        root.remove(child)
    used = {reference for each in root.iter() for value in each.attrib.values() for reference in _references(value)}
    for each in root.iter():
        _adapt(each, name, used)
    return ET.tostring(root, encoding="unicode")


def _references(value):
    return [whole or part for whole, part in re.findall(r"^#(.+)$|url\(#(.+?)\)", value)]


def _adapt(element, name, used):
    """Gives an element the page's colours and letters, and ids of its own; those that nothing refers to are dropped."""
    own = element.attrib
    if "id" in own:
        if own["id"] in used:
            own["id"] = f"{name}-{own['id']}"
        else:
            del own["id"]
    for key, value in own.items():
        if key == "style":
            for colour, instead in COLOURS.items():
                value = value.replace(colour, instead)
            value = re.sub(r"font: ([\d.]+px) [^;]*", r"font-size: \1", value)
            own[key] = re.sub(r"font-family: [^;]*;?", "", value)
        own[key] = re.sub(r"url\(#", f"url(#{name}-", own[key])
        if key == f"{{{LINK}}}href" and value.startswith("#"):
            own[key] = f"#{name}-{value[1:]}"


def data_uri(pixels):
    """Returns pixels [height, width(, 3)] within [0, 1] as the URI of a PNG, of at most `SIDE` pixels a side."""
    image = Image.fromarray(np.rint(255 * np.asarray(pixels)).astype("uint8"))
    if max(image.size) > SIDE:
        image.thumbnail((SIDE, SIDE))
    written = io.BytesIO()
    image.save(written, format="PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(written.getvalue()).decode()}"
