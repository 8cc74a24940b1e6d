"""A sweep: every cell checked before the first starts, and a table of their outcomes."""

from __future__ import annotations

import logging
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.errors import CompactHydraException
from hydra.experimental.callback import Callback
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from topiclab.config.checks import validate
from topiclab.config.compose import ConfigError, explain
from topiclab.config.configuration import Composed
from topiclab.config.declared import overridden
from topiclab.runs.cell import Cell, cell_of, labels_of
from topiclab.runs.composer import SweepComposer
from topiclab.runs.faults import faults_of
from topiclab.runs.launcher import GridLauncher
from topiclab.runs.run import CellFailed, finished_result, read_result, returned
from topiclab.runs.twins import fill, reason_of, twins_of
from topiclab.runs.unfinished import is_complete
from topiclab.runs.wandb_login import login_fault


class CheckRun(Callback):
    """Hydra's hook that checks a single run before anything is written, and ends it if it is finished."""

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        try:
            if faults := list(overridden(config.hydra.overrides.task)):
                raise ConfigError(faults)
            cell, folder = cell_of((), config), Path(config.hydra.run.dir)
            if not check(cell.cfg, folder):
                make_outputs(Path(cell.cfg["paths"]["outputs"]))
                return
        except (ConfigError, OSError) as error:  # Hydra swallows what a callback raises, except an exit
            print(*(faults_of(error, config.hydra.overrides.task) or ()), sep="\n", file=sys.stderr)
            sys.exit(2)
        # before Hydra opens run.log, since a finished run may be read-only
        style = config.hydra.job_logging.formatters.simple.format
        record = logging.makeLogRecord({"name": "topiclab", "levelname": "INFO", "msg": f"reused {folder}"})
        print(logging.Formatter(style).format(record))
        sys.exit()


class GridSweeper(Sweeper):
    """All combinations of a sweep: none starts if one is faulty, and one that fails does not stop the others.

    Raises ConfigError with every fault of every cell; exit code 1 if a cell failed.
    """

    def __init__(self, params: Mapping[str, str] | None) -> None:
        self.params = [f"{key}={values}" for key, values in (params or {}).items()]

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self._context, self._task, self._config = hydra_context, task_function, config
        self._composer = SweepComposer(hydra_context.config_loader, config)

    def sweep(self, arguments: list[str]) -> None:
        cells = self._compose_cells(arguments)
        twins = twins_of(cells)
        make_outputs(Path(cells[0].cfg["paths"]["outputs"]))
        due = [cell for cell in cells if not cell.is_reused and cell.folder not in twins]
        try:
            if due:
                self._launch(due)
        finally:
            for cell in cells:
                if cell.folder in twins:
                    fill(cell, twins[cell.folder])
            outcomes = [outcome_of(cell, twins.get(cell.folder)) for cell in cells]
            print(format_table(cells, outcomes))
        if any(status not in ("done", "reused") for status, _ in outcomes):
            sys.exit(1)

    def _launch(self, cells: Sequence[Cell]) -> None:
        launcher = Plugins.instance().instantiate_launcher(self._context, self._task, self._config)
        if isinstance(launcher, GridLauncher):
            launcher.cells, launcher.composer = {cell.overrides: cell for cell in cells}, self._composer
        launcher.launch([cell.overrides for cell in cells], initial_job_idx=0)

    def _compose_cells(self, arguments: list[str]) -> list[Cell]:
        # imported here: Hydra's search for plugins executes its own modules again
        from hydra._internal.core_plugins.basic_sweeper import BasicSweeper

        parser = OverridesParser.create(config_loader=self._context.config_loader)
        parsed = parser.parse_overrides([*self.params, *arguments])
        (combinations,) = BasicSweeper.split_arguments(parsed, max_batch_size=None)
        cells: list[Cell] = []
        faults: dict[str, None] = {}  # an ordered set: many cells share one fault
        for number, overrides in enumerate(combinations):
            try:
                cell = self._compose_cell(overrides, number)
            except CompactHydraException as error:
                faults |= dict.fromkeys(explain(error, overrides))
            except ConfigError as error:
                faults |= dict.fromkeys(error.faults)
            else:
                cells.append(cell)
        folders = Counter(cell.folder for cell in cells)
        faults |= {
            f"{count} cells of this sweep would share {folder}; "
            "sweep over keys that are part of the folder, or give each sweep a name=...": None
            for folder, count in folders.items()
            if count > 1
        }
        if faults:
            raise ConfigError(list(faults))
        return cells

    def _compose_cell(self, overrides: Sequence[str], number: int) -> Cell:
        if faults := list(overridden(overrides)):
            raise ConfigError(faults)
        cell = cell_of(overrides, self._composer.compose(overrides, number))
        devices = cell.cfg["trainer"]["devices"]
        if devices != 1:
            fault = f"trainer.devices={devices} in a sweep: each process would start it again"
            raise ConfigError([f"{fault}; run such cells one by one without -m"])
        return replace(cell, is_reused=check(cell.cfg, cell.folder))


def check(cfg: Mapping[str, Any], folder: Path) -> bool:
    """True if the cell is finished in folder and lacks nothing.

    Raises ConfigError if its values or that folder forbid the cell, or if it needs a login that is not there.
    """
    if faults := validate(cfg):
        raise ConfigError(faults)
    if is_complete(finished_result(cfg, folder)):
        return True
    if fault := login_fault(cast(Composed, cfg)):
        raise ConfigError([fault])
    return False


def make_outputs(outputs: Path) -> None:
    """Make the folder of all runs, unless it is there; ConfigError if that is not possible."""
    try:
        outputs.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        told = f"paths.outputs={outputs}: no folder can be made there ({error.strerror})"
        raise ConfigError([f"{told}; give a folder that may be written"]) from error


def outcome_of(cell: Cell, fitted: Cell | None = None) -> tuple[str, str]:
    """(status, detail) after the sweep: done, reused, failed or 'not run'; its folder or why it failed.

    fitted: the cell whose fit this one shares.
    """
    path = cell.folder / "result.json"
    if not path.is_file():
        return "not run", "the same line runs it"
    try:
        result = read_result(path)
    except ConfigError as error:
        return "failed", str(error)
    if result["status"] != "done":
        return "failed", (result["reason"] or "").partition("\n")[0]
    lacks = "".join(f"; {part} is missing" for part in result.get("unfinished", []))
    try:
        returned(cell.cfg["optimized_metric"], result)
    except CellFailed as undefined:
        lacks += f"; {undefined}"
    if fitted is not None:
        return "done", f"{reason_of(cell, fitted)}  {cell.folder}{lacks}"
    status = "reused" if cell.is_reused else "done"
    return status, f"{result['seconds_total']:.1f} s  {cell.folder}{lacks}"


def format_table(cells: Sequence[Cell], outcomes: Sequence[tuple[str, str]]) -> str:
    """One line per cell, labelled by what differs between them, and a line of totals."""
    labels = labels_of([cell.overrides for cell in cells])
    width = max(map(len, labels))
    lines = [
        f"{label:{width}}  {status:7}  {detail}"
        for label, (status, detail) in zip(labels, outcomes, strict=True)
    ]
    totals = Counter(status for status, _ in outcomes)
    return "\n".join([*lines, ", ".join(f"{count} {status}" for status, count in totals.items())])
