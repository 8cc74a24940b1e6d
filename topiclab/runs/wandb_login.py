"""Logins of Weights & Biases, looked up before the first cell: wandb would ask on the terminal, and wait."""

from __future__ import annotations

import configparser
import netrc
import os
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from topiclab.config.configuration import Composed

HOST = "https://api.wandb.ai"
KEY_VARIABLES = ("WANDB_API_KEY", "WANDB_IDENTITY_TOKEN_FILE")
Mode = Literal["online", "offline", "disabled"]
# by the value of WANDB_MODE
OFFLINE: dict[str, Mode] = {"offline": "offline", "dryrun": "offline", "disabled": "disabled"}


def wandb_mode(mode: Mode) -> Mode:
    """Mode of a W&B run: that of logger.mode, but not online where WANDB_MODE keeps this machine offline."""
    given = os.environ.get("WANDB_MODE", "")
    return OFFLINE[given] if mode == "online" and given in OFFLINE else mode


def login_fault(cfg: Composed) -> str | None:
    """Fault if logger=wandb needs a login that is nowhere; sends nothing, and does not import wandb."""
    logger = cfg["logger"]
    if logger["name"] != "wandb" or wandb_mode(logger["mode"]) != "online" or has_login():
        return None
    return (
        "logger=wandb needs a login to W&B, and there is none: run `wandb login` or export WANDB_API_KEY, or "
        "keep the run on this machine by logger.mode=offline or WANDB_MODE=offline"
    )


def has_login() -> bool:
    """True if wandb would find a login where it looks: environment, netrc file, settings files."""
    if any(os.environ.get(name) for name in KEY_VARIABLES):
        return True
    settings = _settings()
    host = os.environ.get("WANDB_BASE_URL") or settings.get("base_url") or HOST
    return bool(settings.get("api_key")) or _in_netrc(urlsplit(host).netloc)


def _settings() -> dict[str, str]:
    """Settings of the user's file, then of this folder's, as `wandb login` and `wandb init` write them."""
    of_user = os.environ.get("WANDB_CONFIG_DIR") or "~/.config/wandb"
    of_folder = os.environ.get("WANDB_DIR") or "."
    found: dict[str, str] = {}
    for folder in (Path(of_user).expanduser(), *(Path(of_folder, name) for name in (".wandb", "wandb"))):
        parser = configparser.ConfigParser(interpolation=None)
        try:
            parser.read(folder / "settings", encoding="utf-8")
            found |= parser["default"]
        except (configparser.Error, KeyError, OSError, UnicodeError):  # wandb ignores such a file, too
            continue
    return found


def _in_netrc(host: str) -> bool:
    home = [path for path in (Path("~/.netrc").expanduser(), Path("~/_netrc").expanduser()) if path.exists()]
    given = os.environ.get("NETRC")
    path = Path(given).expanduser() if given else next(iter(home), None)
    try:
        entry = netrc.netrc(path).authenticators(host) if path is not None else None
    except (netrc.NetrcParseError, OSError, UnicodeError):
        return False
    return bool(entry and entry[2])
