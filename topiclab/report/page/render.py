"""The page: one HTML file with the map, the topics and the documents of a description, for use offline.

The page loads nothing from a network, and its policy forbids it: style and script are allowed only by their
hashes. Content of documents is embedded in base64 and reaches the page as text nodes, never as markup.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
import zlib
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from topiclab.atomic import atomic_file
from topiclab.report.description import Description, read_description
from topiclab.report.figures.colours import distinct_colours
from topiclab.report.language import ENGLISH, Language
from topiclab.report.page.charts import EmbeddedChart, embedded_charts

SCRIPTS = (
    "data",
    "phrases",
    "elements",
    "view",
    "scatter",
    "names",
    "search",
    "charts",
    "panel",
    "controls",
    "gallery",
    "main",
)
MAX_DOCUMENTS = 60_000  # on a page
COLOURED_LABELS = 45
SPAN = NO_LABEL = 65_535
BEYOND = 1.0  # widths of the frame that the map goes on beyond it; farther documents stand at the map's edge
TOPIC_CORE = 70  # percent of a topic's documents, those nearest its anchor, that its own view shows


def write_page(
    folder: Path,
    title: str,
    max_documents: int = MAX_DOCUMENTS,
    say: Language = ENGLISH,
    charts: Path | None = None,
) -> Path:
    """Write page.html into a description folder.

    charts: folder of the run's charts, which go onto the page if they are of its language.
    max_documents: of more, a seeded sample is drawn, which always includes the examples of each topic; sizes,
    shares and time lines remain those of all documents. Raises ValueError with a file that cannot be shown.
    """
    shown = embedded_charts(charts, say) if charts else []
    text = render_page(read_description(folder), title, max_documents, say, shown)
    path = folder / "page.html"
    with atomic_file(path) as stream:
        stream.write(text.encode())
    return path


def render_page(
    description: Description,
    title: str,
    max_documents: int = MAX_DOCUMENTS,
    say: Language = ENGLISH,
    charts: Sequence[EmbeddedChart] = (),
) -> str:
    """Return the HTML of the page."""
    if description.num_topics >= SPAN:
        raise ValueError(f"{description.num_topics} topics are more than a page shows; merge them to fewer")
    rows = shown_rows(description, max_documents)
    texts = {
        "titles": [description.titles[row] for row in rows],
        "ids": [description.ids[row] for row in rows],
        "snippets": [description.snippets[row] for row in rows],
    }
    facts = {**_facts(description, rows), "phrases": say.phrases, "has_charts": bool(charts)}
    blocks = {"facts": _json(facts), "points": _points(description, rows), "charts": _json(charts)}
    blocks |= {name: _json(lines) for name, lines in texts.items()}
    style = _asset("page.css")
    script = "".join(["'use strict';(() => {\n", *(_asset(f"{name}.js") for name in SCRIPTS), "})();\n"])
    policy = (
        f"default-src 'none'; script-src '{_hash(script)}'; style-src '{_hash(style)}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    parts = {
        "language": say.code,
        "title": html.escape(title),
        "policy": policy,
        "style": style,
        "script": script,
        "data": "\n".join(
            f'<script type="text/plain" id="data-{name}">{_packed(block)}</script>'
            for name, block in blocks.items()
        ),
    }
    written = re.sub(r"\{\{(.+?)\}\}", lambda found: html.escape(say(found[1])), _asset("page.html"))
    return re.sub(r"%(language|title|policy|style|script|data)%", lambda found: parts[found[1]], written)


def shown_rows(description: Description, max_documents: int) -> np.ndarray:
    """Rows of the documents that a page draws, ascending: all, or a sample with every topic's examples."""
    num_docs = len(description.titles)
    if num_docs <= max_documents:
        return np.arange(num_docs)
    examples = {
        example["row"]
        for topic in description.topics
        for kind in ("representatives", "diverse")
        for example in topic[kind]
    }
    order = np.random.default_rng(0).permutation(num_docs)
    is_example = np.isin(order, list(examples))
    return np.sort(np.concatenate([order[is_example], order[~is_example]])[:max_documents])


def scaled(coordinates: np.ndarray, description: Description) -> np.ndarray:
    """Scale coordinates to the unit square: the frame and its BEYOND, with farther documents at the edge."""
    if not len(description.coordinates):
        return np.zeros((len(coordinates), 2))
    low, high = description.frame
    reach = BEYOND * (high - low)
    low = np.maximum(low - reach, description.coordinates.min(axis=0))
    width = np.minimum(high + reach, description.coordinates.max(axis=0)) - low
    span = float(width.max()) or 1.0
    inside = np.clip((coordinates - low) / span, 0, width / span)
    return inside + (1 - width / span) / 2


def _facts(description: Description, rows: np.ndarray) -> dict[str, Any]:
    """Facts that the page reads besides the documents."""
    places = scaled(description.coordinates, description)
    anchors = scaled(description.anchors, description)
    topic = description.topic
    counts = np.bincount(topic, minlength=description.num_topics)
    colours = distinct_colours(anchors, np.argsort(-counts, kind="stable"))
    place_of = {int(row): place for place, row in enumerate(rows)}
    leaf = description.tree["order"] if description.tree else list(range(description.num_topics))
    topics = []
    for number, entry in enumerate(description.topics):
        mine = places[topic == number]
        facts: dict[str, Any] = {
            key: entry[key]
            for key in ("topic", "label", "keyword", "size", "share", "words", "terms", "trend")
        }
        for kind in ("representatives", "diverse"):
            facts[kind] = [{**example, "shown": place_of.get(example["row"], -1)} for example in entry[kind]]
        facts |= {
            "colour": colours[number],
            "anchor": _rounded(anchors[number]),
            "box": _rounded(_box_around(anchors[number], mine)) if len(mine) else None,
            "shown": int((topic[rows] == number).sum()),
            "leaf": leaf.index(number),
        }
        topics.append(facts)
    return {
        "num_docs": description.num_docs,
        "num_shown": len(rows),
        "topics": topics,
        "tree": description.tree,
        "time": description.time,
        "label_names": description.label_names[:NO_LABEL],
        "label_colours": _label_colours(description),
        "home": _rounded(scaled(np.stack(description.frame), description).ravel())
        if len(places)
        else [0, 0, 1, 1],
        "num_beyond": description.num_beyond,
    }


def _label_colours(description: Description) -> list[str]:
    """Colours of the most frequent labels; the page shows the others grey."""
    num = min(len(description.label_names), COLOURED_LABELS)
    medians = [np.median(description.coordinates[description.label == label], axis=0) for label in range(num)]
    return distinct_colours(np.array(medians).reshape(-1, 2), np.arange(num))


def _points(description: Description, rows: np.ndarray) -> bytes:
    """Pack, little-endian: days (int32), places (x, y uint16), topic, label (uint16), strength (uint8)."""
    label = description.label[rows]
    label = np.where((label < 0) | (label >= NO_LABEL), NO_LABEL, label)
    columns = (
        description.days[rows].astype("<i4"),
        np.round(scaled(description.coordinates[rows], description) * SPAN).astype("<u2"),
        description.topic[rows].astype("<u2"),
        label.astype("<u2"),
        np.round(np.clip(description.strength[rows], 0, 1) * 255).astype(np.uint8),
    )
    return b"".join(column.tobytes() for column in columns)


def _box_around(anchor: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Left, bottom, right and top of the TOPIC_CORE percent of places nearest to an anchor."""
    distances = np.hypot(*(places - anchor).T)
    near = places[distances <= np.percentile(distances, TOPIC_CORE)]
    return np.concatenate([near.min(axis=0), near.max(axis=0)])


def _rounded(numbers: np.ndarray) -> list[float]:
    return [round(float(number), 5) for number in numbers]


def _asset(name: str) -> str:
    return (files("topiclab.report.page") / "assets" / name).read_text(encoding="utf-8")


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":"), allow_nan=False).encode("ascii")


def _packed(block: bytes) -> str:
    return base64.b64encode(zlib.compress(block, 9)).decode("ascii")


def _hash(text: str) -> str:
    """Hash of a script or style in the format of a content security policy."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")
