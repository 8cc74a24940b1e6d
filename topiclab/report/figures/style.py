"""Style of all figures: fonts for their texts, sizes for a paper, colours that all readers tell apart."""

from __future__ import annotations

import unicodedata
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from topiclab.report.figures.fonts import families_for

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.image import AxesImage

# Okabe & Ito (2008): distinct with any common colour blindness. Yellow is last, since it is faint on white.
HUES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#F0E442")
SHADE = "YlGnBu"  # of heat maps: ColorBrewer's, from light to dark for colour-blind readers and in grey too
BLANK = "#d9d9d9"  # of what a heat map has no value for
MARK = "\u200e"  # left-to-right mark: else a number beside Arabic changes sides
REST = "#9a9a9a"  # of what is not told apart
RULES = {
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.labelsize": 9,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "figure.titlesize": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.unicode_minus": True,
    "image.cmap": SHADE,
}


@contextmanager
def paper_style(texts: Iterable[str] = ()) -> Iterator[None]:
    """Draw in one style, with fonts that have the characters of the texts; a script without font is told."""
    from cycler import cycler
    from matplotlib import rc_context

    families = families_for(texts)
    rules: Any = {**RULES, "font.family": families, "axes.prop_cycle": cycler(color=HUES)}
    with rc_context(rules), warnings.catch_warnings():
        # families_for has told of both, in one line and with the way out
        warnings.filterwarnings("ignore", r"Glyph \d+ .*missing from")
        warnings.filterwarnings("ignore", r"Matplotlib currently does not support \w+ natively")
        yield


def heat_map(axes: Axes, values: np.ndarray, **options: Any) -> AxesImage:
    """Draw values (R, C) as squares on axes without frame and ticks; NaN is BLANK."""
    image = axes.imshow(values, interpolation="nearest", **{"aspect": "auto", **options})
    axes.set_facecolor(BLANK)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return image


def colour_bar(image: AxesImage, axes: Axes | list[Axes], label: str, **options: Any) -> None:
    """Draw a slim colour bar without frame beside axes."""
    figure = image.get_figure(root=True)
    assert figure is not None
    bar = figure.colorbar(image, ax=axes, **{"aspect": 30, "shrink": 0.7, **options})
    bar.set_label(label)
    bar.outline.set_visible(False)  # type: ignore[operator]


def plain(text: str) -> str:
    """Text without mathematics, which from right to left leaves what stands beside it in its place."""
    text = text.replace("$", r"\$")
    if any(unicodedata.bidirectional(letter) in ("R", "AL") for letter in text):
        return f"{MARK}{text}{MARK}"
    return text


def clipped(text: str, most: int) -> str:
    """Text on one line of at most this many letters, `plain`."""
    text = " ".join(text.split())
    return plain(text if len(text) <= most else text[: most - 1].rstrip(" …") + "…")
