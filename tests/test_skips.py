"""Continuous integration fails when too many tests are skipped, or any of the page without a browser."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import chromium
import pytest
from places import SUPPORT
from skips import MAX_SKIPPED

SKIPPING = """
import pytest

@pytest.mark.parametrize("number", range({num}))
def test_skipped(number):
    pytest.skip("nothing to test with")

def test_passes():
    assert True
"""


def run(folder: Path, num_skipped: int, **environment: str) -> subprocess.CompletedProcess[str]:
    (folder / "test_made.py").write_text(SKIPPING.format(num=num_skipped))
    kept = {name: value for name, value in os.environ.items() if name != "CI"}
    kept |= {"PYTHONPATH": str(SUPPORT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "skips", "-p", "no:cacheprovider", "test_made.py"],
        cwd=folder,
        env=kept | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_more_skips_than_the_ceiling_fail_in_continuous_integration(tmp_path: Path) -> None:
    found = run(tmp_path, MAX_SKIPPED + 1, CI="true")
    assert found.returncode == pytest.ExitCode.TESTS_FAILED
    assert f"{MAX_SKIPPED + 1} tests were skipped" in found.stdout
    assert f"test_made.py::test_skipped[{MAX_SKIPPED}]: Skipped: nothing to test with" in found.stdout


def test_skips_up_to_the_ceiling_and_those_of_a_developer_pass(tmp_path: Path) -> None:
    assert run(tmp_path, MAX_SKIPPED, CI="true").returncode == pytest.ExitCode.OK
    assert run(tmp_path, MAX_SKIPPED + 1).returncode == pytest.ExitCode.OK


def test_a_missing_browser_fails_in_continuous_integration_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chromium, "CHROMIUM", None)
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="chromium is missing"):
        chromium.require_browser()
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="chromium is missing"):
        chromium.require_browser()
