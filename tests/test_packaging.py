"""The wheel works by itself, and the lock file can be installed by anyone."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version
from places import REPO

LOCK = (REPO / "requirements.lock").read_text(encoding="utf-8").replace(" \\\n", "").splitlines()
HASHES = re.compile(r"(    --hash=sha256:[0-9a-f]{64})+")
# the first releases without a hole that is known
SAFE = {
    "lightning": "2.6.6",
    "torch": "2.10",  # CVE-2026-24747: memory corruption in weights_only loading
    "transformers": "5.3",  # CVE-2026-4372: code from a model's config.json
    "ray": "2.54",
    "filelock": "3.20.3",
    "pillow": "12.2",
}


def run(*command: str, cwd: Path, **environment: str) -> str:
    finished = subprocess.run(
        [sys.executable, *command],
        cwd=cwd,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return finished.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    run("-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(REPO), cwd=folder)
    (path,) = folder.glob("*.whl")
    return path


def test_the_wheel_holds_every_yaml_and_module(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    configs = {f"topiclab/{path.relative_to(REPO).as_posix()}" for path in (REPO / "conf").rglob("*.yaml")}
    package = (path for kind in ("*.py", "*.txt", "assets/*") for path in (REPO / "topiclab").rglob(kind))
    assert configs | {path.relative_to(REPO).as_posix() for path in package} <= names
    assert (
        not {name.split("/")[0] for name in names}
        - {"topiclab"}
        - {f"{wheel.name.rsplit('-', 3)[0]}.dist-info"}
    )


def test_the_wheel_runs_from_an_empty_folder(wheel: Path, tmp_path: Path) -> None:
    target, cwd = tmp_path / "target", tmp_path / "empty"
    cwd.mkdir()
    run("-m", "pip", "install", "--quiet", "--no-deps", "--target", str(target), str(wheel), cwd=cwd)
    where = run("-c", "import topiclab; print(topiclab.__file__)", cwd=cwd, PYTHONPATH=str(target))
    assert Path(where.strip()).is_relative_to(target)
    help_text = run("-m", "topiclab", "--help", cwd=cwd, PYTHONPATH=str(target))
    assert "model=" in help_text
    job = run(
        "-m", "topiclab", "model=prodlda", "num_topics=7", "--cfg", "job", cwd=cwd, PYTHONPATH=str(target)
    )
    assert "num_topics: 7" in job
    assert list(cwd.iterdir()) == []


def test_the_lock_is_public_and_complete(wheel: Path) -> None:
    pins = [line.partition("    --hash")[0] for line in LOCK if line and not line.startswith("#")]
    # no path, no address, no option
    assert all(re.match(r"[a-z0-9._-]+==[^ ]+( ; .+)?$", pin) for pin in pins)
    names = {pin.split("==")[0] for pin in pins}
    assert "torch==2.13.0" in pins  # also matches a local build such as 2.13.0+cpu
    assert "torchvision" not in names  # a build that does not match torch's breaks `import transformers`
    (metadata,) = (name for name in zipfile.ZipFile(wheel).namelist() if name.endswith(".dist-info/METADATA"))
    required = re.findall(
        r"^Requires-Dist: ([\w.-]+)", zipfile.ZipFile(wheel).read(metadata).decode(), re.MULTILINE
    )
    direct = set(required) - {"topiclab"}
    assert len(direct) > 30
    assert direct <= names, "run `make lock`"


def test_every_package_has_a_hash_and_no_floor_admits_a_known_hole(wheel: Path) -> None:
    entries = [line for line in LOCK if line and not line.startswith("#")]
    bare = [entry for entry in entries if not HASHES.fullmatch(entry[entry.find("    --hash") :])]
    assert len(entries) > 200
    assert not bare, "run `make lock`"
    (metadata,) = (name for name in zipfile.ZipFile(wheel).namelist() if name.endswith(".dist-info/METADATA"))
    text = zipfile.ZipFile(wheel).read(metadata).decode()
    required = [Requirement(line) for line in re.findall(r"^Requires-Dist: (.+)$", text, re.MULTILINE)]
    pinned = {entry.split("==")[0]: entry.split("==")[1].split()[0] for entry in entries}
    for name, floor in SAFE.items():
        (found,) = {requirement.specifier for requirement in required if requirement.name == name}
        (lowest,) = (each.version for each in found if each.operator == ">=")
        assert Version(floor) <= Version(lowest) <= Version(pinned[name]), name
