"""page.html in headless Chromium, as a reader sees and uses it, without a network."""

from __future__ import annotations

import json
import re
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from chromium import launched, open_map, require_browser, wait_until
from descriptions import NASTY, write_folder
from PIL import Image

from topiclab.report.description import read_description
from topiclab.report.language import LANGUAGES
from topiclab.report.page.render import render_page, shown_rows, write_page


@pytest.fixture(scope="module")
def browser() -> Iterator:
    require_browser()
    with launched() as chromium:
        yield chromium


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_page(write_folder(tmp_path_factory.mktemp("small")), "A <small> map & more")


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_page(write_folder(tmp_path_factory.mktemp("large"), 50_000, 40), "Fifty thousand")


@pytest.fixture
def opened(browser) -> Iterator:
    """Yield a function that opens a page; checks at the end for no error and no request but for its file."""
    troubles: list[str] = []
    contexts = []

    def open_page(path: Path, width: int = 1280, height: int = 800, fragment: str = "", **options):
        context = browser.new_context(
            viewport={"width": width, "height": height}, reduced_motion="reduce", **options
        )
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on("console", lambda said: troubles.append(said.text) if said.type == "error" else None)
        page.on(
            "request", lambda asked: None if asked.url.startswith("file:") else troubles.append(asked.url)
        )
        open_map(page, path, fragment)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert troubles == []


def place_of(page, row: int) -> tuple[float, float]:
    """Screen position of a document once the view has come to rest."""
    wait_until(page, "topicMap.view.flight === 0")
    left, top = page.evaluate(f"topicMap.screenOf({row})")
    return left, top


def test_hover_shows_title_and_topic(opened, small: Path) -> None:
    page = opened(small)
    page.evaluate("topicMap.view.zoomBy(3, ...topicMap.screenOf(10))")  # so that points are apart
    page.mouse.move(*place_of(page, 10))
    page.wait_for_selector("#tooltip:not([hidden])")
    told = page.text_content("#tooltip")
    assert "On the protein of study number 10" in told
    assert "2020-10-27" in told
    page.mouse.move(2, 700)
    page.wait_for_selector("#tooltip", state="hidden")


def test_click_on_a_point_shows_its_document_and_topic(opened, small: Path) -> None:
    page = opened(small)
    page.evaluate("topicMap.view.zoomBy(3, ...topicMap.screenOf(10))")
    page.mouse.click(*place_of(page, 10))
    page.wait_for_selector("#document")
    assert "number 10" in page.text_content("#document h2")
    assert "doc.00010" in page.text_content("#document")
    assert page.text_content(".topic h2") == "protein"
    shown = page.text_content(".topic")
    for part in ("protein term9", "protein0, protein1", "60 documents", "25 % of all text", "emerging"):
        assert part in shown
    assert page.locator("#examples button").count() == 3
    assert page.locator(".time path").count() == 2
    assert page.locator(".tree button[aria-current=true]").text_content() == "protein"
    assert "topic=2" in page.url
    page.keyboard.press("Escape")
    assert page.locator(".topic").count() == 0


def test_the_list_leads_to_topics_and_examples_to_their_points(opened, small: Path) -> None:
    page = opened(small)
    assert page.locator("button.row").count() == 4
    page.click("button.row[data-topic='3']")
    assert page.text_content(".topic h2") == "market"
    wait_until(page, "topicMap.view.zoom > 1.2")
    first = page.text_content("#examples li:first-child .title")
    page.click("text=diverse")
    assert page.text_content("#examples li:last-child .title") == first
    page.click("#examples li:first-child button")
    assert page.text_content("#document h2") == "On the market of study number 11"
    left, top = place_of(page, 11)
    assert (left, top) == pytest.approx((440, 400), abs=1)  # the middle of the stage
    page.click(".tree button >> nth=0")
    assert page.text_content(".topic h2") == "ocean"
    page.click("#home")
    wait_until(page, "Math.abs(topicMap.view.zoom - 1) < 0.001")


def test_search_lists_and_highlights(opened, small: Path) -> None:
    page = opened(small)
    page.keyboard.press("/")
    page.keyboard.type("Márket number")  # accents and case do not matter, all words must occur
    page.wait_for_selector("#hits mark")
    expected = [row for row in range(len(NASTY), 240) if row % 4 == 3]
    assert page.text_content("#content > h3 >> nth=-1").startswith(f"{len(expected)} documents")
    assert page.evaluate("topicMap.state.found.rows") == expected
    assert page.text_content("#hits mark") == "market"
    assert f"{len(expected)} documents" in page.text_content("#said")
    page.keyboard.press("Enter")
    assert "number 7" in page.text_content("#document h2")
    page.click("text=← Results")
    assert page.locator("#hits").count() == 1
    page.fill("#query", "market term3")
    page.wait_for_selector("button.row[data-topic='3']")
    assert page.locator("button.row").count() == 1
    page.fill("#query", "nowhere to be found")
    page.wait_for_selector("text=Nothing has all of these words")
    page.keyboard.press("Escape")
    assert page.locator("button.row").count() == 4


def test_markup_of_documents_is_text(opened, small: Path) -> None:
    page = opened(small)
    for row, title in enumerate(NASTY):
        page.evaluate(f"topicMap.choose({row % 4}, {row}, true)")
        assert page.text_content("#document h2") == title
        page.mouse.move(*place_of(page, row))
        wait_until(page, f"topicMap.state.hover === {row}")
        assert page.text_content("#tooltip strong") == title
    page.evaluate("topicMap.ask('script', true)")
    assert page.text_content("#hits .title") == NASTY[0]
    assert page.evaluate("window.broken") is None
    assert page.locator("#stage img, #panel img, #panel script, #panel b:has-text('study')").count() == 0
    assert page.title() == "A <small> map & more"
    assert page.text_content("h1") == "A <small> map & more"


def test_the_policy_stops_scripts_and_requests(opened, small: Path, browser) -> None:
    context = browser.new_context()
    page = context.new_page()
    refused: list[str] = []
    page.on("console", lambda said: refused.append(said.text))
    open_map(page, small)
    page.evaluate(
        """() => {
            const script = document.createElement("script");
            script.textContent = "window.broken = 3";
            document.body.append(script);
            return fetch("https://example.org/").catch(() => null);
        }"""
    )
    assert page.evaluate("window.broken") is None
    assert sum("Content Security Policy" in text for text in refused) >= 2
    context.close()


def seen(page, colours: str) -> list[bool]:
    """True for each of these colours, a list of the page, that nearly opaque dots on the map have."""
    return page.evaluate(
        f"""() => {{
            const map = document.getElementById("points"), copy = document.createElement("canvas");
            [copy.width, copy.height] = [map.width, map.height];
            topicMap.draw(); // a WebGL canvas can be read only right after
            const pen = copy.getContext("2d");
            pen.drawImage(map, 0, 0);
            const {{ data }} = pen.getImageData(0, 0, copy.width, copy.height);
            return ({colours}).map((hex) => {{
                const asked = [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
                let found = 0;
                for (let at = 0; at < data.length; at += 4) {{
                    const apart = asked.reduce((sum, part, i) => sum + Math.abs(part - data[at + i]), 0);
                    found += data[at + 3] > 180 && apart < 12;
                }}
                return found > 20;
            }});
        }}"""
    )


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_points_are_drawn_in_the_colours_of_topics_and_labels(opened, small: Path, scheme: str) -> None:
    page = opened(small, color_scheme=scheme)
    topics, labels = "topicMap.map.topics.map((topic) => topic.colour)", "topicMap.map.label_colours"
    assert seen(page, topics) == [True] * 4
    page.evaluate("topicMap.choose(1)")
    assert seen(page, topics) == [False, True, False, False]
    page.evaluate("topicMap.choose(-1)")
    page.click("text=Labels")
    assert page.locator("#legend button").count() == 2
    assert "even80" in page.text_content("#legend")
    assert seen(page, labels) == [True, True]
    page.click("#legend button >> nth=1")
    assert page.get_attribute("#legend button >> nth=1", "aria-pressed") == "true"
    assert seen(page, labels) == [False, True]


def test_keys_move_zoom_and_read_the_time_line(opened, small: Path) -> None:
    page = opened(small, fragment="#topic=2")
    assert page.text_content(".topic h2") == "protein"
    page.focus("#points")
    before = page.evaluate("[topicMap.view.x, topicMap.view.scale]")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("+")
    after = page.evaluate("[topicMap.view.x, topicMap.view.scale]")
    assert after[0] > before[0]
    assert after[1] == pytest.approx(1.4 * before[1])
    page.focus(".time svg")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert page.text_content(".time p") == "2020-02: 1 document, 21 %: wave, tide"
    page.focus(".topic .terms button")
    page.keyboard.press("Enter")
    assert page.input_value("#query") == "protein"


def test_address_opens_a_topic_found_by_a_search(opened, small: Path) -> None:
    page = opened(small, fragment="#topic=2&q=market")
    assert page.input_value("#query") == "market"
    assert page.text_content(".topic h2") == "protein"
    assert page.text_content("#back") == "← Results"
    assert page.evaluate("location.hash") == "#topic=2&q=market"


def test_charts_of_the_run_and_its_language_are_on_the_page(opened, tmp_path: Path) -> None:
    charts = tmp_path / "figures"
    charts.mkdir()
    Image.new("RGB", (64, 32), "red").save(charts / "training.png")
    listed = [
        {"name": "training", "title": "Losses", "file": "training.png", "reason": ""},
        {"name": "flow", "title": "Flow", "file": "", "reason": "no dates"},
    ]
    content = {"language": "zh", "charts": listed}
    (charts / "figures.json").write_text(json.dumps(content))
    folder = write_folder(tmp_path / "description", 30, 3)
    page = opened(write_page(folder, "Charts", say=LANGUAGES["zh"], charts=charts))
    assert page.text_content("#facts").startswith("30 篇文档 · 3 个主题 · 2020-01 至 2020-12")
    page.click("#charts")
    wait_until(page, "document.querySelector('#gallery img')?.naturalWidth === 64")
    assert page.text_content("#gallery") == "LossesFlow: no dates"
    page.keyboard.press("Escape")
    assert page.is_hidden("#gallery")
    english = opened(write_page(folder, "Charts", charts=charts))  # charts in another language stay out
    assert english.is_hidden("#charts")
    (charts / "figures.json").write_text("{")
    with pytest.raises(ValueError, match="draw them again"):
        write_page(folder, "Charts", charts=charts)


@pytest.mark.parametrize(("num_docs", "num_topics"), [(30, 3), (1, 1)])
def test_narrow_and_without_tree_time_or_labels(
    opened, tmp_path: Path, num_docs: int, num_topics: int
) -> None:
    folder = write_folder(tmp_path, num_docs, num_topics, is_dated=False, has_labels=False, has_tree=False)
    page = opened(write_page(folder, "Plain"), 390, 780)
    assert page.is_hidden("#colour")
    page.click("button.row >> nth=0")
    assert page.locator(".time, .tree").count() == 0
    stage, panel = page.locator("#stage").bounding_box(), page.locator("#panel").bounding_box()
    assert stage["width"] == panel["width"] == 390
    assert panel["y"] >= stage["height"] - 1
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    assert page.evaluate("document.getElementById('content').scrollWidth <= 390")


def test_fingers_zoom_and_choose(opened, small: Path) -> None:
    page = opened(small, 390, 780, has_touch=True, is_mobile=True, device_scale_factor=2)
    session = page.context.new_cdp_session(page)

    def touch(kind: str, *places: tuple[int, int]) -> None:
        points = [{"x": x, "y": y, "id": number} for number, (x, y) in enumerate(places)]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    touch("touchStart", (150, 200), (240, 200))
    for step in range(0, 60, 10):
        touch("touchMove", (150 - step, 200), (240 + step, 200))
    touch("touchEnd")
    assert page.evaluate("topicMap.view.zoom") == pytest.approx(190 / 90, rel=0.02)
    page.evaluate("topicMap.choose(2, 10, true)")
    left, top = place_of(page, 10)
    page.evaluate("topicMap.choose(-1)")
    page.touchscreen.tap(left, top)
    page.wait_for_selector("#document")
    assert page.text_content(".topic h2") == "protein"


def test_without_webgl_the_lists_still_work(browser, small: Path) -> None:
    page = browser.new_page()
    page.add_init_script(
        """const found = HTMLCanvasElement.prototype.getContext;
        HTMLCanvasElement.prototype.getContext = function (kind, ...rest) {
            return kind === "webgl2" ? null : found.call(this, kind, ...rest);
        };"""
    )
    open_map(page, small)
    assert "draws no WebGL2" in page.text_content("#notice")
    page.click("button.row >> nth=0")
    assert page.locator("#examples button").count() == 3
    page.close()


def test_fifty_thousand_points(opened, large: Path, record_property) -> None:
    assert large.stat().st_size < 20e6
    page = opened(large)
    assert page.evaluate("topicMap.map.num_shown") == 50_000
    frames = page.evaluate(
        """async () => {
            const times = [];
            for (let turn = 0; turn < 40; turn += 1) {
                if (turn % 2) topicMap.view.move(6, 3);
                else topicMap.view.zoomBy(turn < 20 ? 1.06 : 1 / 1.06);
                const start = performance.now();
                await new Promise(requestAnimationFrame);
                times.push(performance.now() - start);
            }
            return times;
        }"""
    )
    found = page.evaluate(
        """() => {
            const start = performance.now();
            topicMap.ask('number 1234');
            return performance.now() - start;
        }"""
    )
    expected = sum("1234" in str(row) for row in range(50_000))
    assert page.text_content("#content > h3 >> nth=-1").startswith(f"{expected} documents")
    record_property("ms_per_frame", statistics.median(frames))
    print(
        f"50,000 points: {large.stat().st_size / 1e6:.1f} MB, {statistics.median(frames):.0f} ms a frame "
        f"(at most {max(frames):.0f}), {found:.0f} ms a search"
    )


def test_the_page_is_the_same_each_time_and_holds_no_address(small: Path) -> None:
    text = small.read_text(encoding="utf-8")
    assert text == render_page(read_description(small.parent), "A <small> map & more")
    assert set(re.findall(r"https?://[^\s\"')]+", text)) <= {"http://www.w3.org/2000/svg"}
    assert "<script>window" not in text
    assert text.count("</script>") == 7


def test_a_sample_keeps_the_examples(tmp_path: Path) -> None:
    description = read_description(write_folder(tmp_path, 2000, 4))
    rows = shown_rows(description, 100)
    assert len(rows) == 100
    assert np.all(np.diff(rows) > 0)
    assert {0, 1, 2, 3, 8, 11} <= set(rows.tolist())
    assert "2,000" not in render_page(description, "x", 100)


def test_what_cannot_be_shown_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"holds no topics\.json; describe the run first"):
        write_page(tmp_path, "Nothing")
    folder = write_folder(tmp_path / "wrong")
    told = json.loads((folder / "topics.json").read_text())
    (folder / "topics.json").write_text(json.dumps(told | {"num_topics": 3, "topics": told["topics"][:3]}))
    with pytest.raises(
        ValueError, match=r"documents\.parquet has topics 0 to 3, but topics\.json has 0 to 2"
    ):
        write_page(folder, "Wrong")
    (folder / "tree.json").write_text("{")
    (folder / "topics.json").write_text(json.dumps(told))
    with pytest.raises(ValueError, match=r"tree\.json cannot be read"):
        write_page(folder, "Broken")
    (folder / "documents.parquet").write_bytes(b"PAR1")
    with pytest.raises(ValueError, match=r"documents\.parquet cannot be read"):
        write_page(folder, "Broken")


def test_page_and_map_load_nothing_heavy() -> None:
    heavy = "{'torch', 'sklearn', 'pyarrow', 'matplotlib', 'hydra', 'umap'}"
    modules = "topiclab.report.page.render, topiclab.report.figures.map_figure"
    code = f"import sys, {modules}; print({heavy} & set(sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "set()"
