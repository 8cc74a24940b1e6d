"""The model of a finished training run: its folder, checked to be complete."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TypedDict

from topiclab.device import resolve_device, resolve_precision
from topiclab.digest import faults_in, is_sealed
from topiclab.minillm.chat import ChatModel
from topiclab.minillm.data.tokenizer import Tokenizer
from topiclab.minillm.sampler import Sampler
from topiclab.settings import Trainer

TASKS = ("pretrain", "finetune", "keywords")
FILES = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")


def export_of(run: str, option: str) -> Path:
    """<run>/export of a finished run of a language model, in transformers' format.

    option: name of the run's option in the configuration.
    Raises FileNotFoundError for a folder without such an export, ValueError for a run of another task, for
    one that did not finish, and for a tokenizer that is not the model's.
    """
    folder = Path(run).expanduser()
    way_out = f"give the folder of a finished task={' or '.join(TASKS)}"
    if not (folder / "result.json").is_file():
        fault = (
            "no such folder" if not folder.exists() else "it has no result.json, so the run is not finished"
        )
        raise FileNotFoundError(f"{option}={run}: {fault}; {way_out}")
    try:
        result = json.loads((folder / "result.json").read_bytes())
        task, status = result["config"]["task"]["name"], result["status"]
        if not is_sealed(result):
            raise ValueError("it does not match its checksum")
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as fault:
        raise ValueError(f"{option}={run}: its result.json is damaged ({fault!r}); {way_out}") from fault
    if task not in TASKS:
        raise ValueError(f"{option}={run} holds a run of task={task}, which has no language model; {way_out}")
    if status != "done":
        raise ValueError(f"{option}={run} did not finish: {result.get('reason')}; run it again, or {way_out}")
    export = folder / "export"
    if missing := [name for name in FILES if not (export / name).is_file()]:
        raise FileNotFoundError(f"{option}={run} has no export/{missing[0]}; run it again, or {way_out}")
    recorded = {name: facts for name, facts in result.get("files", {}).items() if name.startswith("export/")}
    if faults := list(faults_in(folder, recorded)):
        raise ValueError(f"{option}={run}: {faults[0]}; run it again with rerun=true, or {way_out}")
    try:
        trained_with = json.loads((export / "config.json").read_bytes())["tokenizer_fingerprint"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as fault:
        raise ValueError(
            f"{option}={run}: its export/config.json is damaged ({fault!r}); {way_out}"
        ) from fault
    found = Tokenizer.load(export).fingerprint
    if trained_with != found:
        raise ValueError(
            f"{option}={run}: the model was trained with the tokenizer {str(trained_with)[:12]}, but the "
            f"folder holds {found[:12]}, whose ids mean other tokens: restore export/tokenizer.json"
        )
    return export


class ChatOptions(TypedDict):
    """The group `chat`, of which conf/task/chat.yaml says what each key does."""

    system: str | None
    has_template: bool
    max_new_tokens: int
    temperature: float
    top_k: int | None
    top_p: float
    min_p: float
    repetition_penalty: float
    is_sliding: bool


def chat_model(run: Path, options: ChatOptions, trainer: Trainer) -> ChatModel:
    """The model of a run (see `export_of`) or of a bare export, with the options of task=chat."""
    if (run / "result.json").is_file():
        run = export_of(str(run), "run")
    device = resolve_device(trainer.device)
    # a step reads every weight once: bf16 halves that on a GPU, but takes longer on a CPU
    precision = "fp32" if (device, trainer.precision) == ("cpu", "auto") else trainer.precision
    return ChatModel.load(
        run,
        device=device,
        dtype=resolve_precision(precision, device),
        sampler=Sampler(
            temperature=options["temperature"],
            top_k=options["top_k"],
            top_p=options["top_p"],
            min_p=options["min_p"],
            repetition_penalty=options["repetition_penalty"],
        ),
        system=options["system"],
        has_template=options["has_template"],
        max_new_tokens=options["max_new_tokens"],
        is_sliding=options["is_sliding"],
    )
