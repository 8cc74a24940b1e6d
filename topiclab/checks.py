"""What a whole configuration must fulfil: every value its rule, and values one another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from topiclab.rules import refused_values

# Module of a model -> the package it needs beyond ours, and the extra that brings it.
EXTRAS = {
    "topiclab.models.gibbs": ("tomotopy", "gibbs"),
    "topiclab.models.bertopic": ("bertopic", "bertopic"),
}


def validate(cfg: Mapping[str, Any]) -> list[str]:
    """Every fault of a plain configuration: the value, the rule, the way out."""
    if faults := refused_values(cfg):
        return faults  # the checks below rely on types
    checks = (
        _check_data,
        _check_mode,
        _check_embedder,
        _check_reference,
        _check_task,
        _check_objective,
        _check_extras,
    )
    return [fault for check in checks for fault in check(cfg)]


def _check_data(cfg: Mapping[str, Any]) -> Iterator[str]:
    data, mode = cfg["data"], cfg["mode"]["name"]
    path, split = data.get("path"), data.get("split", {})
    if path and not Path(path).expanduser().exists():
        yield f"data.path={path}: nothing there, seen from {Path.cwd()}; give an existing file"
    if sum(split.values()) >= 1:
        shares = " and ".join(f"data.split.{name}={share}" for name, share in split.items())
        yield f"{shares} leave no documents to train on; lower one"
    if mode == "supervised" and data["name"] == "lee":
        yield "mode=supervised needs labels, which data=lee has not; use data=20newsgroups or mode=zero_shot"
    if mode == "supervised" and "label_column" in data and data["label_column"] is None:
        yield "mode=supervised needs labels; add data.label_column=<column> or use mode=zero_shot"


def _check_mode(cfg: Mapping[str, Any]) -> Iterator[str]:
    mode, adapt, embedder = cfg["mode"]["name"], cfg["mode"]["adapt"], cfg["embedder"]["name"]
    if adapt and mode == "zero_shot":
        yield f"mode.adapt={adapt} tunes the embedder, but mode=zero_shot keeps it; use mode=unsupervised"
    elif adapt == "supcon" and mode != "supervised":
        yield f"mode.adapt=supcon needs labels, but mode={mode}; use mode=supervised or mode.adapt=simcse"
    if adapt and embedder in ("lsa", "random"):
        yield f"mode.adapt={adapt} needs a model, not {embedder}; add embedder=minilm or mode.adapt=null"


def _check_embedder(cfg: Mapping[str, Any]) -> Iterator[str]:
    teacher, embedder = cfg["teacher"], cfg["embedder"]["name"]
    if teacher["name"] == "encoder" and embedder == "precomputed" and teacher["words"] != "centroid":
        yield (
            f"teacher.words={teacher['words']} reads words, which embedder=precomputed cannot; "
            "use teacher.words=centroid, or another embedder"
        )
    if cfg["embed_text"] == "raw":
        return
    if embedder == "precomputed":
        yield "embed_text=bow: embedder=precomputed reads no text; use embed_text=raw, or another embedder"
    if (shortest := cfg["data"]["vocabulary"]["ngrams"][0]) > 1:
        yield f"embed_text=bow reads single words, but data.vocabulary.ngrams starts at {shortest}; use 1"


def _check_reference(cfg: Mapping[str, Any]) -> Iterator[str]:
    reference = cfg["reference"]
    for name in ("path", "words"):
        if (given := reference[name]) and not Path(given).expanduser().exists():
            yield f"reference.{name}={given}: nothing there, seen from {Path.cwd()}; give what exists"
    if cfg["task"]["name"] == "count" and (not reference["path"] or reference["path"].endswith(".npz")):
        yield f"task=count counts texts, but reference.path={reference['path']}; give a folder or file"


def _check_task(cfg: Mapping[str, Any]) -> Iterator[str]:
    task, run = cfg["task"]["name"], cfg["run"]
    if task == "predict" and not run:
        yield "task=predict needs a fitted model; add run=<folder of a finished fit>"
    if run and not (Path(run).expanduser() / "result.json").is_file():
        yield f"run={run}: no result.json there; give the folder of a finished fit"


def _check_objective(cfg: Mapping[str, Any]) -> Iterator[str]:
    objective, teacher = cfg["objective"], cfg["teacher"]["name"]
    needs_labels = objective["name"] in ("dsl", "mix") and cfg["task"]["name"] == "fit"
    if needs_labels and teacher == "none":
        yield (
            f"objective={objective['name']} needs soft labels, but teacher=none; "
            "add teacher=neighbours or use objective=bow"
        )
    for key in ("init", "reads"):
        if cfg["model"].get(key) == "soft_labels" and teacher == "none" and cfg["task"]["name"] == "fit":
            yield f"model.{key}=soft_labels needs a teacher, but teacher=none; add teacher=neighbours"
    if cfg["task"]["name"] == "teach" and teacher == "none":
        yield "task=teach needs a teacher, but teacher=none; add teacher=neighbours"
    if cfg["input"] == "teacher" and teacher == "none":
        yield "input=teacher reads a teacher's state, but teacher=none; add a teacher or use input=embedder"
    if objective.get("top_k") is not None and objective.get("top_share") is not None:
        yield "objective.top_k and objective.top_share both cut the labels; give one of the two"
    for key in ("floor", "bow_share"):
        if objective.get("loss") == "raw_logit_ce" and objective[key]:
            yield (
                f"objective.{key}={objective[key]} is of distributions, which the weights of "
                f"objective.loss=raw_logit_ce are not; use objective.{key}=0 or objective.loss=kl"
            )


def _check_extras(cfg: Mapping[str, Any]) -> Iterator[str]:
    model = cfg["model"]
    package, extra = EXTRAS.get(model["_target_"].rpartition(".")[0], (None, None))
    if package and find_spec(package) is None:
        yield f"model={model['name']} needs the package {package}: pip install 'topiclab[{extra}]'"
