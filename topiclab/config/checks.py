"""Checks of a whole configuration: every value against its rule, and values against each other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

from hydra.utils import get_object

from topiclab.config.configuration import GROUPS, VALUES, Composed
from topiclab.config.declared import models_of, reads_vectors, uses
from topiclab.config.rules import refused_values
from topiclab.config.trust import faults_of_run
from topiclab.settings import Paths, Trainer

# Names of the metrics of a fit, looked up only where one is asked for: their modules import scikit-learn.
FIT_METRICS = {
    "text": "topiclab.metrics.evaluate.NAMES",
    "images": "topiclab.metrics.evaluate.IMAGE_METRICS",
}


def validate(cfg: Mapping[str, Any]) -> list[str]:
    """Faults of a plain configuration, each with the value, the rule and the way out."""
    if faults := list(_check_groups(cfg)) or refused_values(cfg):
        return faults  # the checks below rely on types
    checks = (
        _check_modality,
        _check_data,
        _check_facts,
        _check_num_topics,
        _check_mode,
        _check_embedder,
        _check_codes,
        _check_reference,
        _check_task,
        _check_trust,
        _check_parts,
        _check_objective,
        _check_extras,
        _check_unread,
        _check_optimized,
    )
    try:
        return [fault for check in checks for fault in check(cast(Composed, cfg))]
    except (KeyError, TypeError, AttributeError) as error:
        return [
            f"a key that every configuration has is missing or null ({type(error).__name__}: {error}); leave "
            "out the ~key or key=null that removes it"
        ]


def _check_groups(cfg: Any) -> Iterator[str]:
    """Check that every group and key is there: ~key removes one, and key=null empties a group."""
    for key in VALUES:
        if key not in cfg:
            yield f"{key} is missing, which every configuration has; leave ~{key} out"
    for key in GROUPS:
        if isinstance(cfg.get(key), Mapping):
            continue
        yield f"{key}={cfg.get(key) or 'null'}: every configuration has this group; leave that out"
    for kind in (Trainer, Paths):
        try:
            kind.of(cfg.get(kind.group) or {})
        except ValueError as error:
            yield str(error)
    for key, inner in (("data", "split"), ("data", "vocabulary"), ("mode", "adaptation")):
        group = cfg.get(key)
        if isinstance(group, Mapping) and not isinstance(group.get(inner, {}), Mapping):
            yield f"{key}.{inner}={group[inner] or 'null'}: a group of keys; set one of them, or leave it out"


def _check_modality(cfg: Composed) -> Iterator[str]:
    """Check that data and model have one modality, and that nothing reads text where the data are images."""
    data, model, task = cfg["data"], cfg["model"], cfg["task"]["name"]
    has_images, reads_images = (node.get("modality") == "images" for node in (data, model))
    if task == "fit" and reads_images and not has_images:
        yield f"model={model['name']} reads images, but data={data['name']} holds texts; add data=digits"
    if task == "fit" and model.get("modality") == "tokens":
        yield f"model={model['name']} is a language model, which has no topics; use task=pretrain"
    if task == "pretrain" and model.get("modality") != "tokens":
        yield f"task=pretrain needs a language model, which model={model['name']} is not; leave model= out"
    if not has_images:
        return
    if task in ("fit", "tvq_crossmodal") and not reads_images:
        yield (
            f"model={model['name']} reads texts, but data={data['name']} holds images; "
            f"use model={' or '.join(models_of('images'))}, or a corpus such as data=lee"
        )
    elif task not in ("fit", "predict", "tvq_crossmodal"):
        yield f"task={task} reads texts, but data={data['name']} holds images; use task=fit"
    if (expansion := model.get("expansion", 1)) > 1 and reads_images:
        yield (
            f"model.expansion={expansion}: a prior draws one code for each cell of an image, and cannot draw "
            "a set of them; use model.expansion=1"
        )
    for key, chosen, without in (
        ("teacher", cfg["teacher"]["name"], "none"),
        ("input", cfg["input"], "embedder"),
        ("embed_text", cfg["embed_text"], "raw"),
    ):
        if chosen != without:
            yield f"{key}={chosen} reads texts, but data={data['name']} holds images; use {key}={without}"
    if adapt := cfg["mode"]["adapt"]:
        yield f"mode.adapt={adapt} tunes an embedder of texts, but data={data['name']} holds images"


def _check_data(cfg: Composed) -> Iterator[str]:
    data, mode = cfg["data"], cfg["mode"]["name"]
    path, split = data.get("path"), data.get("split", {})
    if path and not Path(path).expanduser().exists():
        yield f"data.path={path}: nothing there, seen from {Path.cwd()}; give an existing file"
    if None in split.values() and not data.get("is_divided"):
        yield f"data.split: null keeps the original split, which data={data['name']} does not have; give 0.1"
    if sum(share or 0 for share in split.values()) >= 1:
        shares = " and ".join(f"data.split.{name}={share}" for name, share in split.items())
        yield f"{shares} leave no documents to train on; lower one"
    if mode == "supervised" and data["name"] == "lee":
        yield "mode=supervised needs labels, which data=lee lacks; use data=20newsgroups or mode=zero_shot"
    if mode == "supervised" and "label_column" in data and data["label_column"] is None:
        yield "mode=supervised needs labels; add data.label_column=<column> or use mode=zero_shot"


def _check_facts(cfg: Composed) -> Iterator[str]:
    """Check that the data tell what the model reads of documents beside their words."""
    data, model = cfg["data"], cfg["model"]
    if cfg["task"]["name"] != "fit" or data["source"] == "texts":  # whose facts are arguments of topiclab.fit
        return
    of_model, name = model.get("uses") or (), f"model={model['name']}"
    reads_covariates = "covariates" in of_model and model.get("prevalence") != "none"
    without = ", or model.prevalence=none" if "prevalence" in model else ""
    if reads_covariates and "covariate_columns" not in data:
        yield f"{name} reads covariates, which data={data['name']} lacks; use data=file{without}"
    elif reads_covariates and not data["covariate_columns"]:
        yield f"{name} reads covariates; add data.covariate_columns=[<columns>]{without}"
    reads_dates = "timestamps" in of_model and model.get("period") != "none"
    if reads_dates and "timestamp_column" in data and data["timestamp_column"] is None:
        yield f"{name} reads dates; add data.timestamp_column=<column>, or model.period=none"


def _check_num_topics(cfg: Composed) -> Iterator[str]:
    """Check num_topics=auto, which clusters vectors of texts for a model that keeps the number given."""
    data, model, task = cfg["data"], cfg["model"], cfg["task"]["name"]
    if cfg["num_topics"] != "auto" or task not in ("fit", "tvq_crossmodal"):
        return
    if data.get("modality") == "images":
        yield f"num_topics=auto clusters texts, but data={data['name']} holds images; use num_topics=<number>"
    elif model.get("finds_num_topics"):
        yield (
            f"num_topics=auto: model={model['name']} finds the number of topics itself; give the "
            "maximum that it may keep, such as num_topics=100"
        )


def _check_mode(cfg: Composed) -> Iterator[str]:
    mode, adapt, embedder = cfg["mode"]["name"], cfg["mode"]["adapt"], cfg["embedder"]
    if adapt and mode == "zero_shot":
        yield f"mode.adapt={adapt} tunes the embedder, but mode=zero_shot keeps it; use mode=unsupervised"
    elif adapt == "supcon" and mode != "supervised":
        yield f"mode.adapt=supcon needs labels, but mode={mode}; use mode=supervised or mode.adapt=simcse"
    if adapt and not embedder.get("is_encoder", True):
        yield (
            f"mode.adapt={adapt} needs a sentence encoder, not {embedder['name']}; add embedder=minilm or "
            "mode.adapt=null"
        )


def _check_embedder(cfg: Composed) -> Iterator[str]:
    teacher, embedder, task = cfg["teacher"], cfg["embedder"]["name"], cfg["task"]["name"]
    reads_text = cfg["data"].get("modality") != "images" or task == "tvq_crossmodal"
    if embedder == "none" and reads_text and task not in ("predict", "count"):
        told = f"data={cfg['data']['name']}" if task == "fit" else f"task={task}"
        yield f"embedder=none reads no text, which {told} has; add embedder=lsa"
    if teacher["name"] == "encoder" and embedder == "precomputed" and teacher["words"] != "centroid":
        yield (
            f"teacher.words={teacher['words']} reads words, which embedder=precomputed cannot; "
            "use teacher.words=centroid, or another embedder"
        )
    if cfg["embed_text"] == "raw" or cfg["data"].get("modality") == "images":
        return
    if embedder == "precomputed":
        yield "embed_text=bow: embedder=precomputed reads no text; use embed_text=raw, or another embedder"
    if (shortest := cfg["data"]["vocabulary"]["ngrams"][0]) > 1:
        yield f"embed_text=bow reads single words, but data.vocabulary.ngrams starts at {shortest}; use 1"


def _check_codes(cfg: Composed) -> Iterator[str]:
    """Check the requirements of models that represent words by codes."""
    model, embedder = cfg["model"], cfg["embedder"]["name"]
    is_encoder = cfg["embedder"].get("is_encoder", True)
    if "codebook" not in model or model.get("modality") == "images":
        return
    if model["words"] != "type" and (not is_encoder or cfg["input"] == "teacher"):
        yield (
            f"model.words={model['words']} reads hidden states at every word, which neither "
            f"embedder={embedder} nor input=teacher gives; use embedder=minilm, or model.words=type"
        )
    if model["words"] == "token" and model["codebook"]["assignment"] == "random":
        yield (
            "model.codebook.assignment=random exchanges the codes of words, which with model.words=token are "
            "not fixed; use model.words=type or contextual_type"
        )
    if model["expansion"] > model["num_codes"]:
        yield (
            f"model.expansion={model['expansion']} codes per word, but model.num_codes={model['num_codes']}; "
            "lower model.expansion"
        )
    if cfg["num_topics"] == 1:
        yield (
            f"num_topics=1: model={model['name']} compares topics with each other, word by word; ask for at "
            "least 2"
        )
    if cfg["task"]["name"] == "fit" and (embedder == "precomputed" or cfg["input"] == "teacher"):
        chosen = "input=teacher" if cfg["input"] == "teacher" else "embedder=precomputed"
        yield (
            f"model={model['name']} quantises vectors of words, which {chosen} lacks; use input=embedder "
            "with an embedder that reads words, e.g. embedder=lsa"
        )


def _check_reference(cfg: Composed) -> Iterator[str]:
    reference = cfg["reference"]
    if not isinstance(reference, Mapping) and cfg["task"]["name"] != "predict":
        yield f"reference={reference or 'null'}: a group of keys, except for task=predict; leave it out"
        return
    if not isinstance(reference, Mapping):  # task=predict: an image, or a folder of images
        if reference and not Path(reference).expanduser().exists():
            yield f"reference={reference}: nothing there, seen from {Path.cwd()}; give an image or a folder"
        return
    for name in ("path", "words"):
        if (given := reference[name]) and not Path(given).expanduser().exists():
            yield f"reference.{name}={given}: nothing there, seen from {Path.cwd()}; give an existing one"
    if cfg["task"]["name"] == "count" and (not reference["path"] or reference["path"].endswith(".npz")):
        yield f"task=count counts texts, but reference.path={reference['path']}; give a folder or file"


def _check_task(cfg: Composed) -> Iterator[str]:
    task, run = cfg["task"]["name"], cfg["run"]
    if task == "predict" and not run:
        yield "task=predict needs a fitted model; add run=<folder of a finished fit>"
    if task == "describe" and not run:
        yield "task=describe describes a fitted model; add run=<folder of a finished fit>"
    if task == "describe" and run and run.startswith("~"):
        yield f"run={run}: task=describe does not expand ~; write out the home folder"
    if (
        task == "describe"
        and "describe" in cfg
        and cfg["describe"]["labels"]["labeller"] == "model"
        and cfg["rating"]["name"] == "none"
    ):
        yield (
            "describe.labels.labeller=model needs a language model, but rating=none; add rating=local "
            "rating.path=<folder> or rating=endpoint, or use labeller=keyword"
        )
    if task in ("chat", "finetune", "keywords"):
        yield from _check_language_run(cfg)
    elif run and not (Path(run).expanduser() / "result.json").is_file():
        yield f"run={run}: no result.json there; give the folder of a finished fit"


def _check_trust(cfg: Composed) -> Iterator[str]:
    """Check that the folders of finished runs name no code from outside topiclab, unless trust=true."""
    if cfg["trust"]:
        return
    named = (("run", cfg), ("embedder.run", cfg["embedder"]), ("teacher.run", cfg["teacher"]))
    for option, group in named:
        if run := group.get("run"):
            yield from faults_of_run(run, option)


def _check_language_run(cfg: Composed) -> Iterator[str]:
    """Check that run= is a finished run of a language model, or for task=chat an export by itself."""
    task, run = cfg["task"]["name"], cfg["run"]
    names = ("result.json", "config.json", "export/config.json") if task == "chat" else ("result.json",)
    way_out = "folder of a finished pretraining or fine-tuning"
    if not run:
        yield f"task={task} needs a language model; add run=<{way_out}>"
    elif not (folder := Path(run).expanduser()).is_dir():
        yield f"run={run}: nothing there, seen from {Path.cwd()}; give the {way_out}"
    elif not any((folder / name).is_file() for name in names):
        fault = "its run did not finish" if (folder / "run.log").is_file() else "no result.json there"
        yield f"run={run}: {fault}; start it again, or give the {way_out}"
    path = cfg["finetune"]["path"] if task == "finetune" and "finetune" in cfg else None
    if path and not Path(path).expanduser().is_file():
        yield f"finetune.path={path}: no such file, seen from {Path.cwd()}; give JSON lines of conversations"


def _check_parts(cfg: Composed) -> Iterator[str]:
    """Check which part of a corpus this job embeds, where several jobs share the corpus."""
    if cfg["task"]["name"] != "embed" or "embed" not in cfg:
        return
    part, num_parts, embedder = cfg["embed"]["part"], cfg["embed"]["num_parts"], cfg["embedder"]["name"]
    if part is None and num_parts > 1:
        parts = ",".join(map(str, range(num_parts))) if num_parts < 9 else f"'range(0,{num_parts})'"
        yield f"embed.num_parts={num_parts}, but this job has no part; add -m embed.part={parts}"
    elif part is not None and part >= num_parts:
        yield (
            f"embed.part={part}, but with embed.num_parts={num_parts}, parts are numbered from 0; "
            f"lower it, or use embed.num_parts={part + 1}"
        )
    if part is not None and not cfg["embedder"].get("is_encoder", True):
        yield (
            f"embed.part={part} splits the work of a sentence encoder, which embedder={embedder} is not; "
            "use embed.part=null embed.num_parts=1, or embedder=minilm"
        )


def _check_objective(cfg: Composed) -> Iterator[str]:
    objective, teacher = cfg["objective"], cfg["teacher"]["name"]
    needs_labels = "soft_labels" in uses(objective) and cfg["task"]["name"] == "fit"
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
                f"objective.{key}={objective[key]} applies to distributions, which the weights of "
                f"objective.loss=raw_logit_ce are not; use objective.{key}=0 or objective.loss=kl"
            )


def _check_extras(cfg: Composed) -> Iterator[str]:
    model = cfg["model"]
    if (needs := model.get("needs")) and find_spec(needs["package"]) is None:
        package, extra = needs["package"], needs["extra"]
        yield f"model={model['name']} needs the package {package}: pip install 'topiclab[{extra}]'"


def _check_unread(cfg: Composed) -> Iterator[str]:
    """Check for settings that the cell would not read, although its command line and folder name them."""
    task, model, trainer = cfg["task"], cfg["model"], cfg["trainer"]
    if cfg["logger"]["name"] == "wandb" and not task.get("logs"):
        yield f"logger=wandb: task={task['name']} logs nothing there; use logger=csv"
    if task["name"] != "fit":
        return
    of_model, name, mode = uses(model), f"model={model['name']}", cfg["mode"]
    tunes_by_labels = mode["adapt"] == "supcon" and reads_vectors(cfg)
    if mode["name"] == "supervised" and "labels" not in of_model and not tunes_by_labels:
        yield f"mode=supervised: {name} does not learn from labels; use mode=zero_shot, or another model"
    if cfg["objective"]["name"] != "bow" and "objective" not in of_model:
        yield f"objective={cfg['objective']['name']}: {name} ignores the objective; use objective=bow"
    if not reads_vectors(cfg):
        for key, value, usual in (
            ("mode.adapt", mode["adapt"], None),
            ("input", cfg["input"], "embedder"),
        ):
            if value != usual:
                yield f"{key}={value}: {name} reads no vectors; use {key}={usual or 'null'}"
    reads_states = cfg["input"] == "teacher" and reads_vectors(cfg)
    if cfg["teacher"]["name"] != "none" and "soft_labels" not in of_model and not reads_states:
        yield f"teacher={cfg['teacher']['name']}: {name} reads no soft labels; use teacher=none"
    for key in ("max_epochs", "batch_size", "gradient_clip", "patience"):
        if trainer[key] is not None and "epochs" not in of_model and key not in model:
            yield f"trainer.{key}={trainer[key]}: {name} has no epochs; leave it out for this model"


def _check_optimized(cfg: Composed) -> Iterator[str]:
    """Check that the task measures the metric that a sweep is to optimise, as far as its names are known."""
    task, asked = cfg["task"], cfg.get("optimized_metric")
    if asked is None:
        return
    if not task.get("logs"):
        yield f"optimized_metric={asked}: task={task['name']} measures nothing; leave it out"
    if task["name"] != "fit":
        return
    kinds = ("text", "images") if cfg["data"].get("modality") == "images" else ("text",)
    known = [name for kind in kinds for name in get_object(FIT_METRICS[kind])]
    if not set(metric_names(asked)) & set(known):
        near = get_close_matches(asked, known, n=2, cutoff=0.5)
        meant = f"; did you mean {' or '.join(near)}?" if near else f"; there are {' '.join(known)}"
        yield f"optimized_metric={asked}: task=fit has no such metric{meant}"


def metric_names(asked: str) -> tuple[str, ...]:
    """Names in result.json that a metric's name may mean: metrics of topics have no section there."""
    section, _, name = asked.rpartition("/")
    return (asked, name) if section in ("topics", "train") else (asked,)
