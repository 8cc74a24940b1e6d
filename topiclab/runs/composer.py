"""SweepComposer: the configurations of many cells in a small part of the time that Hydra takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, OverrideType
from omegaconf import DictConfig, OmegaConf, open_dict


class SweepComposer:
    """Composes what Hydra's load_sweep_config would, for cells that differ in a few choices and many values.

    Hydra reads and merges every yaml for every cell, a tenth of a second each. Here it does so once for each
    choice of groups, and each plain key=value is then set in place; all else is left to Hydra.
    """

    def __init__(self, loader: ConfigLoader, master: DictConfig) -> None:
        self._loader, self._master = loader, master
        self._parser = OverridesParser.create(config_loader=loader)
        self._parsed: dict[str, Override] = {}
        self._bases: dict[tuple[tuple[str, ...], tuple[str, ...]], DictConfig] = {}

    def compose(self, overrides: Sequence[str], number: int) -> DictConfig:
        """The configuration of job `number`. The next call changes it in place: keep a copy.

        Raises what Hydra raises.
        """
        parsed = [self._parse(override) for override in overrides]
        places = [place for place, override in enumerate(parsed) if not self._is_plain(override)]
        first = places[-1] + 1 if places else 0  # it may change what comes before
        values = [override for override in parsed[first:] if self._is_value(override)]
        rest = tuple(line_of(override) for override in parsed if override not in values)
        base = self._base(rest, tuple(override.key_or_group for override in values))
        if not all(is_leaf(base, override.key_or_group) for override in values):
            base = self._loader.load_sweep_config(self._master, list(overrides))  # which may well refuse
        else:
            for override in values:
                OmegaConf.update(base, override.key_or_group, override.value(), merge=True)
            self._name(base, [override for override in parsed if not override.is_hydra_override()])
        with open_dict(base):
            base.hydra.job.id = base.hydra.job.num = number
        return base

    def _parse(self, override: str) -> Override:
        if override not in self._parsed:
            self._parsed[override] = self._parser.parse_override(override)
        return self._parsed[override]

    def _is_plain(self, override: Override) -> bool:
        """True if it only chooses an option of a group or sets a value."""
        return (
            override.type == OverrideType.CHANGE
            and override.package is None
            and not override.is_hydra_override()
            and not isinstance(override.value(), dict)
        )

    def _is_value(self, override: Override) -> bool:
        """True if it is plain and sets a value: its key has a dot, or exists and is not a group."""
        key = override.key_or_group
        return self._is_plain(override) and ("." in key or is_leaf(self._master, key))

    def _base(self, rest: tuple[str, ...], keys: tuple[str, ...]) -> DictConfig:
        """One configuration for all cells that set the same keys, so that no cell sees another's values."""
        if (rest, keys) not in self._bases:
            self._bases[rest, keys] = self._loader.load_sweep_config(self._master, list(rest))
        return self._bases[rest, keys]

    @staticmethod
    def _name(base: DictConfig, overrides: Sequence[Override]) -> None:
        """Set what Hydra derives from the line of the job."""
        # imported here: Hydra's search for plugins executes its own modules again
        from hydra._internal.config_loader_impl import get_overrides_dirname

        style = cast("dict[str, Any]", OmegaConf.to_container(base.hydra.job.config.override_dirname))
        base.hydra.overrides.task = [line_of(override) for override in overrides]
        base.hydra.job.override_dirname = get_overrides_dirname(list(overrides), **style)


def line_of(override: Override) -> str:
    return cast("str", override.input_line)


def is_leaf(config: DictConfig, key: str) -> bool:
    """True if the dotted key exists and holds a value or a list, not a group of keys."""
    node: Any = config
    for part in key.split("."):
        if not isinstance(node, DictConfig) or node._is_none() or part not in node._content:  # type: ignore[operator]
            return False
        node = node._get_node(part)
    return not isinstance(node, DictConfig)
