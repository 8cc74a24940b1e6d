"""task=chat: a conversation with the model of a finished pretraining or fine-tuning, or one reply."""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from topiclab.atomic import atomic_file
from topiclab.config.configuration import Configuration
from topiclab.minillm.chat import ChatModel
from topiclab.minillm.finished import chat_model
from topiclab.runs.outcome import Outcome

log = logging.getLogger(__name__)

COMMANDS = """\
/reset          forget the conversation
/system <text>  start over under this instruction; without text, under none
/save [path]    write the conversation as JSON Lines
/quit           end"""
CONVERSATION = "conversation.jsonl"


def chat(cfg: Configuration, folder: Path) -> Outcome:
    """Reply to the prompt, or to every line until the end; words appear as they are generated.

    Writes conversation.jsonl.
    """
    model = chat_model(cfg.run_folder, cfg.own["chat"], cfg.trainer)
    talk = Talk(model, folder, cfg.seed)
    if cfg.own["prompt"] is not None:
        talk.say(cfg.own["prompt"])
    else:
        talk.listen(_lines())
    talk.save(folder / CONVERSATION)
    return Outcome(
        metrics={},
        seconds={"generate": round(talk.seconds, 3)},
        manifest={"run": str(cfg.run), "replies": talk.num_replies},
    )


class Talk:
    """A conversation in a terminal: the messages so far, and what the user's lines do to them."""

    def __init__(self, model: ChatModel, folder: Path, seed: int) -> None:
        self.model, self.folder, self.seed = model, folder, seed
        self.messages: list[dict[str, str]] = []
        self.num_replies, self.seconds = 0, 0.0
        self.begin(model.system)

    def begin(self, system: str | None) -> None:
        self.system = system
        self.messages = [] if system is None else [{"role": "system", "content": system}]

    def listen(self, lines: Iterator[str]) -> None:
        """Reply to every line; those that begin with / are commands; one that is too long prints an error."""
        for line in lines:
            if line.strip() in ("/quit", "/exit"):
                return
            if line.startswith("/"):
                self.obey(line)
            elif line.strip():
                try:
                    self.say(line)
                except ValueError as fault:  # longer than the context
                    print(fault)

    def obey(self, line: str) -> None:
        command, _, rest = line.strip().partition(" ")
        if command == "/reset":
            self.begin(self.system)
        elif command == "/system":
            self.begin(rest.strip() or None)
        elif command == "/save":
            path = Path(rest.strip()).expanduser() if rest.strip() else self.folder / CONVERSATION
            self.save(path)
            print(path)
        else:
            print(COMMANDS)

    def say(self, text: str) -> None:
        """Print the reply; Ctrl-C ends it, and the part printed so far counts as said."""
        self.messages.append({"role": "user", "content": text})
        start, pieces = time.perf_counter(), []
        prompt = self.messages if self.model.has_template else text
        try:
            for piece in self.model.stream(prompt, seed=self.seed + self.num_replies):
                print(piece, end="", flush=True)
                pieces.append(piece)
        except KeyboardInterrupt:
            print(" ...", end="")
        except ValueError:
            self.messages.pop()
            raise
        print(flush=True)
        self.seconds += time.perf_counter() - start
        self.num_replies += 1
        self.messages.append({"role": "assistant", "content": "".join(pieces)})

    def save(self, path: Path) -> None:
        """Write the conversation as one line of JSON, as task=finetune reads it."""
        line = json.dumps({"messages": self.messages}, ensure_ascii=False, allow_nan=False)
        with atomic_file(path) as stream:
            stream.write(f"{line}\n".encode())


def _lines() -> Iterator[str]:
    """Lines that a user types until Ctrl-D or Ctrl-C, or the lines of a pipe."""
    if not sys.stdin.isatty():
        yield from (line.rstrip("\n") for line in sys.stdin)
        return
    print("/help lists the commands; Ctrl-D ends")
    while True:
        try:
            yield input("> ")
        except (EOFError, KeyboardInterrupt):
            print()
            return
