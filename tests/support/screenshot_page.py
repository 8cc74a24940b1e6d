"""Screenshot of a page: `python tests/support/screenshot_page.py PAGE.html OUT.png [--search TEXT]`."""

from __future__ import annotations

import argparse
import io
from pathlib import Path

from chromium import launched, open_map, wait_until
from PIL import Image

COLOURS = 255


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("page", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--topic", type=int, help="that is chosen")
    parser.add_argument("--hover", type=int, help="row of the document under the pointer")
    parser.add_argument("--search", default="", help="what is searched for")
    parser.add_argument("--size", type=int, nargs=2, default=(1280, 800), metavar=("WIDTH", "HEIGHT"))
    parser.add_argument("--dark", action="store_true")
    args = parser.parse_args()
    with launched() as browser:
        page = browser.new_page(
            viewport={"width": args.size[0], "height": args.size[1]},
            color_scheme="dark" if args.dark else "light",
            reduced_motion="reduce",
        )
        open_map(page, args.page)
        if args.search:
            page.evaluate("text => topicMap.ask(text, true)", args.search)
        if args.topic is not None:
            page.evaluate("topic => topicMap.choose(topic)", args.topic)
        if args.hover is not None:
            stage = page.locator("#stage").bounding_box()
            left, top = page.evaluate("row => topicMap.screenOf(row)", args.hover)
            page.mouse.move(stage["x"] + left, stage["y"] + top)
            page.wait_for_selector("#tooltip:not([hidden])")
        wait_until(page, "topicMap.frame === 0 && topicMap.view.flight === 0")
        picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    picture.quantize(COLOURS, dither=Image.Dither.NONE).save(args.out, optimize=True)
    print(f"{args.out}: {args.out.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
