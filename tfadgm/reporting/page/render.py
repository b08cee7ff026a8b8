"""From parts to a page: one HTML file that asks for nothing, with whatever could be made."""

import os
import pathlib
import re

import jinja2
from markupsafe import Markup

from tfadgm import telling

MOST_BYTES = 2_900_000
UNBROKEN = 14  # letters of a name that stay on one line
LARGE = 100_000  # bytes of a part, which is left out where the page has too many


def environment():
    """Returns the `jinja2.Environment` of the templates: all that is put into one is text, unless it is `Markup`."""
    found = jinja2.Environment(
        loader=jinja2.PackageLoader("tfadgm.reporting.page"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_visible,
    )
    found.filters.update(
        percent=percent, sure=sure, number=number, signed=signed, digits=digits, chart=chart, breakable=breakable
    )
    return found


def _visible(value):
    """A text with its control characters written out, in which lines stay apart."""
    if not isinstance(value, str) or isinstance(value, Markup) or value.isprintable():
        return value
    return "\n".join(map(telling.printable, value.split("\n")))


def parts(name):
    """The parts of a name between which a line may end: at blanks, before capitals, after _ and the like; of at most 14."""
    words = re.split(r"(?<=[a-z\d])(?=[A-Z])|(?<=[_/-])(?=\w)|(?<=\.)(?=[^\W\d])", name)
    return [part for word in words for part in re.findall(rf"\s*\S{{1,{UNBROKEN}}}|\s+", word)] or [name]


def breakable(name):
    """A name with the places at which a line may end."""
    return Markup("<wbr>").join(_visible(part) for part in parts(str(name)))


def percent(share, digits=1):
    """A share as "2.4%"; "not finite" for None."""
    return "not finite" if share is None else _minus(f"{100 * share:.{digits}f}%")


def sure(p):
    """A probability in percent, which is never said to be all."""
    return "> 99.9%" if p > 0.999 else percent(p, 1 if p < 0.095 or p > 0.985 else 0)


def number(value, digits=2):
    """A number with its thousands apart; "not finite" for None."""
    return "not finite" if value is None else _minus(f"{value:,.{digits}f}")


def signed(value, digits=2):
    """A number with its sign."""
    return _minus(f"{value:+.{digits}f}")


def _minus(text):
    return text.replace("-", "\N{MINUS SIGN}")


def digits(value, count=4):
    """A number with so many digits, without an exponent where that is readable."""
    rounded = float(f"{value:.{count}g}")
    return f"{rounded:,.0f}" if 10 ** (count - 1) <= abs(rounded) < 1e15 else f"{rounded:g}"


def chart(svg, alt, kind="chart"):
    """Returns an SVG of `vector.svg` as a picture with an alternative text, of a class `kind`: chart or tiles."""
    label = Markup(' class="{}" role="img" aria-label="{}" ').format(kind, alt)
    return Markup('<div class="scroll">') + Markup(svg.replace("<svg ", f"<svg{label}", 1)) + Markup("</div>")


def page(template, parts, make, **about):
    """Returns the text of a page.

    A part that fails is told in its place, and on stderr; one that has nothing to show is left out, and so are the largest
    ones of a page beyond `MOST_BYTES`.

    Args:
      template: the name of the page's.
      parts: (name, label, title, function) of each part, in order: the template of its name is given what the function
        returns, a dict, or None where it has nothing to show; the label stands in the contents.
      make: calls such a function.
      **about: what the page's template is given beside `parts`.
    """
    templates, shown = environment(), []
    for name, label, title, function in parts:
        html = _made(templates, name, title, lambda: make(function))  # noqa: B023, called at once
        if html is not None:
            shown.append(dict(name=name, label=label, title=title, html=html))
    style = Markup(templates.loader.get_source(templates, "style.css")[0])

    def render():
        return templates.get_template(template).render(parts=shown, style=style, **about)

    text = render()
    for part in sorted(shown, key=lambda each: -len(each["html"])):
        if len(text.encode()) <= MOST_BYTES or len(part["html"]) < LARGE:
            break
        part["html"] = Markup('<p class="failed">Left out, as its pictures would make the page too large.</p>')
        text = render()
    return text


def _made(templates, name, title, make):
    try:
        found = make()
        return None if found is None else Markup(templates.get_template(f"parts/{name}.html").render(**found))
    except Exception as error:  # of many kinds, and no page is worth a run
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        telling.warn(f"report: {title}: not shown: {reason}")
        return Markup('<p class="failed">Not shown: {}</p>').format(telling.printable(reason))


def write(text, path):
    """Writes a page under a temporary name and renames it."""
    path = pathlib.Path(path)
    temporary = path.with_name(f".{path.name}.writing")
    temporary.write_text(text, encoding="utf-8", errors="replace")
    os.replace(temporary, path)
