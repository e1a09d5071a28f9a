"""A matplotlib figure as inline SVG that takes its colours and fonts from the page.

The page's content-security policy allows no style attributes, so each becomes plain SVG attributes. A
colour below becomes a class, which the style sheet colours for light and dark.
"""

import io
import re
from xml.etree import ElementTree

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from markupsafe import Markup

# Colours that stand for a part of a picture: see `.s-…` (strokes) and `.f-…` (fills) in style.css.
INK, ACCENT, REFERENCE, FAINT, GRID = "#010101", "#020202", "#030303", "#040404", "#050505"
CLASSES = {INK: "ink", ACCENT: "accent", REFERENCE: "reference", FAINT: "faint", GRID: "grid"}
SVG = "http://www.w3.org/2000/svg"
LINK = "{http://www.w3.org/1999/xlink}href"
ATTRIBUTES = (
    "fill fill-opacity opacity stroke stroke-dasharray stroke-linecap stroke-linejoin stroke-opacity "
    "stroke-width text-anchor"
).split()


def themed():
    """While it lasts, what is drawn has its text and axes in the page's ink."""
    parts = "text.color axes.labelcolor axes.edgecolor axes.titlecolor xtick.color ytick.color"
    return matplotlib.rc_context(dict.fromkeys(parts.split(), INK))


def inline(figure, name: str, description: str) -> Markup:
    """The figure's SVG element, whose `description` is read to those who do not see it; closes the figure.

    `name` tells its inner ids from those of other pictures of the page.
    """
    content = io.StringIO()
    settings = {"svg.fonttype": "none", "svg.hashsalt": name}
    with matplotlib.rc_context(settings):
        figure.savefig(content, format="svg", transparent=True, metadata={"Date": None})
    plt.close(figure)
    ElementTree.register_namespace("", SVG)
    root = ElementTree.fromstring(content.getvalue())
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag in (f"{{{SVG}}}metadata", f"{{{SVG}}}style"):
                parent.remove(child)
    used = set(re.findall(r"#([\w-]+)", content.getvalue()))
    for element in root.iter():
        _cleaned(element, used)
    for name_of in ("width", "height", "version"):
        root.attrib.pop(name_of, None)
    root.attrib |= {"role": "img", "aria-label": description}
    return Markup(ElementTree.tostring(root, encoding="unicode"))  # escaped XML


def _cleaned(element: ElementTree.Element, used: set[str]) -> None:
    if element.get("id") not in used:
        element.attrib.pop("id", None)
    if LINK in element.attrib:
        element.set("href", element.attrib.pop(LINK))
    for part in element.attrib.pop("style", "").split(";"):
        name, _, value = (piece.strip() for piece in part.partition(":"))
        if name in ("font", "font-size") and (size := re.search(r"([\d.]+)px", value)):
            element.set("font-size", size[1])
        elif name in ("fill", "stroke") and value in CLASSES:
            own = f"{name[0]}-{CLASSES[value]}"
            element.set("class", f"{element.get('class', '')} {own}".strip())
        elif name in ATTRIBUTES:
            element.set(name, value)
    for name in ("d", "x", "y", "transform"):
        if name in element.attrib:
            element.set(name, re.sub(r"\d+\.\d{2,}", _rounded, element.attrib[name]))


def _rounded(number: re.Match) -> str:
    return f"{float(number[0]):.1f}".removesuffix(".0")
