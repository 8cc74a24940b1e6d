"""Headless Chromium as an installed browser, for the page: none is downloaded."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--use-gl=swiftshader",  # WebGL in software
    "--enable-unsafe-swiftshader",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
MILLISECONDS_TO_OPEN = 60_000


@contextmanager
def launched() -> Iterator:
    """The browser; it ends with the block."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield browser
        browser.close()


def open_map(page, path: Path, fragment: str = "") -> None:
    """Open a page.html and wait until its texts are there."""
    page.goto(path.resolve().as_uri() + fragment)
    page.wait_for_selector("html[data-ready]", timeout=MILLISECONDS_TO_OPEN)


def wait_until(page, claim: str) -> None:
    """Until this holds after a frame; the page's policy forbids Playwright's own wait_for_function."""
    page.evaluate(f"async () => {{ while (!({claim})) await new Promise(requestAnimationFrame); }}")
