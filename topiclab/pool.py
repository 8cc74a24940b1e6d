"""The cells of a sweep in this process, or each in one of its own, several at a time."""

from __future__ import annotations

import faulthandler
import logging
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import wait
from multiprocessing.context import ForkServerContext, SpawnContext
from multiprocessing.process import BaseProcess
from pathlib import Path

from hydra import version
from hydra.core.utils import JobReturn, JobStatus, configure_log, run_job, setup_globals
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict

from topiclab.config import to_plain
from topiclab.run import CellFailed, read_result, write_failure

log = logging.getLogger("topiclab.grid")

SECONDS_TO_STOP = 10  # for a cell to close its files after Ctrl-C
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")


class GridLauncher(Launcher):
    """Hydra's launcher behind grid.jobs; returns for every cell and raises for none but an interrupt."""

    def __init__(self) -> None:
        # by overrides, where the sweeper has composed already
        self.composed: dict[tuple[str, ...], DictConfig] = {}

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.hydra_context, self.task_function, self.config = hydra_context, task_function, config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        setup_globals()
        configure_log(self.config.hydra.hydra_logging, self.config.hydra.verbose)
        configs = [self._compose(overrides, initial_job_idx + i) for i, overrides in enumerate(job_overrides)]
        if self.config.grid.jobs > 1:
            return run_processes(
                self.hydra_context,
                self.task_function,
                configs,
                labels_of(job_overrides),
                self.config.grid.jobs,
            )
        returns = []
        for number, (config, label) in enumerate(zip(configs, labels_of(job_overrides), strict=True), 1):
            log.info("[%d/%d] %s", number, len(configs), label)
            returns.append(_run_here(self.hydra_context, self.task_function, config))
            configure_log(self.config.hydra.hydra_logging, self.config.hydra.verbose)
        return returns

    def _compose(self, overrides: Sequence[str], number: int) -> DictConfig:
        config = self.composed.get(tuple(overrides))
        if config is None:
            config = self.hydra_context.config_loader.load_sweep_config(self.config, list(overrides))
        with open_dict(config):
            config.hydra.job.id = config.hydra.job.num = number
        return config


def labels_of(cells: Sequence[Sequence[str]]) -> list[str]:
    """What tells each cell's overrides from the others'."""
    shared = set.intersection(*(set(overrides) for overrides in cells)) if len(cells) > 1 else set()
    return [" ".join(part for part in overrides if part not in shared) or "-" for overrides in cells]


def _run_here(context: HydraContext, task_function: TaskFunction, config: DictConfig) -> JobReturn:
    return run_job(task_function, config, "hydra.sweep.dir", "hydra.sweep.subdir", context)


@dataclass
class _Running:
    process: BaseProcess
    number: int  # of the cell
    slot: int  # of the jobs places, for the choice of a GPU
    start: float


def run_processes(
    context: HydraContext,
    task_function: TaskFunction,
    configs: Sequence[DictConfig],
    labels: Sequence[str],
    jobs: int,
) -> list[JobReturn]:
    """A process for each cell, `jobs` at a time; one that dies takes no other with it."""
    starter = _start_processes(configs[0].task._target_.rpartition(".")[0], jobs)
    gpus = _visible_gpus()
    returns: dict[int, JobReturn] = {}
    waiting = list(range(len(configs)))[::-1]
    running: list[_Running] = []
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                number = waiting.pop()
                slot = min(set(range(jobs)) - {cell.slot for cell in running})
                gpu = gpus[slot % len(gpus)] if gpus else None
                process = starter.Process(
                    target=_cell_process, args=(context, task_function, configs[number], gpu)
                )
                process.start()
                running.append(_Running(process, number, slot, time.monotonic()))
            ended = wait([cell.process.sentinel for cell in running])
            for cell in [cell for cell in running if cell.process.sentinel in ended]:
                cell.process.join()
                running.remove(cell)
                job = returns[cell.number] = _collect(cell, configs[cell.number])
                progress = f"[{len(returns)}/{len(configs)}] {labels[cell.number]}"
                status = "done" if job.status == JobStatus.COMPLETED else "failed"
                log.info("%s  %s  %.1f s", progress, status, time.monotonic() - cell.start)
    finally:
        _stop([cell.process for cell in running])
    return [returns[number] for number in range(len(configs))]


def _start_processes(task_module: str, jobs: int) -> SpawnContext | ForkServerContext:
    """Processes forked from a server that has imported the task once, where the system can."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    for variable in THREAD_VARIABLES:  # before the server imports torch
        os.environ.setdefault(variable, str(max(1, cores // jobs)))
    if sys.platform != "linux":
        return multiprocessing.get_context("spawn")
    server = multiprocessing.get_context("forkserver")
    server.set_forkserver_preload(["topiclab.__main__", task_module])
    return server


def _visible_gpus() -> list[str]:
    """CUDA devices as CUDA_VISIBLE_DEVICES names them, asked without starting CUDA."""
    if (given := os.environ.get("CUDA_VISIBLE_DEVICES")) is not None:
        return [name for name in given.split(",") if name]
    if shutil.which("nvidia-smi") is None:
        return []
    command = ["nvidia-smi", "--query-gpu=index", "--format=csv,noheader"]
    answer = subprocess.run(command, capture_output=True, text=True).stdout.split()
    return [name for name in answer if name.isdigit()]  # a broken driver answers in prose


def _cell_process(
    context: HydraContext, task_function: TaskFunction, config: DictConfig, gpu: str | None
) -> None:
    """In the cell's process: exit code 0 done, 1 failed with a result.json, 130 interrupted."""
    os.setsid()  # Ctrl-C reaches the parent only, which then interrupts its cells one by one
    signal.signal(signal.SIGINT, signal.default_int_handler)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if gpu is not None and config.trainer.device in ("auto", "cuda"):
        os.environ["CUDA_VISIBLE_DEVICES"] = gpu
    folder = Path(config.hydra.sweep.dir, config.hydra.sweep.subdir)
    folder.mkdir(parents=True, exist_ok=True)
    output = os.open(folder / "run.log", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    os.dup2(output, 1)
    os.dup2(output, 2)
    faulthandler.enable()
    with open_dict(config):
        config.hydra.job_logging.root.handlers = ["file"]
    version.setbase("1.3")  # before it Hydra worked in the run folder, where relative paths mean others
    setup_globals()
    try:
        job = _run_here(context, task_function, config)
    except KeyboardInterrupt:
        sys.exit(130)
    if job.status == JobStatus.COMPLETED:
        sys.exit(0)
    if isinstance(job._return_value, CellFailed):  # told in result.json and run.log already
        sys.exit(1)
    traceback.print_exception(job._return_value)
    sys.exit(70)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(130)


def _collect(cell: _Running, config: DictConfig) -> JobReturn:
    """What Hydra wants of an ended process; one that was killed gets the result.json it could not write."""
    folder, code = Path(config.hydra.sweep.dir, config.hydra.sweep.subdir), cell.process.exitcode or 0
    job = JobReturn(overrides=list(config.hydra.overrides.task), status=JobStatus.FAILED)
    if code == 0:
        job.status, job.return_value = JobStatus.COMPLETED, read_result(folder / "result.json")
    elif code in (1, 130):
        job.return_value = CellFailed(f"exit code {code}, see {folder / 'run.log'}")
    else:
        reason = f"killed by signal {-code}" if code < 0 else f"exit code {code}, see {folder / 'run.log'}"
        write_failure(to_plain(config), folder, reason, time.monotonic() - cell.start)
        job.return_value = CellFailed(reason)
    return job


def _stop(processes: Sequence[BaseProcess]) -> None:
    """Interrupt what still runs, and kill what has not ended some seconds later."""
    for process in processes:
        if process.pid is not None and process.is_alive():
            os.kill(process.pid, signal.SIGINT)
    deadline = time.monotonic() + SECONDS_TO_STOP
    for process in processes:
        process.join(max(0.0, deadline - time.monotonic()))
        if process.is_alive():
            process.kill()
