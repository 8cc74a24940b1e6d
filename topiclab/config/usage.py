"""Text of --help; Hydra's own listing of groups takes a second."""

from __future__ import annotations

from collections.abc import Sequence

from omegaconf import OmegaConf

from topiclab.config.compose import compose_unchecked, conf_dir

TEMPLATE = """\
topiclab: neural topic models, configured by Hydra

  python -m topiclab [group=option ...] [key=value ...]     one cell
  python -m topiclab -m key=value,value ...                 a grid of cells

Groups and their options
{groups}

Keys, as this line sets them
{keys}
Examples
  python -m topiclab data=20newsgroups model=prodlda num_topics=20
  python -m topiclab -m model=theta embedder=minilm num_topics=25,50,75,100 seed=0,1,2 grid.jobs=2
  python -m topiclab task=embed data=file data.path=posts.csv data.text_column=text embedder=minilm
  python -m topiclab model=prodlda --help                   the keys of that choice
  python -m topiclab -cd experiments -cn <system>/<file>    a grid from a file; Hydra's flags: --hydra-help

The same line reuses a finished cell and resumes an interrupted one."""


def usage(arguments: Sequence[str]) -> str:
    """The help for a command line, whose overrides show in the keys; ConfigError if they are faulty."""
    # without a key they are values of flags, such as the folder of -cd
    overrides = [given for given in arguments if given[:1] == "~" or ("=" in given and given[:1] != "-")]
    options: dict[str, list[str]] = {}
    for path in sorted(conf_dir().glob("*/[!_]*.yaml")):
        options.setdefault(path.parent.name, []).append(path.stem)
    groups = "\n".join(f"  {group}: {', '.join(names)}" for group, names in options.items())
    keys = OmegaConf.to_yaml(compose_unchecked(overrides))
    return TEMPLATE.format(groups=groups, keys="".join(f"  {line}\n" for line in keys.splitlines()))
