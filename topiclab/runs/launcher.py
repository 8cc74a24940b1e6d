"""The cells of a sweep: one after another in this process, or several at a time in worker processes."""

from __future__ import annotations

import copy
import logging
import time
from collections.abc import Callable, Mapping, Sequence

from hydra.core.utils import JobReturn, JobStatus, configure_log, setup_globals
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from topiclab.config.compose import ConfigError
from topiclab.machine import gpu_bytes, memory_bytes, num_cores, visible_gpus
from topiclab.runs.cell import Cell, cell_of, labels_of
from topiclab.runs.composer import SweepComposer
from topiclab.runs.progress import Progress
from topiclab.runs.run import CellFailed, read_result, returned, write_failure
from topiclab.runs.schedule import Schedule
from topiclab.runs.worker import (
    DONE,
    STOPPED,
    TOLD,
    Worker,
    first_ended,
    run_here,
    start_method,
    started,
    stop,
)

log = logging.getLogger("topiclab.runs.sweeper")

CELL_BYTES = 2 * 2**30  # of memory, and of GPU memory, that grid.jobs=auto assumes per process
SHARE_FOR_CELLS = 0.8  # of the memory, split among the workers: one that exceeds its part is replaced


class GridLauncher(Launcher):
    """Hydra's launcher behind grid.jobs; returns for every cell and raises only on an interrupt."""

    def __init__(self) -> None:
        # cells that the sweeper has already composed
        self.cells: Mapping[tuple[str, ...], Cell] = {}
        self.composer: SweepComposer | None = None

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.hydra_context, self.task_function, self.config = hydra_context, task_function, config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        setup_globals()
        configure_log(self.config.hydra.hydra_logging, self.config.hydra.verbose)
        composer = self.composer or SweepComposer(self.hydra_context.config_loader, self.config)
        cells = [
            self.cells.get(tuple(overrides)) or cell_of(overrides, composer.compose(overrides, number))
            for number, overrides in enumerate(job_overrides, initial_job_idx)
        ]

        def compose(number: int) -> DictConfig:
            return composer.compose(cells[number].overrides, initial_job_idx + number)

        return self.run(cells, compose)

    def run(self, cells: Sequence[Cell], compose: Callable[[int], DictConfig]) -> Sequence[JobReturn]:
        """Run all cells; compose(number) is the configuration of one, valid until the next call."""
        jobs = jobs_for(self.config.grid.jobs, cells)
        progress = progress_of(cells, jobs)
        if jobs > 1:
            return run_pool(self.hydra_context, self.task_function, cells, compose, jobs, progress)
        return self._run_in_turn(cells, compose, progress)

    def _run_in_turn(
        self, cells: Sequence[Cell], compose: Callable[[int], DictConfig], progress: Progress
    ) -> list[JobReturn]:
        returns = []
        for number in range(len(cells)):
            start = time.monotonic()
            returns.append(run_here(self.hydra_context, self.task_function, copy.deepcopy(compose(number))))
            configure_log(self.config.hydra.hydra_logging, self.config.hydra.verbose)
            is_done = returns[-1].status == JobStatus.COMPLETED
            log.info(progress.ended(number, is_done, time.monotonic() - start))
        return returns


def progress_of(cells: Sequence[Cell], jobs: int) -> Progress:
    return Progress(labels_of([cell.overrides for cell in cells]), [cell.kind for cell in cells], jobs)


def jobs_for(jobs: int | str, cells: Sequence[Cell]) -> int:
    """Number of processes; `auto` is one per trainer.num_threads cores, as far as memory allows."""
    if jobs != "auto":
        return int(jobs)
    trainers = [cell.cfg["trainer"] for cell in cells]
    most = [
        len(cells),
        num_cores() // max(trainer["num_threads"] or num_cores() for trainer in trainers),
        memory_bytes() // CELL_BYTES,
    ]
    gpus = visible_gpus()
    if gpus and any(trainer["device"] != "cpu" for trainer in trainers):
        most.append(len(gpus) * gpu_bytes() // CELL_BYTES)
    return max(1, min(most))


def run_pool(
    context: HydraContext,
    task_function: TaskFunction,
    cells: Sequence[Cell],
    compose: Callable[[int], DictConfig],
    jobs: int,
    progress: Progress,
) -> list[JobReturn]:
    """Run in `jobs` workers, each with cells that share what it has loaded; one that dies loses one cell."""
    task_module = cells[0].cfg["task"]["_target_"].rpartition(".")[0]
    starter = start_method(task_module, max(1, num_cores() // jobs))
    gpus = _gpus_of(cells)
    most_bytes = int(SHARE_FOR_CELLS * memory_bytes() / jobs)
    schedule = Schedule([cell.group for cell in cells])
    returns: dict[int, JobReturn] = {}
    workers: dict[int, Worker] = {}  # by slot
    try:
        while len(returns) < len(cells):
            for slot in range(jobs):
                if slot not in workers and schedule:
                    gpu = gpus[slot % len(gpus)] if gpus else None
                    worker = started(starter, slot, (context, task_function), gpu, most_bytes)
                    if worker is None:  # which costs the cell that it would have run
                        number = schedule.take(slot)
                        schedule.leave(slot)
                        returns[number] = failed_start(cells[number], number, progress)
                        continue
                    workers[slot] = worker
                if schedule and workers[slot].number is None:
                    number = schedule.take(slot)
                    workers[slot].begin(number, compose(number))
                elif slot in workers and workers[slot].number is None:
                    stop([workers.pop(slot)])
            busy = [worker for worker in workers.values() if worker.number is not None]
            for worker in first_ended(busy) if busy else ():
                number, job, goes_on = _end(worker, cells, progress)
                returns[number] = job
                if not goes_on:
                    schedule.leave(worker.slot)
                    stop([workers.pop(worker.slot)])
    finally:
        stop(list(workers.values()))
    return [returns[number] for number in range(len(cells))]


def failed_start(cell: Cell, number: int, progress: Progress) -> JobReturn:
    """JobReturn of a cell for which no process could be started."""
    job = JobReturn(overrides=list(cell.overrides), status=JobStatus.FAILED)
    job.return_value = died(cell, "no process could be started for it; the same line runs it again", 0.0)
    log.info(progress.ended(number, False, 0.0))
    return job


def _end(worker: Worker, cells: Sequence[Cell], progress: Progress) -> tuple[int, JobReturn, bool]:
    """The number of the cell that ended, its JobReturn, and whether the worker goes on."""
    number, seconds = worker.number, time.monotonic() - worker.start
    assert number is not None
    code, goes_on = worker.end()
    worker.number = None
    job = job_return(cells[number], code, seconds)
    log.info(progress.ended(number, code == DONE, seconds))
    return number, job, goes_on


def _gpus_of(cells: Sequence[Cell]) -> list[str]:
    """The GPUs to share among the workers; empty if the cells use none or name their own."""
    devices = {cell.cfg["trainer"]["device"] for cell in cells}
    return visible_gpus() if devices & {"auto", "cuda"} and devices <= {"auto", "cuda", "cpu"} else []


def job_return(cell: Cell, code: int, seconds: float) -> JobReturn:
    """JobReturn of a cell that ended; a killed one gets the result.json that it could not write."""
    log_file = cell.folder / "run.log"
    job = JobReturn(overrides=list(cell.overrides), status=JobStatus.FAILED)
    if code in (DONE, TOLD):
        try:
            job.return_value = returned(
                cell.cfg["optimized_metric"], read_result(cell.folder / "result.json")
            )
            job.status = JobStatus.COMPLETED
        except (CellFailed, ConfigError) as failure:
            job.return_value = failure
    elif code == STOPPED:
        job.return_value = CellFailed(f"exit code {code}, see {log_file}")
    else:
        reason = f"killed by signal {-code}" if code < 0 else f"exit code {code}, see {log_file}"
        job.return_value = died(cell, reason, seconds)
    return job


def died(cell: Cell, reason: str, seconds: float) -> CellFailed:
    """Failure of a cell whose process is gone, also written to its result.json."""
    try:
        cell.folder.mkdir(parents=True, exist_ok=True)
        write_failure(cell.cfg, cell.folder, reason, seconds)
    except OSError as fault:  # a full disk: the other cells may need less space
        log.warning("%s; not written to %s: %s", reason, cell.folder, fault)
    return CellFailed(reason)
