"""logger=wandb without a login is refused before the first cell; every login that wandb knows is found."""

import sys
from pathlib import Path

import pytest

from topiclab.config.compose import ConfigError, compose
from topiclab.runs.sweeper import check
from topiclab.runs.wandb_login import wandb_mode

KEY = "0123456789abcdef0123456789abcdef01234567"
NETRC = f"machine {{host}}\n  login user\n  password {KEY}\n"
LINE = ["logger=wandb", "model=nmf"]


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """Give the test a home without any login."""
    for name in ("API_KEY", "IDENTITY_TOKEN_FILE", "MODE", "BASE_URL", "CONFIG_DIR", "DIR"):
        monkeypatch.delenv(f"WANDB_{name}", raising=False)
    monkeypatch.delenv("NETRC", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_without_a_login_no_cell_starts(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)  # an import of it fails
    write(tmp_path / ".netrc", NETRC.format(host="elsewhere.org"))
    with pytest.raises(ConfigError) as caught:
        check(compose(LINE), tmp_path / "run")
    for way_out in ("wandb login", "WANDB_API_KEY", "logger.mode=offline", "WANDB_MODE=offline"):
        assert way_out in str(caught.value)
    for overrides in (["logger=csv"], ["logger=wandb", "logger.mode=offline"]):
        assert not check(compose([*LINE, *overrides]), tmp_path / "run")


@pytest.mark.parametrize("value", ["offline", "dryrun", "disabled"])
def test_a_machine_that_stays_offline_needs_no_login(value, tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", value)
    assert not check(compose(LINE), tmp_path / "run")
    assert wandb_mode("online") == value.replace("dryrun", "offline")
    assert wandb_mode("offline") == "offline"


@pytest.mark.parametrize("place", ["netrc", "own netrc", "own host", "variable", "token", "settings"])
def test_a_login_is_found_where_wandb_looks(place, tmp_path, monkeypatch):
    if place == "netrc":
        write(tmp_path / ".netrc", NETRC.format(host="api.wandb.ai"))
    elif place == "own netrc":
        monkeypatch.setenv("NETRC", "~/logins")
        write(tmp_path / "logins", NETRC.format(host="api.wandb.ai"))
    elif place == "own host":
        write(tmp_path / ".config" / "wandb" / "settings", "[default]\nbase_url = https://wandb.my.org\n")
        write(tmp_path / "_netrc", NETRC.format(host="wandb.my.org"))
    elif place == "settings":
        write(tmp_path / "wandb" / "settings", f"[default]\napi_key = {KEY}\n")
    else:
        monkeypatch.setenv("WANDB_API_KEY" if place == "variable" else "WANDB_IDENTITY_TOKEN_FILE", KEY)
    assert not check(compose(LINE), tmp_path / "run")
