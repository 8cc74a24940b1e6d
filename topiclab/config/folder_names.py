"""Names of run folders that every file system takes, from overrides of any length and content."""

from __future__ import annotations

import hashlib
import unicodedata

from omegaconf import OmegaConf

MAX_BYTES = 255  # of a part of a path, on every common file system
KEPT_BYTES = 120  # of a longer part
REPLACED = ("Cc", "Cs", "Zl", "Zp")  # control characters, lone surrogates, separators of lines


def folder_name(path: str) -> str:
    """The path with parts that every file system takes, and that stays below the folder it starts in.

    A part of more than 255 bytes is cut, control characters are replaced, and .. that would lead out is
    renamed; each changed part ends in a hash, so that different runs keep different folders. Other paths
    are returned as they are.
    """
    parts, climbs = path.split("/"), False
    depth = 0
    for part in parts:
        depth += {"": 0, ".": 0, "..": -1}.get(part, 1)
        climbs = climbs or depth < 0
    if climbs:
        parts = [_hashed("up", path) if part == ".." else part for part in parts]
    return "/".join(map(_fitted, parts))


def _fitted(part: str) -> str:
    kept = "".join("_" if unicodedata.category(letter) in REPLACED else letter for letter in part)
    if kept == part and len(part.encode()) <= MAX_BYTES:
        return part
    return _hashed(kept.encode()[:KEPT_BYTES].decode(errors="ignore"), part)


def _hashed(name: str, whole: str) -> str:
    return f"{name}-{hashlib.sha256(whole.encode(errors='surrogatepass')).hexdigest()[:10]}"


def register() -> None:
    """Make `folder_name` known to conf/ as a resolver; a name may be a number there."""
    OmegaConf.register_new_resolver("folder_name", lambda path: folder_name(str(path)), replace=True)
