"""Headless Chromium for tests of the page: the installed browser, none is downloaded.

Where it or playwright is missing, tests of the page are skipped; in continuous integration they fail.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import pytest

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


def require_browser() -> None:
    """Skip the test, or fail it in continuous integration, if there is no browser to drive."""
    missing = "chromium" if CHROMIUM is None else None if find_spec("playwright") else "playwright"
    if missing is None:
        return
    if os.environ.get("CI"):
        pytest.fail(
            f"{missing} is missing, and CI={os.environ['CI']} requires tests of the page; install it",
            pytrace=False,
        )
    pytest.skip(f"{missing} is missing")


@contextmanager
def launched() -> Iterator:
    """Yield the browser, closed when the block ends."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield browser
        browser.close()


def open_map(page, path: Path, fragment: str = "") -> None:
    """Open a page.html and wait until its texts are loaded."""
    page.goto(path.resolve().as_uri() + fragment)
    page.wait_for_selector("html[data-ready]", timeout=MILLISECONDS_TO_OPEN)


def wait_until(page, claim: str) -> None:
    """Wait until the claim holds after a frame; the page's policy forbids Playwright's wait_for_function."""
    page.evaluate(f"async () => {{ while (!({claim})) await new Promise(requestAnimationFrame); }}")
