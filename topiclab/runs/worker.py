"""Worker: a process that runs cells of a sweep one after another, and the parent's end of it."""

from __future__ import annotations

import faulthandler
import gc
import itertools
import logging
import multiprocessing
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerContext, SpawnContext
from typing import Any

from hydra import version
from hydra.core.utils import JobReturn, JobStatus, run_job, setup_globals
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict

from topiclab.machine import own_bytes
from topiclab.runs.cell import folder_of
from topiclab.runs.run import CellFailed

log = logging.getLogger("topiclab.runs.sweeper")

SECONDS_TO_STOP = 10  # for a cell to close its files after Ctrl-C
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
MAX_CELLS = 200  # of one process, in case a library leaks memory
# Exit codes of a cell; TOLD: result.json says why it failed. No code is 1: Python itself exits with 1.
DONE, TOLD, RAISED, STOPPED = 0, 70, 71, 130


class Worker:
    """The parent's end.  slot: its place among the workers.  number: of the cell it runs, None if free."""

    number: int | None
    start: float  # of that cell

    def __init__(
        self,
        starter: SpawnContext | ForkServerContext,
        slot: int,
        job: tuple[HydraContext, TaskFunction],
        gpu: str | None,
        most_bytes: int,
    ) -> None:
        self.slot, self.number = slot, None
        self.connection, theirs = starter.Pipe()
        self.process = starter.Process(target=_work, args=(theirs, *job, gpu, most_bytes))
        try:
            with uninterrupted():
                self.process.start()
        finally:
            theirs.close()  # an end of file then shows that the process died

    def begin(self, number: int, config: DictConfig) -> None:
        self.number, self.start = number, time.monotonic()
        with suppress(BrokenPipeError, ConnectionResetError):  # it died; `end` reports how
            self.connection.send(config)

    def end(self) -> tuple[int, bool]:
        """Wait for the cell; return its code and whether the worker goes on.

        The code is one of those above, or the exit code of a process that died with the cell.
        """
        try:
            return self.connection.recv()
        except (EOFError, ConnectionResetError):
            self.process.join()
            return self.process.exitcode or RAISED, False

    def dismiss(self) -> None:
        """Let a free worker end."""
        with suppress(BrokenPipeError, ConnectionResetError):
            self.connection.send(None)


def started(*arguments: Any) -> Worker | None:
    """A worker made of these arguments; None if its start failed twice.

    The server that it is forked from may have been killed; the second start makes a new one.
    """
    for _ in range(2):
        try:
            return Worker(*arguments)
        except (OSError, EOFError) as error:
            log.warning("a worker did not start: %s: %s", type(error).__name__, error)
    return None


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Hold back Ctrl-C during the block, so that no half-started process reports an end of file later."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT}) if os.name == "posix" else None
    try:
        yield
    finally:
        if before is not None:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


def start_method(task_module: str, threads: int) -> SpawnContext | ForkServerContext:
    """Context of processes, forked from a server that has imported the task once where the system can."""
    for variable in THREAD_VARIABLES:  # before the server imports torch
        os.environ.setdefault(variable, str(threads))
    if sys.platform != "linux":
        return multiprocessing.get_context("spawn")
    server = multiprocessing.get_context("forkserver")
    server.set_forkserver_preload(["topiclab.runs.command", task_module])
    return server


def first_ended(workers: Sequence[Worker]) -> list[Worker]:
    """Workers whose cell has ended, among those with a cell; waits for one."""
    ended = wait([worker.connection for worker in workers])
    return [worker for worker in workers if worker.connection in ended]


def stop(workers: Sequence[Worker]) -> None:
    """Interrupt the cells that still run, and kill workers that have not ended some seconds later."""
    for worker in workers:
        if worker.number is None:
            worker.dismiss()
        elif worker.process.pid is not None and worker.process.is_alive():
            os.kill(worker.process.pid, signal.SIGINT)
    deadline = time.monotonic() + SECONDS_TO_STOP
    for worker in workers:
        worker.process.join(max(0.0, deadline - time.monotonic()))
        if worker.process.is_alive():
            worker.process.kill()


def run_here(context: HydraContext, task_function: TaskFunction, config: DictConfig) -> JobReturn:
    """Run one cell in this process, as Hydra's own launcher does."""
    return run_job(task_function, config, "hydra.sweep.dir", "hydra.sweep.subdir", context)


def _work(
    connection: Connection,
    context: HydraContext,
    task_function: TaskFunction,
    gpu: str | None,
    most_bytes: int,
) -> None:
    """Run cells in the worker's process until none is left, one fails, or it has grown or done enough.

    A failed cell may leave anything behind (a CUDA context that is lost, memory), so no other follows it.
    """
    os.setsid()  # Ctrl-C reaches the parent only, which then interrupts its workers one by one
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})  # held back when it was started
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if gpu is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpu
    version.setbase("1.3")  # older versions run in the run folder, which breaks relative paths
    setup_globals()
    faulthandler.enable()
    gc.freeze()  # what is imported stays: a collection need not scan it
    try:
        for count in itertools.count(1):
            config = connection.recv()
            if config is None:
                return
            code = do_cell(context, task_function, config)
            let_go()
            goes_on = code == DONE and count < MAX_CELLS and own_bytes() < most_bytes
            connection.send((code, goes_on))
            if not goes_on:
                return
    except (KeyboardInterrupt, EOFError, ConnectionError):  # the last two: the parent is gone
        sys.exit(STOPPED)


def do_cell(context: HydraContext, task_function: TaskFunction, config: DictConfig) -> int:
    """Run a cell in a process that runs no other meanwhile; return one of the codes above."""
    with open_dict(config):
        config.hydra.job_logging.root.handlers = ["file"]
    folder = folder_of(config)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        log_file = os.open(folder / "run.log", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    except OSError as error:
        print(f"{folder}: {error}", file=sys.stderr)
        return RAISED
    with _output_to(log_file):
        job = run_here(context, task_function, config)
        if job.status == JobStatus.COMPLETED:
            return DONE
        if isinstance(job._return_value, CellFailed):  # already written to result.json and run.log
            return TOLD
        traceback.print_exception(job._return_value)
        return RAISED


@contextmanager
def _output_to(output: int) -> Iterator[None]:
    """Append what this process and its libraries print to the open file meanwhile, then close it."""
    kept = os.dup(1), os.dup(2)
    try:
        os.dup2(output, 1)
        os.dup2(output, 2)
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for descriptor, place in zip(kept, (1, 2), strict=True):
            os.dup2(descriptor, place)
            os.close(descriptor)
        os.close(output)


def let_go() -> None:
    """Release what the cell held: cycles of objects (Lightning's trainer and its model), GPU memory."""
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.empty_cache()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(STOPPED)
