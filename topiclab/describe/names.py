"""Names of topics that a language model writes from their terms and titles; each prompt is sent once."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from topiclab.atomic import atomic_file
from topiclab.cache import key_hash
from topiclab.describe.labels import clean_title
from topiclab.describe.representatives import Representatives
from topiclab.describe.terms import Terms
from topiclab.rate.writer import Writer

log = logging.getLogger(__name__)

SHOWN_TITLES = 5


def topic_prompts(prompt: str, terms: Terms, titles: Sequence[str], chosen: Representatives) -> list[str]:
    """K prompts from a template, with {terms} and {titles} replaced by those of the topic.

    Each representative's title is on a line of its own. A topic without terms and titles has an empty prompt.
    """
    prompts = []
    for topic, words in enumerate(terms.terms):
        rows: list[int] = [row for row in chosen.nearest[topic].tolist() if row >= 0]
        lines = "\n".join(f"- {clean_title(titles[row])}" for row in rows[:SHOWN_TITLES])
        filled = prompt.replace("{terms}", ", ".join(words)).replace("{titles}", lines)
        prompts.append(filled.strip() if words or rows else "")
    return prompts


class Names(NamedTuple):
    """Names of topics.

    names: of each prompt, "" where there is none.
    num_unanswered: number of prompts whose writer failed, and may not fail the next time.
    """

    names: list[str]
    num_unanswered: int


def written_names(prompts: Sequence[str], writer: Writer, cache_root: Path | None) -> Names:
    """Name for each prompt; each prompt is sent once per writer and cache_root."""
    names = dict.fromkeys(filter(None, prompts), "")
    folder = None if cache_root is None else Path(cache_root) / "names" / key_hash(writer.fingerprint())
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        names = {prompt: _read(_path(folder, prompt)) for prompt in names}
    asked = [prompt for prompt, name in names.items() if not name]
    num_unanswered = len(asked)
    for place, name in writer.write(asked) if asked else ():
        num_unanswered -= 1
        names[asked[place]] = name
        if name and folder is not None:
            with atomic_file(_path(folder, asked[place])) as stream:
                stream.write(json.dumps({"prompt": asked[place], "name": name}, allow_nan=False).encode())
    return Names([names.get(prompt, "") for prompt in prompts], num_unanswered)


def _path(folder: Path, prompt: str) -> Path:
    return folder / f"{key_hash({'prompt': prompt})}.json"


def _read(path: Path) -> str:
    if not path.is_file():
        return ""
    try:
        return str(json.loads(path.read_bytes())["name"])
    except (ValueError, KeyError, TypeError) as fault:
        log.warning("%s is damaged (%s); asking again", path, fault)
        return ""
