"""`python -m topiclab` and `topiclab`: from a command line to running cells."""

from __future__ import annotations

import os
import re
import sys

import hydra
from hydra.core.plugins import Plugins
from hydra.errors import CompactHydraException

from topiclab.config.compose import ConfigError, conf_dir, explain, quote_run
from topiclab.config.usage import usage
from topiclab.runs.launcher import GridLauncher
from topiclab.runs.ray_launcher import RayLauncher
from topiclab.runs.run import CellFailed, run_from_hydra
from topiclab.runs.sweeper import GridSweeper


def main() -> None:
    """Exit with 0 if all cells are done, 1 if one failed, 2 if the line is faulty, 130 if interrupted."""
    arguments = sys.argv[1:] = readable(multirun_first(sys.argv[1:]))
    wants_trace = os.environ.get("HYDRA_FULL_ERROR") == "1"
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra then raises what it would print, and we print less
    register_plugins()
    try:
        if {"-h", "--help"} & set(arguments):
            print(usage(arguments))
            return
        hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name="config")(run_from_hydra)()
    except (CompactHydraException, ConfigError, CellFailed) as error:
        if wants_trace:
            raise
        faults = explain(error, arguments) if isinstance(error, CompactHydraException) else [str(error)]
        print("\n".join(faults), file=sys.stderr)
        sys.exit(1 if isinstance(error, CellFailed) else 2)
    except KeyboardInterrupt:
        print("interrupted; the same line resumes", file=sys.stderr)
        sys.exit(130)


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
    flags = [argument for argument in arguments if argument in ("-m", "--multirun")]
    return flags[:1] + [argument for argument in arguments if argument not in flags]


def readable(arguments: list[str]) -> list[str]:
    """The arguments quoted for Hydra's grammar; unchanged in a sweep, where run=a,b means two runs."""
    if {"-m", "--multirun"} & set(arguments):
        return arguments
    return [quote_prompt(argument) for argument in quote_run(arguments)]


def quote_prompt(argument: str) -> str:
    """The argument with the text of prompt=... in quotes: its commas and brackets are not Hydra's grammar."""
    key, equals, value = argument.partition("=")
    if key != "prompt" or value in ("", "null") or value[0] in "\"'":
        return argument
    # a backslash is literal except before a quote
    escaped = re.sub(r"(\\*)('|$)", lambda found: 2 * found[1] + ("\\'" if found[2] else ""), value)
    return f"{key}{equals}'{escaped}'"


if __name__ == "__main__":
    main()
