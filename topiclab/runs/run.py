"""One cell: its run folder, its reuse, its task and result.json."""

from __future__ import annotations

import errno
import json
import logging
import math
import os
import shutil
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from filelock import FileLock, Timeout
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from topiclab.atomic import write_json
from topiclab.config.checks import metric_names, validate
from topiclab.config.compose import ConfigError, to_plain
from topiclab.config.configuration import Composed, Configuration
from topiclab.config.declared import unread
from topiclab.config.identity import changed_keys, config_hash
from topiclab.config.instantiate import target_of
from topiclab.digest import SEAL, is_sealed, seal
from topiclab.reads import noted_reads
from topiclab.runs.files import damaged_files, own_files, recorded_files
from topiclab.runs.inputs import changes_since, hardware_of, named_inputs, noted_inputs
from topiclab.runs.outcome import Finished, Outcome
from topiclab.runs.provenance import device_of, facts_of, reset_peak_rss
from topiclab.runs.stored import check_groups, check_stored
from topiclab.runs.unfinished import complete, is_complete, tell

log = logging.getLogger("topiclab")


MARK = ".inputs"  # what the checkpoints of an unfinished run were trained on
WAY_OUT = "give this run another name (name=...), or add rerun=true to replace it"


class CellFailed(RuntimeError):
    """A task raised; result.json and run.log of the folder hold the reason."""


def run_from_hydra(composed: DictConfig) -> Finished | float:
    """Run a cell, as Hydra does for each of them; return what `returned` says."""
    cfg = to_plain(composed)
    if faults := validate(cfg):
        raise ConfigError(faults)
    result = run_cell(cfg, Path(HydraConfig.get().runtime.output_dir))
    return returned(cfg["optimized_metric"], result)


def returned(asked: str | None, result: Finished) -> Finished | float:
    """Return a cell's result to its sweeper, or the value of optimized_metric=<asked>.

    Raises CellFailed with the reason if the cell failed or that metric has no value.
    """
    if result["status"] != "done":
        raise CellFailed(result["reason"])
    if asked is None:
        return result
    metrics = result["metrics"]
    name = next((name for name in metric_names(asked) if name in metrics), None)
    if name is None:
        known = " ".join(metrics)
        raise CellFailed(f"optimized_metric={asked}: the cell has no such metric; there are {known}")
    value = metrics[name]
    if value is None:
        raise CellFailed(f"optimized_metric={asked} has no value: {result['reasons'].get(name)}")
    return value


Task = Callable[[Configuration, Path], Outcome]


def run_cell(cfg: dict[str, Any], folder: Path, task: Task | None = None) -> Finished:
    """Run the task of cfg in folder and return the content of result.json; a finished cell is read back.

    task: called instead of the function that cfg.task names.
    Raises ConfigError if the folder holds another configuration, or if an input, the hardware or a file of
    the run is not what it was; CellFailed if the task raised.
    An interrupt writes no result: the same line resumes.
    """
    standing = finished_result(cfg, folder)
    if standing is not None and is_complete(
        standing
    ):  # without the lock, which a read-only folder cannot have
        log.info("reused %s", folder)
        return standing
    folder.mkdir(parents=True, exist_ok=True)
    with hold(folder):
        standing = finished_result(cfg, folder)
        if standing is not None:
            return _reuse(cfg, folder, standing, task)
        if cfg.get("rerun"):
            _remove_finished(folder)
        (folder / "result.json").unlink(missing_ok=True)  # why an earlier attempt failed
        _drop_foreign_checkpoints(config_hash(cfg), folder)
        _check_checkpoints(cast(Composed, cfg), folder)
        _report_unread(cast(Composed, cfg))
        return _do_task(cfg, folder, task)


def _reuse(cfg: dict[str, Any], folder: Path, standing: Finished, task: Task | None) -> Finished:
    """The finished result, with the parts that it lacks where they can be had now."""
    if is_complete(standing):
        log.info("reused %s", folder)
        return standing
    try:
        completed = complete(Configuration.of(cfg), folder, standing)
    except Exception as error:  # the finished result stays
        raise CellFailed(f"{type(error).__name__}: {error}\nthe finished run stays: {folder}") from error
    if completed is None:
        return _do_task(cfg, folder, task)
    tell(completed)
    return completed


def _report_unread(cfg: Composed) -> None:
    """Log a chosen embedder or teacher that the cell does not use, with the reason."""
    reasons = unread(cfg)
    for group in ("embedder", "teacher"):
        if group in reasons and (chosen := (cfg.get(group) or {}).get("name", "none")) != "none":
            log.info("%s=%s is not used: %s", group, chosen, reasons[group])


def finished_result(cfg: Mapping[str, Any], folder: Path) -> Finished | None:
    """The finished result in folder, or None if there is none yet, the last attempt failed, or rerun=true.

    Raises ConfigError if it cannot be read, is of another configuration or other inputs, or if a file of it
    is missing or damaged.
    """
    path = folder / "result.json"
    if not path.is_file() or cfg.get("rerun"):
        return None
    result = read_result(path)
    if result["status"] != "done":
        return None
    if changed := changed_keys(result["config"], cfg):
        raise ConfigError(
            [
                f"{folder} holds a finished run of another configuration: {', '.join(changed)}; "
                "give this run another name (name=...) or remove that folder"
            ]
        )
    if changed := changes_since(result, cast(Composed, cfg)):
        raise ConfigError([f"{change} since the finished run in {folder}; {WAY_OUT}" for change in changed])
    if damaged := damaged_files(result, folder):
        raise ConfigError(
            [f"{fault}, though its run is finished; add rerun=true to run it again" for fault in damaged]
        )
    return result


def read_result(path: Path) -> Finished:
    """Read a result.json; ConfigError if it is not one."""
    try:
        result = json.loads(path.read_text())
        if not {"status", "config", "config_hash"} <= result.keys():
            fault = "keys are missing"
        elif not is_sealed(result) or (SEAL not in result and "files" in result):
            fault = "it does not match its checksum: damaged, or changed by hand"
        else:
            check_groups(result["config"])
            return result
    except (OSError, ValueError, AttributeError, RecursionError) as error:
        fault = str(error)
    raise ConfigError(
        [f"{path} is not a readable result ({fault}); remove it, or add rerun=true, to run the cell again"]
    )


def finished_fit(folder: Path, *, trust: bool = False) -> Finished:
    """Content of result.json of a finished task=fit; ValueError as in `finished_run`."""
    return finished_run(folder, "fit", trust=trust)


def finished_run(folder: Path, *tasks: str, trust: bool = False) -> Finished:
    """Content of result.json of a finished run of one of these tasks.

    trust: lets it name code from outside topiclab.
    Raises ValueError if folder holds no such run, one that cannot or may not be loaded, or one of whose files
    is missing or damaged.
    """
    if not (folder / "result.json").is_file():
        raise ValueError(
            f"{folder} has no result.json, so it is not a finished run; fit the cell, or give its folder"
        )
    result = read_result(folder / "result.json")
    if result["status"] != "done":
        raise ValueError(f"{folder} holds no finished run: {result.get('reason')}")
    check_stored(result, folder, trust=trust)
    if (task := result["config"]["task"]["name"]) not in tasks:
        raise ValueError(
            f"{folder} holds a run of task={task}; give the folder of a task={' or '.join(tasks)}"
        )
    if damaged := damaged_files(result, folder):
        raise ValueError(f"{damaged[0]}; run it again with rerun=true")
    return result


@contextmanager
def hold(folder: Path) -> Iterator[None]:
    """Hold the folder's lock: of two processes with one cell the second waits, then reuses the result."""
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        log.info("another process runs this cell; waiting for it: %s", folder)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _drop_foreign_checkpoints(hash_of_cell: str, folder: Path) -> None:
    """Mark the folder as this configuration's; remove checkpoints that an unfinished run of another left."""
    mark, checkpoints = folder / ".config_hash", folder / "checkpoints"
    if checkpoints.is_dir() and (not mark.is_file() or mark.read_text() != hash_of_cell):
        log.warning("starting over: the checkpoints in %s belong to another configuration", folder)
        shutil.rmtree(checkpoints)
    mark.write_text(hash_of_cell)


def _remove_finished(folder: Path) -> None:
    """Remove the finished run in folder, its files, checkpoints and figures; not of an unfinished run."""
    path = folder / "result.json"
    if not path.is_file():
        return
    recorded, is_done = {}, True
    try:
        result = read_result(path)
        recorded, is_done = result.get("files", {}), result["status"] == "done"
    except ConfigError as fault:
        log.warning("%s", fault)
    if is_done:
        for file in list(own_files(folder)):  # never a path that only result.json names
            if file.relative_to(folder).as_posix() in recorded:
                file.unlink()
        for name in ("checkpoints", "figures"):
            shutil.rmtree(folder / name, ignore_errors=True)


def _check_checkpoints(cfg: Composed, folder: Path) -> None:
    """Raise ConfigError if there are checkpoints to resume from, trained on other inputs or hardware.

    With rerun=true they are dropped. A mark of an earlier version, or one that is damaged, says nothing.
    """
    if not (folder / "checkpoints").is_dir():
        return
    try:
        mark = json.loads((folder / MARK).read_bytes())
        changed = changes_since(mark, cfg) if is_sealed(mark) else []
    except (OSError, ValueError, AttributeError):
        return
    if changed and not cfg.get("rerun"):
        raise ConfigError([f"{change} since the unfinished run in {folder}; {WAY_OUT}" for change in changed])
    if changed:
        log.warning("starting over: %s", "; ".join(changed))
        shutil.rmtree(folder / "checkpoints")


def _do_task(cfg: dict[str, Any], folder: Path, task: Task | None) -> Finished:
    start = time.perf_counter()
    reset_peak_rss()
    try:
        task = task or target_of(cfg["task"])  # imports torch
        composed, device = cast(Composed, cfg), device_of(cfg["trainer"]["device"])
        inputs, hardware = named_inputs(composed), hardware_of(composed, device)
        write_json(folder / MARK, seal({"inputs": inputs, "hardware": hardware}))
        with noted_reads() as reads:
            outcome = task(Configuration.of(cfg), folder)
        result = {"status": "done", "reason": None} | _plain_json(outcome)
        result |= facts_of(cfg, time.perf_counter() - start)
        result |= {"hardware": hardware, "inputs": inputs | noted_inputs(composed, reads, inputs)}
        result = seal(result | {"files": recorded_files(folder)})
        write_json(folder / "result.json", result)
    except (Exception, SystemExit) as error:  # written to result.json, then raised
        if isinstance(error.__context__, KeyboardInterrupt):  # Lightning turns Ctrl-C into exit(1)
            raise KeyboardInterrupt from error
        way_out = _way_out(error, cfg["paths"].get("cache"), folder)
        reason = f"{type(error).__name__}: {error}{way_out}"
        try:
            with (folder / "run.log").open("a") as stream:
                traceback.print_exc(file=stream)
            write_failure(cfg, folder, reason, time.perf_counter() - start)
        except OSError as fault:  # such as a full disk
            raise CellFailed(f"{reason}\nnot written to {folder}: {fault}") from error
        raise CellFailed(f"{reason}\ntraceback: {folder / 'run.log'}") from error
    log.info("done in %.1f s: %s", result["seconds_total"], folder)
    tell(cast(Finished, result))
    return cast(Finished, result)


def _way_out(error: BaseException, cache: str | None, folder: Path) -> str:
    """Advice on a full disk, whichever library met it; empty for other errors."""
    if not any(os.strerror(code) in str(error) for code in (errno.ENOSPC, errno.EDQUOT)):
        return ""
    return f"; free space for {folder}{f' and {cache}' if cache else ''}, then start the same line again"


def write_failure(cfg: Mapping[str, Any], folder: Path, reason: str, seconds: float) -> None:
    """Write result.json with status failed, unless the folder holds a finished run."""
    path = folder / "result.json"
    if path.is_file() and read_result(path)["status"] == "done":
        return
    write_json(path, seal({"status": "failed", "reason": reason} | facts_of(cfg, seconds)))


def _plain_json(outcome: Outcome) -> dict[str, Any]:
    """A task's outcome as plain JSON; a metric that is not a finite number becomes null with a reason."""
    plain = _plain(vars(outcome))
    reasons = {
        name: f"the value is {value}"
        for name, value in outcome.metrics.items()
        if value is None or not math.isfinite(value)
    }
    return plain | {"reasons": reasons | plain["reasons"]}


def _plain(value: Any) -> Any:
    """Dicts, lists and scalars: numpy's become Python's, NaN and infinities null, a path its text."""
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if value is None or isinstance(value, (str, int, float)):
        return value
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{value!r} of the task's outcome is not JSON; return plain numbers, texts, lists, dicts")
