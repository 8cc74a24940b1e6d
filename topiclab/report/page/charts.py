"""Charts of a run, as the page embeds them."""

from __future__ import annotations

import base64
import json
from io import BytesIO
from pathlib import Path
from typing import TypedDict

from PIL import Image

from topiclab.report.language import Language

CHARTS, LIST = "figures", "figures.json"  # a folder of the fit, and the list in it
LARGE, COLOURS = 300_000, 256  # bytes; colours of a large picture


class EmbeddedChart(TypedDict):
    """A chart, image being a data URL; of a missing one, image is "" and reason says why."""

    name: str
    title: str
    image: str
    reason: str


def embedded_charts(folder: Path, say: Language) -> list[EmbeddedChart]:
    """Charts in the figures/ of a run, [] if there are none or they are in another language.

    Raises ValueError with a file that cannot be read.
    """
    path = folder / LIST
    if not path.exists():
        return []
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["language"] != say.code:
            return []
        return [
            {
                "name": chart["name"],
                "title": chart["title"],
                "image": _data_url(folder / Path(chart["file"]).name) if chart["file"] else "",
                "reason": chart["reason"],
            }
            for chart in content["charts"]
        ]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path} or a chart that it lists cannot be read ({error}); draw them again: "
            "python -m topiclab.report figures run=<the run's folder>"
        ) from error


def _data_url(path: Path) -> str:
    """A PNG as data URL; a large one is reduced to COLOURS colours, a third of its size."""
    content = path.read_bytes()
    if len(content) > LARGE:
        with Image.open(path) as picture:
            stream = BytesIO()
            picture.convert("RGB").quantize(COLOURS).save(stream, "PNG", optimize=True)
        content = stream.getvalue()
    return "data:image/png;base64," + base64.b64encode(content).decode("ascii")
