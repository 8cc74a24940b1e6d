"""hydra/sweeper=optuna: the plugin hydra-optuna-sweeper with defaults that suit metrics of topics."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec

from hydra.core.config_store import ConfigStore

from topiclab.config.compose import ConfigError
from topiclab.runs.run import CellFailed

CHOSEN = "hydra/sweeper=optuna"
PLUGIN = "hydra_plugins.hydra_optuna_sweeper"
# The plugin's own defaults minimise, draw without a seed and stop at the first trial without a value.
SWEEPER = {
    "defaults": [{"sampler": "tpe"}],
    "_target_": f"{PLUGIN}.optuna_sweeper.OptunaSweeper",
    "direction": "maximize",
    "n_trials": 20,
    "n_jobs": 1,
    "max_failure_rate": 1.0,
    "storage": None,
    "study_name": None,
    "params": None,
    "search_space": None,
    "custom_search_space": None,
}
SAMPLERS = {
    "tpe": {"_target_": "optuna.samplers.TPESampler", "seed": 0, "n_startup_trials": 10},
    "random": {"_target_": "optuna.samplers.RandomSampler", "seed": 0},
}


def set_defaults(arguments: list[str]) -> None:
    """Give the plugin these defaults where a command line chooses it; ConfigError if it is not installed.

    A yaml of the same name in conf/ would be checked against the plugin's schema, which Hydra no longer does
    for one with a list of defaults.
    """
    if CHOSEN not in arguments:
        return
    if find_spec("hydra_plugins") is None or find_spec(PLUGIN) is None:
        raise ConfigError(
            [f"{CHOSEN} needs the package hydra-optuna-sweeper: pip install 'topiclab[optuna]'"]
        )
    logging.getLogger("alembic").setLevel(logging.WARNING)  # its plugins, one line each
    store = ConfigStore.instance()
    store.store(group="hydra/sweeper", name="optuna", node=SWEEPER, provider="topiclab")
    for name, node in SAMPLERS.items():
        store.store(group="hydra/sweeper/sampler", name=name, node=node, provider="topiclab")


@contextmanager
def told_without_value() -> Iterator[None]:
    """Raise CellFailed in place of Optuna's error at the end of a study whose trials all failed."""
    try:
        yield
    except ValueError as error:
        if str(error) != "No trials are completed yet.":
            raise
        told = "no trial has a value of optimized_metric, so there is no best one"
        raise CellFailed(f"{told}; 'Failed experiment' above names the reasons") from error
