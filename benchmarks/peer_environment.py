"""A virtual environment for one peer library, made once under .venv-peers/<name>.

    python benchmarks/peer_environment.py topmost

The peer and the packages that only it needs are installed with pip at pinned versions and --no-deps;
everything else (torch, numpy, scipy, gensim, ...) is read from the current environment through a .pth file.
That saves a second torch of 1 GB and makes both sides of a comparison use the same one.
--system-site-packages would not do: made from a virtual environment, it shows the packages of the interpreter
behind it.

Two packages that topmost imports but ProdLDA never calls are replaced by stand-ins. torchvision, for one
download function: the wheel of the package index does not load beside a CPU build of torch ("operator
torchvision::nms does not exist"). sentence_transformers, because transformers, which it imports, mistakes
the first stand-in for the real thing. contextualized-topic-models requires both as well, but its ZeroShotTM
imports neither.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[1] / ".venv-peers"
PINS = {
    "topmost": (
        "topmost==1.0.2",
        "fastopic==1.0.1",
        "pandas==3.1.1",
        "plotly==7.1.0",
        "narwhals==2.28.0",
    ),
    "contextualized-topic-models": ("contextualized-topic-models==2.6.1", "wordcloud==1.9.6"),
}
STAND_INS = {
    "topmost": {"torchvision.datasets.utils": "download_url", "sentence_transformers": "SentenceTransformer"},
    "contextualized-topic-models": {},
}


def peer_python(name: str) -> Path:
    """Interpreter of the peer's environment, created first if it is missing or its pins have changed."""
    folder = FOLDER / name
    python = folder / "bin" / "python"
    facts = folder / "peer.json"
    wanted = {
        "pins": list(PINS[name]),
        "stand_ins": STAND_INS[name],
        "parent": sysconfig.get_path("purelib"),
        "python": sys.version,
    }
    if not facts.is_file() or json.loads(facts.read_text()) != wanted:
        print(f"making {folder} with {', '.join(PINS[name])}", flush=True)
        shutil.rmtree(folder, ignore_errors=True)
        venv.create(folder, with_pip=True)
        install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", *PINS[name]]
        subprocess.run([python, *install], check=True)
        share_packages(folder, STAND_INS[name])
        facts.write_text(json.dumps(wanted))
    return python


def share_packages(folder: Path, stand_ins: dict[str, str]) -> None:
    """Make the current environment's packages visible in this one, after its own.

    stand_ins: module -> the one name that is imported from it.
    """
    (own,) = folder.glob("lib/python*/site-packages")
    (own / "parent.pth").write_text(sysconfig.get_path("purelib") + "\n")
    for module, name in stand_ins.items():
        package = own.joinpath(*module.split("."))
        package.mkdir(parents=True)
        for parent in (package, *package.parents[: module.count(".")]):
            (parent / "__init__.py").touch()
        message = f"{module} is a stand-in made by benchmarks/peer_environment.py"
        code = f"def {name}(*_args, **_kwargs):\n    raise NotImplementedError({message!r})\n"
        (package / "__init__.py").write_text(code)


if __name__ == "__main__":
    for peer in sys.argv[1:] or PINS:
        print(peer_python(peer))
