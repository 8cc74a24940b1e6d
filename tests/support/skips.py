"""Limit of tests that continuous integration may skip: pytest hooks, imported by conftest.py.

A skipped test proves nothing and raises no alarm, so a package missing from an image could go unnoticed for
years. Elsewhere, where an extra or a corpus may well be missing, any number may be skipped.
"""

from __future__ import annotations

import os

import pytest

MAX_SKIPPED = 9  # 8 read corpora that a bare clone does not have, and 1 needs a machine without a GPU


def beyond_ceiling(config: pytest.Config) -> list[str]:
    """Places and reasons of the skipped tests if there are too many, else empty."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    skipped = reporter.stats.get("skipped", []) if reporter else []
    if not os.environ.get("CI") or len(skipped) <= MAX_SKIPPED:
        return []
    return [f"{report.nodeid}: {report.longrepr[2]}" for report in skipped]


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail the session if it skipped too many."""
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
