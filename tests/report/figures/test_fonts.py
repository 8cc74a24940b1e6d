"""Fonts for the characters of a figure: found by their glyphs, and told where none has them."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from matplotlib import font_manager

from topiclab.report.figures import fonts
from topiclab.report.figures.base import new_axes, save_figure
from topiclab.report.figures.style import paper_style


def make_font(path: Path, family: str, letters: str) -> Path:
    """Write a font in which each letter is a box."""
    pen = TTGlyphPen(None)
    pen.moveTo((100, 0))
    for corner in ((100, 700), (700, 700), (700, 0)):
        pen.lineTo(corner)
    pen.closePath()
    names = [".notdef", *(f"g{number}" for number in range(len(letters)))]
    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder(names)
    builder.setupCharacterMap({ord(letter): name for letter, name in zip(letters, names[1:], strict=True)})
    builder.setupGlyf(dict.fromkeys(names, pen.glyph()))
    builder.setupHorizontalMetrics(dict.fromkeys(names, (800, 100)))
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable({"familyName": family, "styleName": "Regular"})
    builder.setupOS2()
    builder.setupPost()
    builder.save(path)
    return path


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let the machine have matplotlib's own fonts and two made ones that it has not listed."""
    own = [font for font in font_manager.fontManager.ttflist if "mpl-data" in font.fname]
    made = [
        make_font(tmp_path / "MadeSerif-Regular.ttf", "Made Serif", "中文\u0915"),
        make_font(tmp_path / "MadeSans-Regular.ttf", "Made Sans", "中文\u0915"),
    ]
    monkeypatch.setattr(font_manager.fontManager, "ttflist", own)
    monkeypatch.setattr(font_manager, "findSystemFonts", lambda *_: [str(path) for path in made])
    caches = (fonts._families, fonts._system_files, fonts._plain_files, fonts._face, fonts._warn_of_missing)
    for cached in caches:
        cached.cache_clear()
    font_manager.fontManager._findfont_cached.cache_clear()
    yield
    for cached in caches:
        cached.cache_clear()
    font_manager.fontManager._findfont_cached.cache_clear()


@pytest.mark.usefixtures("machine")
def test_a_font_is_chosen_by_its_glyphs_and_drawn(tmp_path: Path) -> None:
    assert fonts.families_for(["plain Latin, Ελληνικά"]) == [fonts.BASE]
    assert fonts.families_for(["topic 中文"]) == [fonts.BASE, "Made Sans"]
    assert fonts.file_for(["中文"]).endswith("MadeSans-Regular.ttf")
    assert fonts.file_for(["Latin"]).endswith("DejaVuSans.ttf")
    with paper_style(["中文"]), warnings.catch_warnings():
        warnings.simplefilter("error")  # as for a glyph that is missing
        figure, axes = new_axes((2, 1))
        axes.set_title("topic 中文")
        save_figure(figure, tmp_path / "made.png")


@pytest.mark.usefixtures("machine")
def test_a_script_without_font_is_told_once_and_the_figure_made(tmp_path: Path, caplog) -> None:
    for _ in range(2):
        with paper_style(["한국어 中", "한국"]):
            figure, axes = new_axes((2, 1))
            axes.set_title("한국어 中")
            assert save_figure(figure, tmp_path / "made.png").exists()
    (told,) = caplog.messages
    assert "no font of this machine has Korean (3 characters, such as U+AD6D)" in told
    assert "fonts-noto-cjk" in told
    assert [fonts.script_of(letter) for letter in "中かカ한ع\u0915"] == [
        "Chinese",
        "Japanese",
        "Japanese",
        "Korean",
        "Arabic",
        "Devanagari",
    ]


def test_a_matplotlib_that_joins_no_letters_says_so(monkeypatch: pytest.MonkeyPatch, caplog) -> None:
    monkeypatch.setattr(fonts, "can_shape", lambda: False)
    fonts._warn_of_shaping.cache_clear()
    fonts.families_for(["العربية and Latin"])
    assert "does not join and order the letters of Arabic" in caplog.text
    assert "Latin," not in caplog.text
