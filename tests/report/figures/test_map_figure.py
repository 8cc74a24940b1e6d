"""map.png and its parts shared with the page: distinct colours, places of names."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from descriptions import write_folder

from topiclab.report.description import map_frame, read_description, topic_anchors
from topiclab.report.figures import map_figure
from topiclab.report.figures.colours import distinct_colours
from topiclab.report.figures.map_figure import draw_map


def test_neighbours_differ_in_colour() -> None:
    places = np.stack(np.meshgrid(np.arange(7.0), np.arange(6.0)), axis=-1).reshape(-1, 2)
    colours = distinct_colours(places, np.random.default_rng(0).permutation(42))
    assert all(re.fullmatch(r"#[0-9a-f]{6}", colour) for colour in colours)
    assert len(set(colours)) >= 38
    assert len(set(distinct_colours(places[:30], np.arange(30)))) == 30
    assert len(distinct_colours(np.zeros((100, 2)), np.arange(100))) == 100
    parts = np.array([[int(colour[at : at + 2], 16) for at in (1, 3, 5)] for colour in colours])
    apart = np.abs(parts[:, None] - parts[None]).sum(axis=2)
    near = np.linalg.norm(places[:, None] - places[None], axis=2) < 1.1
    np.fill_diagonal(near, False)
    assert apart[near].min() > 60


def test_anchors_lie_among_their_documents() -> None:
    rng = np.random.default_rng(0)
    halves = np.concatenate([rng.normal(0, 0.1, (50, 2)), rng.normal(10, 0.1, (40, 2))])
    anchors = topic_anchors(halves.astype(np.float32), np.zeros(90, int), 2)
    assert np.hypot(*(halves - anchors[0]).T).min() < 0.2
    assert anchors[1].tolist() == [0, 0]  # a topic without documents


def test_a_few_far_documents_do_not_shrink_the_map() -> None:
    rng = np.random.default_rng(0)
    bulk = rng.normal(0, 1, (990, 2))
    low, high = map_frame(np.concatenate([bulk, rng.normal(500, 1, (10, 2))]).astype(np.float32))
    assert (low >= bulk.min(axis=0) - 1e-6).all()
    assert (high <= bulk.max(axis=0) + 1e-6).all()
    assert (high - low > 4).all()
    for points in (np.zeros((0, 2)), np.ones((5, 2)), bulk[:1]):
        low, high = map_frame(points)
        assert np.isfinite([low, high]).all()


def test_far_documents_are_told_and_marked_at_the_edge(tmp_path: Path, monkeypatch) -> None:
    described = read_description(write_folder(tmp_path, 200, 4))
    described.coordinates[:2] = [[900, 0], [0, -900]]
    assert described.num_beyond == 2
    drawn = []
    monkeypatch.setattr(map_figure, "save_figure", lambda figure, path: drawn.append(figure) or path)
    draw_map(described, tmp_path, "far")
    (axes,) = drawn[0].axes
    assert axes.get_xlabel() == "2 documents beyond the frame stand as triangles at its edge"
    assert sum(len(marks.get_offsets()) for marks in axes.collections) == 200
    (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()
    for marks in axes.collections:
        assert ((marks.get_offsets() >= (left, low)) & (marks.get_offsets() <= (right, high))).all()


@pytest.mark.parametrize("num_docs", [4, 500])
def test_map_figure(tmp_path: Path, num_docs: int) -> None:
    path = draw_map(read_description(write_folder(tmp_path, num_docs, 4)), tmp_path, "$ many $ topics")
    assert path.name == "map.png"
    assert path.read_bytes().startswith(b"\x89PNG")
