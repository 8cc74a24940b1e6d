"""The most tests that continuous integration may skip: hooks of pytest, which conftest.py takes over.

A test that is skipped proves nothing and says nothing, so that a package lost from an image would pass for
years. Elsewhere, where an extra or a corpus may well be missing, any number is skipped.
"""

from __future__ import annotations

import os

import pytest

MAX_SKIPPED = 9  # 8 read corpora that a clone alone does not have, and 1 wants a machine without a GPU


def beyond_ceiling(config: pytest.Config) -> list[str]:
    """Places and reasons of the skipped tests if they are too many, else nothing."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    skipped = reporter.stats.get("skipped", []) if reporter else []
    if not os.environ.get("CI") or len(skipped) <= MAX_SKIPPED:
        return []
    return [f"{report.nodeid}: {report.longrepr[2]}" for report in skipped]


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail the session that skipped too many."""
    if beyond_ceiling(session.config) and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say why, and name every skipped test."""
    if skipped := beyond_ceiling(config):
        terminalreporter.section("too many skipped tests", red=True)
        terminalreporter.line(
            f"{len(skipped)} tests were skipped, but tests/support/skips.py allows {MAX_SKIPPED} where CI "
            "is set; install what they miss:"
        )
        for place in skipped:
            terminalreporter.line(place)
