"""Composition of a checked configuration from overrides; imports nothing heavy."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import CompactHydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from topiclab.config.checks import validate
from topiclab.config.declared import conf_dir, overridden
from topiclab.config.folder_names import register
from topiclab.config.quoting import as_typed, in_shell, quoted
from topiclab.config.word_files import with_stop_words

register()


class ConfigError(ValueError):
    """A configuration that cannot run; `faults` holds one sentence for each reason."""

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = list(faults)


def compose(overrides: Sequence[str] = ()) -> dict[str, Any]:
    """The configuration that `python -m topiclab <overrides>` would run, checked, as a plain dict.

    Raises ConfigError with every fault.
    """
    cfg = to_plain(compose_unchecked(overrides))
    if faults := [*overridden(overrides), *validate(cfg)]:
        raise ConfigError(faults)
    return cfg


def compose_cell(overrides: Sequence[str]) -> tuple[dict[str, Any], Path]:
    """The configuration of `compose`, and the folder in which `python -m topiclab <overrides>` would run."""
    composed = compose_unchecked(overrides, with_hydra=True)
    cfg = to_plain(composed)
    if faults := [*overridden(overrides), *validate(cfg)]:
        raise ConfigError(faults)
    return cfg, Path(composed.hydra.run.dir)


def compose_unchecked(overrides: Sequence[str] = (), *, with_hydra: bool = False) -> DictConfig:
    """The configuration as Hydra composes it; values may be missing. ConfigError explains what Hydra refused.

    with_hydra: includes Hydra's own node.
    """
    emptied(overrides)
    standing = GlobalHydra.instance().hydra  # state of a caller who uses Hydra too
    GlobalHydra.instance().clear()
    try:
        with hydra.initialize_config_dir(str(conf_dir()), version_base="1.3", job_name="topiclab"):
            return hydra.compose("config", quoted(overrides), return_hydra_config=with_hydra)
    except CompactHydraException as error:
        raise ConfigError(explain(error, overrides)) from error
    finally:
        GlobalHydra.instance().hydra = standing


def _is_group(key: str) -> bool:
    return not Path(key).is_absolute() and (conf_dir() / key).is_dir()


def emptied(overrides: Sequence[str]) -> None:
    """Raise ConfigError for group=null, of which Hydra says less."""
    faults = []
    for key, equals, value in (override.lstrip("+").partition("=") for override in overrides):
        if equals and _is_group(key) and {"null", ""} & set(value.split(",")) and "=" not in value:
            options = sorted(path.stem for path in (conf_dir() / key).glob("[!_]*.yaml"))
            faults.append(f"{key}={value}: null is no option of this group; choose {', '.join(options)}")
    if faults:
        raise ConfigError(faults)


def to_plain(composed: DictConfig) -> dict[str, Any]:
    """The resolved configuration without Hydra's own node, with the words of the files that it names.

    ConfigError names what is still missing.
    """
    try:
        plain = _containers(composed)
    except OmegaConfBaseException as error:
        raise ConfigError([f"{error.full_key}: {str(error).splitlines()[0]}"]) from error
    if (missing := (plain.get("data") or {}).get("missing")) is not None:
        plain["data"]["missing"] = _as_typed(missing)
    try:
        return with_stop_words(plain)
    except ValueError as error:
        raise ConfigError([str(error)]) from error


def _as_typed(values: Any) -> Any:
    """Values that Hydra read as NaN, null, numbers or flags, as texts again, which a file holds."""
    if not isinstance(values, list):
        return values
    names = {None: "null", True: "true", False: "false"}
    return [names[value] if value is None or isinstance(value, bool) else str(value) for value in values]


def _containers(composed: DictConfig) -> dict[str, Any]:
    """`to_plain` without the handling of interpolation errors."""
    keys = [str(key) for key in composed if key != "hydra"]
    try:
        return {
            key: OmegaConf.to_container(composed[key], resolve=True, throw_on_missing=True)
            if OmegaConf.is_config(composed[key])
            else composed[key]
            for key in keys
        }
    except MissingMandatoryValue as error:
        missing = sorted(OmegaConf.missing_keys(OmegaConf.masked_copy(composed, keys)))
        raise ConfigError([f"{key} has no value here; add {key}=<value>" for key in missing]) from error


def explain(error: CompactHydraException, overrides: Sequence[str]) -> list[str]:
    """Faults that Hydra found, each with the key or value that was probably meant."""
    if files := [override for override in overrides if _is_file_as_data(override)]:
        return [
            f"{file}: data= chooses a kind of corpus; use data=file {in_shell(f'data.path={path}')}"
            for file in files
            for path in [file.partition("=")[2]]
        ]
    if isinstance(error, OverrideParseException) and (typed := as_typed(error.override)):
        return [
            f"{error.override}: Hydra reads some of these characters as its own grammar; put the value in "
            f"quotes: {typed}"
        ]
    if isinstance(error, MissingConfigException) and error.options and error.missing_cfg_file:
        group, _, given = error.missing_cfg_file.rpartition("/")
        options = sorted(name for name in error.options if not name.startswith("_"))
        return [
            f"{group}={given}: no such {group}{_meant(given, options, group)} Options: {', '.join(options)}"
        ]
    root = getattr(error.__cause__, "parent_node", None)
    if root is not None and "Could not override" in str(error):
        cfg = root._get_root()
        unknown = [key for key in map(_key, overrides) if key and not _stands(cfg, key)]
        known = [key for key in _all_keys(cfg) if not key.startswith("hydra")]
        return [_unknown_key(key, known, cfg) for key in unknown]
    return [str(error) if error.__cause__ is None else f"{error}: {error.__cause__}".strip(": \n")]


def _is_file_as_data(override: str) -> bool:
    """True for data=<path of a file or folder>, which names no option."""
    key, _, value = override.partition("=")
    value = value.strip("\"'")
    is_option = (conf_dir() / "data" / f"{value}.yaml").is_file()
    return (
        key == "data" and not is_option and ("/" in value or "." in value.strip(".") or Path(value).exists())
    )


def _unknown_key(key: str, known: Sequence[str], cfg: DictConfig) -> str:
    if key == "data.path":
        return f"data.path: data={cfg.data.name} reads no file of yours; add data=file"
    return f"{key}: no such key{_meant(key, known)} +{key}=... would add it"


def _key(override: str) -> str:
    """The key of a plain key=value; '' for flags and for the forms that add or delete."""
    key, equals, _ = override.partition("=")
    return key if equals and key[:1] not in "+~-" and "/" not in key else ""


def _stands(cfg: DictConfig, key: str) -> bool:
    node: Any = cfg
    for part in key.split("."):
        if not isinstance(node, DictConfig) or part not in node._content:  # type: ignore[operator]
            return False
        node = node._get_node(part)
    return True


def _all_keys(cfg: DictConfig, prefix: str = "") -> Iterator[str]:
    for name in cfg:
        yield f"{prefix}{name}"
        node = cfg._get_node(name)
        if isinstance(node, DictConfig) and not node._is_none() and not node._is_missing():
            yield from _all_keys(node, f"{prefix}{name}.")


def _meant(given: str, known: Sequence[str], group: str = "") -> str:
    """'; did you mean ...?', by the whole name first, then by the last part (dropout for model.dropout)."""
    near = get_close_matches(given, known, n=2, cutoff=0.6)
    leaves = [key for key in known if key.rsplit(".", 1)[-1] == given.rsplit(".", 1)[-1]]
    meant = list(dict.fromkeys([*leaves, *near]))[:3]
    shown = " or ".join(f"{group}={name}" if group else name for name in meant)
    return f"; did you mean {shown}?" if shown else "."
