"""Names beside points of a map, without any two that touch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.transforms import Bbox

GAP = 3  # points between a name and its point
MIDDLE = ((0.0, 0.0), "center", "center")


def place_names(
    axes: Axes,
    points: np.ndarray,
    names: Sequence[str],
    *,
    short: Sequence[str] | None = None,
    radii: np.ndarray | None = None,
    **font: Any,
) -> list[int]:
    """Write names at points (N, 2) in this order: above, below, right or left of each, where no name is yet.

    short: written where no name has room, in the middle of the point; None: left out.  radii: (N,) of discs
    around the points, in typographic points; if it can, a name stands clear of those of other points.
    font: of the names.  Returns the places of the names that are left out.
    """
    from matplotlib.patheffects import withStroke

    figure = axes.get_figure(root=True)
    assert figure is not None
    figure.draw_without_rendering()  # positions the axes; before that, texts have no extent
    frame, taken, left_out = axes.get_window_extent(), [], []
    discs = _discs(axes, points, radii)
    options = {"fontsize": 8, "path_effects": [withStroke(linewidth=2.5, foreground="white")], **font}
    for number, (point, name) in enumerate(zip(points.tolist(), names, strict=True)):
        sides = _sides(GAP + (0 if radii is None else float(radii[number])))
        others = [*discs[:number], *discs[number + 1 :]]
        tries = [(name, side, others) for side in sides] + [(name, side, []) for side in sides if others]
        if short is not None:
            tries.append((short[number], MIDDLE, []))
        for text, (shift, across, along), avoided in tries:
            place = {"xytext": shift, "textcoords": "offset points", "ha": across, "va": along}
            written = axes.annotate(text, point, annotation_clip=True, **place, **options)
            box = written.get_window_extent().padded(1)
            if _is_free(box, frame, [*taken, *avoided]):
                taken.append(box)
                break
            written.remove()
        else:
            left_out.append(number)
    return left_out


def _discs(axes: Axes, points: np.ndarray, radii: np.ndarray | None) -> list[Bbox]:
    """Boxes in pixels of discs at points with radii in typographic points; [] without radii."""
    from matplotlib.transforms import Bbox

    if radii is None:
        return []
    figure = axes.get_figure(root=True)
    assert figure is not None
    places, reach = axes.transData.transform(points), radii[:, None] * figure.dpi / 72 * 0.8
    return [Bbox([low, high]) for low, high in zip(places - reach, places + reach, strict=True)]


def _sides(away: float) -> list[tuple[tuple[float, float], str, str]]:
    """Shift in points and alignment of a name above, below, right and left of its point."""
    return [
        ((0, away), "center", "bottom"),
        ((0, -away), "center", "top"),
        ((away, 0), "left", "center"),
        ((-away, 0), "right", "center"),
    ]


def _is_free(box: Bbox, frame: Bbox, taken: Sequence[Bbox]) -> bool:
    is_inside = frame.x0 <= box.x0 and box.x1 <= frame.x1 and frame.y0 <= box.y0 and box.y1 <= frame.y1
    return is_inside and not any(box.overlaps(other) for other in taken)
