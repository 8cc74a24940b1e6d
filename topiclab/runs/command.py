"""A command line: its arguments made ready for Hydra, and one line on the screen for whatever goes wrong."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import hydra
from hydra.core.plugins import Plugins
from hydra.errors import CompactHydraException
from omegaconf.errors import OmegaConfBaseException

from topiclab.config.compose import conf_dir, emptied
from topiclab.config.quoting import quoted
from topiclab.config.usage import usage
from topiclab.runs.faults import faults_of
from topiclab.runs.launcher import GridLauncher
from topiclab.runs.optuna_sweeper import set_defaults, told_without_value
from topiclab.runs.ray_launcher import RayLauncher
from topiclab.runs.run import CellFailed, run_from_hydra
from topiclab.runs.sweeper import GridSweeper

SWEEP_FLAGS = ("-m", "--multirun")


def run_line(arguments: list[str]) -> int:
    """Run the cells of a command line; return its exit code, and print why it is not 0."""
    arguments = multirun_first(arguments)
    arguments = quoted(arguments, is_sweep=bool(set(SWEEP_FLAGS) & set(arguments)))
    sys.argv[1:] = arguments
    wants_trace = os.environ.get("HYDRA_FULL_ERROR") == "1"
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra then raises what it would print, and we print less
    try:
        Path.cwd()
        emptied(arguments)
        _run(arguments)
        return 0
    except BrokenPipeError:  # the reader of a pipe, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (CompactHydraException, OmegaConfBaseException, ValueError, CellFailed, OSError) as error:
        faults = faults_of(error, arguments)
        if wants_trace or faults is None:
            raise
        print("\n".join(faults), file=sys.stderr)
        return 1 if isinstance(error, CellFailed) else 2


def _run(arguments: list[str]) -> None:
    register_plugins()
    set_defaults(arguments)
    if {"-h", "--help"} & set(arguments):
        print(usage(arguments), flush=True)
        return
    with told_without_value():
        hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name="config")(run_from_hydra)()


def register_plugins() -> None:
    """Register our sweeper and launchers; Hydra itself looks only in the namespace hydra_plugins."""
    plugins = Plugins.instance()
    plugins.is_in_toplevel_plugins_module = lambda clazz: clazz.startswith(  # type: ignore[method-assign]
        ("topiclab.", "hydra_plugins.", "hydra._internal.core_plugins.")
    )
    plugins.register(GridSweeper)
    plugins.register(GridLauncher)
    plugins.register(RayLauncher)


def multirun_first(arguments: list[str]) -> list[str]:
    """The arguments with -m in front: argparse takes no overrides on both sides of a flag (Hydra issue 3053).

    Not needed once Hydra 1.4 is the floor.
    """
    flags = [argument for argument in arguments if argument in SWEEP_FLAGS]
    return flags[:1] + [argument for argument in arguments if argument not in flags]
