"""Inputs of a finished run: what its files held decides whether it may be handed out again."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from places import REPO

import topiclab
from topiclab.config.compose import ConfigError, compose
from topiclab.runs.contents import content_of, difference
from topiclab.runs.inputs import named_inputs
from topiclab.runs.run import run_cell

ANIMALS, REST = ("fox", "hen", "cow"), ("runs here", "runs there", "sits here", "sits there")
MONDAY = "\n".join(f"{animal} {rest} today" for animal in ANIMALS for rest in REST)
TUESDAY = MONDAY.replace("fox", "owl")
SMALL = [
    "data=file",
    "data.path=feed.txt",
    "data.vocabulary.min_df=1",
    "data.split.val=0",
    "data.split.test=0",
]
LINE = [*SMALL, "num_topics=2", "trainer.device=cpu", "paths.cache=cache", "paths.outputs=out"]


@pytest.fixture(autouse=True)
def _feed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("feed.txt").write_text(MONDAY)


def fit(*overrides: str, folder: str = "run", model: str = "nmf") -> Any:
    return run_cell(compose([*LINE, f"model={model}", *overrides]), Path(folder))


def test_a_changed_file_stops_the_same_line_and_rerun_replaces() -> None:
    first = fit()
    assert fit() == first
    os.utime("feed.txt")
    assert fit() == first  # written anew with the same content
    Path("feed.txt").write_text(TUESDAY)  # of the same size
    with pytest.raises(ConfigError, match=r"data\.path=feed\.txt has changed .*name=\.\.\.\).* rerun=true"):
        fit()
    again = fit("rerun=true")
    assert again["inputs"]["feed.txt"]["sha256"] != first["inputs"]["feed.txt"]["sha256"]
    assert "owl" in Path("run/topics.txt").read_text()
    assert "rerun" not in again["config"]
    assert fit() == again


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        *product(("topics.npz", "model.safetensors", "topics.txt"), ("flipped", "missing")),
        ("result.json", "flipped"),
    ],
)
def test_a_damaged_file_of_a_finished_run_is_noticed(name: str, damage: str) -> None:
    first = fit()
    path = Path("run", name)
    stat, content = path.stat(), bytearray(path.read_bytes())
    if damage == "missing":
        path.unlink()
    else:
        place = content.index(b"0.") + 2 if name == "result.json" else len(content) // 2
        content[place] ^= 1
        path.write_bytes(content)
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    for use in (fit, lambda: topiclab.load("run")):
        with pytest.raises(ValueError, match=rf"run/{name} .*rerun=true"):
            use()
    assert fit("rerun=true")["metrics"] == first["metrics"]


def test_vectors_and_prediction_are_of_their_files() -> None:
    rng = np.random.default_rng(0)
    np.save("vectors.npy", rng.standard_normal((12, 4)).astype(np.float32))
    given = ["embedder=precomputed", "embedder.path=vectors.npy"]
    fit(*given, model="kmeans")
    predict = compose([*LINE[:5], "task=predict", "run=run", *LINE[6:]])
    shutil.copy("feed.txt", "other.txt")
    predict["data"]["path"] = "other.txt"
    fit(folder="fitted")
    predict["run"] = "fitted"
    found = run_cell(predict, Path("predicted"))
    assert set(found["inputs"]) == {"other.txt", "fitted/result.json"}
    Path("feed.txt").write_text(MONDAY + " ")  # which only the fit has read
    assert run_cell(predict, Path("predicted")) == found
    Path("other.txt").write_text(TUESDAY)
    with pytest.raises(ConfigError, match=r"data\.path=other\.txt has changed"):
        run_cell(predict, Path("predicted"))
    Path("feed.txt").write_text(MONDAY)
    np.save("vectors.npy", rng.standard_normal((12, 4)).astype(np.float32))
    with pytest.raises(ConfigError, match=r"embedder\.path=vectors\.npy has changed"):
        fit(*given, model="kmeans")


def test_hardware_that_the_line_asks_for_is_what_was_used() -> None:
    first = fit(model="kmeans")
    assert first["hardware"] == {"device": "cpu", "num_threads": 1, "precision": "fp32"}
    assert fit("trainer.device=auto", "trainer.num_threads=null", model="kmeans") == first
    for asked, told in (
        ("trainer.num_threads=2", r"trainer\.num_threads has changed from 1 to 2"),
        ("trainer.device=cuda", r"trainer\.device has changed from cpu to cuda"),
    ):
        with pytest.raises(ConfigError, match=told):
            fit(asked, model="kmeans")


def test_a_result_of_an_earlier_version_is_reused() -> None:
    result = fit()
    older = {
        name: value
        for name, value in result.items()
        if name not in ("inputs", "hardware", "files", "checksum")
    }
    Path("run/result.json").write_text(json.dumps(older))
    Path("feed.txt").write_text(TUESDAY)
    Path("run/topics.txt").unlink()
    assert fit("trainer.num_threads=2") == older


def test_folders_name_the_file_that_changed(tmp_path: Path) -> None:
    folder, kept = tmp_path / "texts", tmp_path / "kept"
    (folder / "a").mkdir(parents=True)
    for name in ("a/one.txt", "two.txt"):
        (folder / name).write_text(name)
    found = content_of(folder, kept)
    assert found["files"] == 2
    assert difference(folder, found, kept) is None
    os.utime(folder / "two.txt")
    assert difference(folder, found, kept) is None
    (folder / "a/one.txt").write_text("ONE")
    assert difference(folder, found, kept) == "has changed: a/one.txt differs"
    (folder / "a/more.txt").write_text("more")
    assert "a/more.txt was added, and so with 1 more files" in str(difference(folder, found, kept))
    shutil.rmtree(folder)
    assert difference(folder, found, kept) is None  # gone: nothing says that the run is wrong


def test_a_large_file_is_hashed_once_for_all_cells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, kept = tmp_path / "large.bin", tmp_path / "kept"
    path.write_bytes(bytes(2 << 20))
    hour = time.time() - 3600
    os.utime(path, (hour, hour))
    first = content_of(path, kept)
    monkeypatch.setattr("topiclab.runs.contents.sha256_once", None)
    assert content_of(path, kept) == first
    (store,) = kept.iterdir()
    store.write_text(store.read_text().replace(str(first["sha256"])[:8], "00000000"))
    with pytest.raises(TypeError):  # a damaged store is not believed
        content_of(path, kept)


def test_inputs_are_found_by_their_rules_not_by_a_list() -> None:
    Path("lee").mkdir()  # a name of an option is not a place
    Path("words.d").mkdir()
    Path("words.d/stop.txt").write_text("the")
    cfg = compose([*LINE, "model=nmf", "reference.path=words.d", "+data.anything=words.d/stop.txt"])
    assert {facts["key"] for facts in named_inputs(cfg).values()} == {
        "data.path",
        "reference.path",
        "data.anything",
    }


def test_a_finished_run_that_cannot_be_written_is_reused() -> None:
    """One line says so, as the case of the changed file does through the command line."""
    environment = {**os.environ, "PYTHONPATH": str(REPO), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "topiclab", *LINE, "model=nmf"]

    def line(*more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*command, *more], env=environment, capture_output=True, text=True, check=False)

    assert line().returncode == 0
    (log,) = Path("out").rglob("run.log")
    before = log.read_bytes()
    for path in Path("out").rglob("*"):
        path.chmod(0o555 if path.is_dir() else 0o444)
    again = line()
    assert (again.returncode, again.stderr) == (0, "")
    assert "INFO topiclab: reused" in again.stdout
    assert log.read_bytes() == before  # Hydra did not open it
    Path("feed.txt").write_text(TUESDAY)
    changed = line()
    assert changed.returncode == 2
    assert changed.stderr.startswith("data.path=feed.txt has changed")
    assert changed.stderr.count("\n") == 1
