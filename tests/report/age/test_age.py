"""Ages of tables: named is what changed since, but nothing that cannot change a number."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from places import REPO

from topiclab.report.age.__main__ import main
from topiclab.report.age.rows import with_measured
from topiclab.report.age.tables import read_measured, result_files
from topiclab.report.age.tree import Checkout
from topiclab.report.tables.provenance import provenance_path, sheet_hashes

EXPERIMENTS = REPO / "experiments"
FILES = {
    "conf/config.yaml": "defaults:\n  - model: kmeans\n  - data: lee\n  - task: fit\nseed: 0\n",
    "conf/model/kmeans.yaml": "name: kmeans\n_target_: topiclab.models.kmeans.KMeans\nmax_iter: 9 # most\n",
    "conf/model/lda.yaml": "name: lda\n_target_: topiclab.models.lda.LDA\n",
    "conf/data/lee.yaml": "name: lee\nsource: lee\n",
    "conf/task/fit.yaml": "task:\n  name: fit\n  _target_: topiclab.tasks.fit.fit\n",
    "topiclab/tasks/fit.py": "from topiclab.metrics.purity import purity\n\n\ndef fit(): return purity()\n",
    "topiclab/metrics/purity.py": 'def purity():\n    """Share."""\n    return 1\n',
    "topiclab/models/kmeans.py": (
        "from topiclab.nn.lloyd import lloyd\n\n\nclass KMeans:\n    def fit(self):\n        return lloyd()\n"
    ),
    "topiclab/models/lda.py": "class LDA:\n    pass\n",
    "topiclab/nn/words/list.txt": "the\n",
    "topiclab/nn/lloyd.py": (
        'WORDS = "words"\n\n\ndef lloyd():\n    return 1\n\n\ndef start():\n    return 2\n'
    ),
    "experiments/README.md": (
        "| paper: table | yaml | command | cells | hours | result |\n| --- | --- | --- | --- | --- | --- |\n"
        "| ours | `own/quality.yaml` | `make own` | 2 | 0.1 | [quality.csv](own/quality.csv) |\n"
    ),
    "experiments/own/quality.yaml": (
        "# @package _global_\ndefaults: [/config, _self_]\nname: own\n"
        "hydra:\n  sweeper:\n    params:\n      model: kmeans\n      seed: 0,1\n"
    ),
    "experiments/own/quality.csv": "model,npmi\nkmeans,0.1\n",
}


def git(root: Path, *words: str) -> None:
    own = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", "-C", str(root), *own, *words], check=True, capture_output=True)


def write(root: Path, path: str, text: str) -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(text)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A small checkout with one table, whose provenance is adopted."""
    for path, text in FILES.items():
        write(tmp_path, path, text)
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "-m", "Keep a table")
    assert main(["--root", str(tmp_path), "--adopt", "--strict"]) == 0
    return tmp_path


def changed(checkout: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """Check the lines and the exit code of the command."""
    capsys.readouterr()
    code = main(["--root", str(checkout), "--strict", "--all"])
    lines = capsys.readouterr().out.splitlines()
    found = next((line.strip() for line in lines if line.startswith("  changed")), "unchanged")
    assert code == (found != "unchanged")
    assert "  unchanged since" in lines or code
    return found


def test_a_changed_model_and_what_it_imports_are_named(
    checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(checkout, "topiclab/models/lda.py", "class LDA:\n    other = True\n")  # of no cell
    assert changed(checkout, capsys) == "unchanged"
    write(checkout, "topiclab/nn/lloyd.py", FILES["topiclab/nn/lloyd.py"].replace("return 1", "return 3"))
    assert changed(checkout, capsys) == "changed since: nn/lloyd.py (1 file)"
    write(checkout, "topiclab/metrics/purity.py", "def purity():\n    return 0\n")
    write(checkout, "topiclab/nn/words/list.txt", "a\n")
    write(checkout, "conf/model/kmeans.yaml", FILES["conf/model/kmeans.yaml"].replace("9", "8"))
    git(checkout, "add", ".")
    git(checkout, "commit", "--quiet", "-m", "Change what cells run")
    found = changed(checkout, capsys)
    files = "conf/model/kmeans.yaml, metrics/purity.py, nn/lloyd.py, nn/words/list.txt"
    assert found == f"changed since: {files} (4 files)"


def test_words_and_places_are_no_change(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(
        checkout,
        "topiclab/metrics/purity.py",
        'def purity():  # of topics\n    """Other."""\n    return (1)\n',
    )
    write(checkout, "conf/model/kmeans.yaml", "uses: [vectors]\n" + FILES["conf/model/kmeans.yaml"])
    (checkout / "topiclab/nn/lloyd.py").unlink()  # split in two, and moved
    write(checkout, "topiclab/nn/means/own.py", "def lloyd():\n    return 1\n")
    write(checkout, "topiclab/nn/means/start.py", "def start():\n    return 2\n")
    moved = FILES["topiclab/models/kmeans.py"].replace("topiclab.nn.lloyd", "topiclab.nn.means.own")
    write(checkout, "topiclab/models/kmeans.py", moved)
    (checkout / "experiments/own/quality.yaml").rename(checkout / "experiments/own/first.yaml")
    provenance = checkout / "experiments/own/quality.provenance.json"
    provenance.write_text(provenance.read_text().replace("own/quality", "own/first"))
    assert changed(checkout, capsys) == "unchanged"
    write(checkout, "topiclab/nn/means/own.py", "def lloyd():\n    return 4\n")
    assert changed(checkout, capsys) == "changed since: nn/means/own.py (1 file)"


def test_adopted_provenance_is_of_the_commit_that_wrote_the_numbers(
    checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = Checkout(checkout).git("rev-parse", "HEAD").strip()
    (checkout / "experiments/results").mkdir()
    git(checkout, "mv", "experiments/own/quality.csv", "experiments/results/quality.csv")
    git(checkout, "commit", "--quiet", "-m", "Move the table")
    assert main(["--root", str(checkout), "--adopt"]) == 0
    facts = json.loads((checkout / "experiments/results/quality.provenance.json").read_text())
    assert facts["committed"]["quality.csv"]["revision"] == first
    assert facts["revisions"] == {}
    assert "unknown" in facts["note"]


def test_a_commit_that_the_clone_lacks_is_told(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    provenance = checkout / "experiments/own/quality.provenance.json"
    facts = json.loads(provenance.read_text())
    facts |= {
        "committed": {},
        "revisions": {"a" * 40: 2},
        "measured": {"first": "2026-11-20", "last": "2026-11-21"},
    }
    provenance.write_text(json.dumps(facts))
    capsys.readouterr()
    assert main(["--root", str(checkout), "--strict"]) == 1
    assert "aaaaaaa is not in this clone" in capsys.readouterr().out


def test_rows_show_commit_and_day(checkout: Path) -> None:
    assert main(["--root", str(checkout), "--write"]) == 0
    measured = read_measured(checkout / "experiments", checkout / "experiments/own/quality.csv")
    assert measured is not None
    text = (checkout / "experiments/README.md").read_text()
    assert f"[quality.csv](own/quality.csv) | before {measured.commits[0][:7]}, {measured.last} |" in text
    assert main(["--root", str(checkout), "--write"]) == 0
    assert (checkout / "experiments/README.md").read_text() == text


@pytest.mark.parametrize(
    "path", result_files(EXPERIMENTS), ids=lambda path: f"{path.parent.name}/{path.name}"
)
def test_every_result_has_a_provenance(path: Path) -> None:
    assert read_measured(EXPERIMENTS, path), f"{path}: make it again by its target, or see make results-check"
    kept = json.loads(provenance_path(path).read_text(encoding="utf-8"))
    assert kept["sha256"] == sheet_hashes(path), f"{path} is not as it was written; make it again"


def test_the_readme_shows_what_the_provenance_says() -> None:
    text = (EXPERIMENTS / "README.md").read_text(encoding="utf-8")
    renewed = with_measured(text, lambda path: read_measured(EXPERIMENTS, EXPERIMENTS / path))
    assert renewed == text, "run make results-check ARGS=--write"
