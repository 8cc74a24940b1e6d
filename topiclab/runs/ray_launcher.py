"""The cells of a sweep as Ray tasks: on a cluster, or on this machine in a Ray started for them."""

from __future__ import annotations

import faulthandler
import logging
import os
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from hydra import version
from hydra.core.utils import JobReturn, JobStatus, setup_globals
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from topiclab.config.compose import ConfigError
from topiclab.runs.cell import Cell
from topiclab.runs.launcher import GridLauncher, died, job_return, progress_of
from topiclab.runs.worker import do_cell, let_go

log = logging.getLogger("topiclab.runs.sweeper")

OBJECT_STORE_BYTES = 80 * 2**20  # the minimum of Ray: cells share files, not objects


class RayLauncher(GridLauncher):
    """Hydra's launcher of hydra/launcher=ray; returns for every cell and raises only on an interrupt.

    address: of a cluster whose machines see this folder and this installation; None starts Ray here with
    num_workers processes, and ends it.  num_cpus, num_gpus: needed by a cell, fractions too.
    """

    def __init__(self, address: str | None, num_workers: int, num_cpus: float, num_gpus: float) -> None:
        super().__init__()
        self.address, self.num_workers = address, num_workers
        self.num_cpus, self.num_gpus = num_cpus, num_gpus

    def run(self, cells: Sequence[Cell], compose: Callable[[int], DictConfig]) -> Sequence[JobReturn]:
        ray = self._started()
        returns: dict[int, JobReturn] = {}
        pending: dict[Any, int] = {}
        try:
            progress = progress_of(cells, self._jobs(ray.cluster_resources()))
            remote = ray.remote(num_cpus=self.num_cpus, num_gpus=self.num_gpus, max_retries=0)(_do_remotely)
            job = ray.put((self.hydra_context, self.task_function, Path.cwd()))
            for number in range(len(cells)):
                pending[remote.remote(job, compose(number))] = number
            while pending:
                (task,), _ = ray.wait(list(pending), num_returns=1)
                number = pending.pop(task)
                returns[number], seconds = _ended(ray, task, cells[number])
                is_done = returns[number].status == JobStatus.COMPLETED
                log.info(progress.ended(number, is_done, seconds))
        finally:
            for task in pending:
                ray.cancel(task, force=True)
            ray.shutdown()
        return [returns[number] for number in range(len(cells))]

    def _started(self) -> Any:
        """The module ray, connected, without usage statistics or a dashboard."""
        if find_spec("ray") is None:
            raise ConfigError(["hydra/launcher=ray needs the package ray: pip install 'topiclab[ray]'"])
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        options: Mapping[str, Any] = {"address": self.address}
        if self.address is None:
            # a token, kept in no file, keeps out others on the network
            os.environ.setdefault("RAY_AUTH_MODE", "token")
            os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
            options = {
                "address": "local",
                "num_cpus": max(1, round(self.num_workers * self.num_cpus)),
                "include_dashboard": False,
                "object_store_memory": OBJECT_STORE_BYTES,
            }
        import ray

        ray.init(**options, log_to_driver=False, logging_level=logging.ERROR)
        return ray

    def _jobs(self, there: Mapping[str, float]) -> int:
        """Number of cells at a time with these resources; ConfigError if a Ray started here has too few."""
        asked = {"CPU": self.num_cpus, "GPU": self.num_gpus}
        for name, count in asked.items():
            if count <= there.get(name, 0):
                continue
            told = f"hydra.launcher.num_{name.lower()}s={count:g}, but Ray has {there.get(name, 0):g}"
            if self.address is None:
                raise ConfigError([f"{told} on this machine, so no cell would ever start; ask for fewer"])
            log.warning("%s: cells wait until a machine with as many joins the cluster", told)
        fitting = [int(there.get(name, 0) / count) for name, count in asked.items() if count]
        return max(1, min(fitting, default=self.num_workers))


def _do_remotely(job: tuple[HydraContext, TaskFunction, Path], config: DictConfig) -> tuple[int, float]:
    """Run a cell in a Ray process; return its exit code (see worker.py) and its seconds."""
    context, task_function, folder = job
    start = time.monotonic()
    os.chdir(folder)  # relative paths start where the sweep was started
    version.setbase("1.3")
    setup_globals()
    faulthandler.enable()
    code = do_cell(context, task_function, config)
    let_go()
    return code, time.monotonic() - start


def _ended(ray: Any, task: Any, cell: Cell) -> tuple[JobReturn, float]:
    try:
        code, seconds = ray.get(task)
    except ray.exceptions.RayError as error:
        reason = f"{type(error).__name__}: {str(error).strip().splitlines()[0]}"
        job = JobReturn(overrides=list(cell.overrides), status=JobStatus.FAILED)
        job.return_value = died(cell, reason, 0.0)
        return job, 0.0
    return job_return(cell, code, seconds), seconds
