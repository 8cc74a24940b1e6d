"""Conversations: JSON lines of chat, and their tokens in ChatML, with the training targets marked."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from topiclab.data.sources.json_lines import LineBlocks
from topiclab.minillm.data.packing import ranges
from topiclab.minillm.data.tokenizer import END_OF_TURN, START_OF_TURN, Tokenizer

ROLES = ("system", "user", "assistant")
REPLY = "assistant"
# Role names in files -> ours.
ALIASES = {**{role: role for role in ROLES}, "human": "user", "gpt": "assistant"}
FORMS = ("conversations", "messages")


class Turn(NamedTuple):
    """One message of a conversation.  role: one of ROLES."""

    role: str
    content: str


Conversation = tuple[Turn, ...]


@dataclass(frozen=True, eq=False)
class ConversationTokens:
    """Tokens of D conversations: ids (N,) uint16, offsets (D + 1,) int64.

    is_target: (N,) bool, true for the tokens of replies and the END_OF_TURN that closes each.
    """

    ids: np.ndarray
    offsets: np.ndarray
    is_target: np.ndarray


def read_conversations(path: Path) -> list[Conversation]:
    """Read a file, plain, .gz or .zst, with {"messages": [...]} or {"conversations": [...]} per line.

    A message is {"role", "content"} or {"from", "value"}; a blank system message is left out. Raises
    ValueError with the number of the first line that is not a conversation, and the reason.
    """
    conversations: list[Conversation] = []
    for number, line in enumerate(_lines(path), 1):
        if not line.strip():
            continue
        try:
            conversations.append(conversation_of(json.loads(line)))
        except (ValueError, RecursionError) as fault:
            raise ValueError(f"{path}, line {number}: {fault}; correct or remove it") from fault
    if not conversations:
        raise ValueError(
            f'{path} holds no conversations; give JSON lines such as {{"messages": [{{"role": "user", '
            '"content": "..."}, {"role": "assistant", "content": "..."}]}'
        )
    return conversations


def _lines(path: Path) -> Iterator[bytes]:
    blocks = LineBlocks(path)
    for block in blocks:
        yield from block.removesuffix(b"\n").split(b"\n")
    if blocks.fault is not None:
        raise ValueError(f"{path} is {blocks.fault}; pack it again")


def conversation_of(record: Any) -> Conversation:
    """The turns of a record; ValueError if it is malformed, has an unknown role or ends without a reply."""
    found = [record[form] for form in FORMS if isinstance(record, Mapping) and form in record]
    if len(found) != 1 or not isinstance(found[0], list):
        raise ValueError("not an object with one list, messages or conversations")
    turns = [turn for turn in map(_turn, found[0]) if turn.role != "system" or turn.content.strip()]
    if not turns:
        raise ValueError("the conversation is empty")
    if turns[-1].role != REPLY:
        raise ValueError(f"the conversation ends with the {turns[-1].role}, not with a reply to learn")
    return tuple(turns)


def _turn(message: Any) -> Turn:
    if not isinstance(message, Mapping):
        raise ValueError(f"a message is a {type(message).__name__}, not an object with role and content")
    role = message.get("role", message.get("from"))
    content = message.get("content", message.get("value"))
    if role not in ALIASES:
        raise ValueError(f"the role {role!r} is unknown; use {', '.join(ALIASES)}")
    if not isinstance(content, str):
        raise ValueError(f"the content of a message of the {role} has type {type(content).__name__}, not str")
    if ALIASES[role] != "system" and not content.strip():
        raise ValueError(f"a message of the {role} is empty")
    if any("\ud800" <= character <= "\udfff" for character in content):
        raise ValueError(f"the content of a message of the {role} holds half a surrogate pair")
    return Turn(ALIASES[role], content)


def conversation_tokens(conversations: Sequence[Conversation], tokenizer: Tokenizer) -> ConversationTokens:
    """Tokens of the conversations, turn by turn, with replies marked; no text becomes a special token."""
    turns = list(chain.from_iterable(conversations))
    ids, ends, is_target = _turn_tokens(turns, tokenizer)
    last = np.cumsum([len(turns) for turns in conversations], dtype=np.int64)
    return ConversationTokens(ids, np.concatenate([[0], ends])[np.concatenate([[0], last])], is_target)


def turn_ids(tokenizer: Tokenizer, role: str, content: str) -> list[int]:
    """Ids of one turn of ChatML; names of special tokens in the content stay text."""
    return _turn_tokens([Turn(role, content)], tokenizer)[0].tolist()


def opening_ids(tokenizer: Tokenizer) -> list[int]:
    """Ids that precede a reply."""
    return [START_OF_TURN, *tokenizer.encode(f"{REPLY}\n")]


def _turn_tokens(turns: Sequence[Turn], tokenizer: Tokenizer) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Ids, ends of the turns, and target mask; a reply is tokenized on its own, as it is generated."""
    opening, closing = opening_ids(tokenizer), [END_OF_TURN, *tokenizer.encode("\n")]
    is_reply = np.array([turn.role == REPLY for turn in turns], dtype=bool)
    inner, offsets = tokenizer.encode_batch(
        turn.content if turn.role == REPLY else f"{turn.role}\n{turn.content}" for turn in turns
    )
    before, sizes = np.where(is_reply, len(opening), 1), np.diff(offsets)
    ends = np.cumsum(before + sizes + len(closing))
    close = ends - len(closing)
    ids = np.empty(int(ends[-1]), dtype=np.uint16)
    is_target = np.zeros(len(ids), dtype=bool)
    first = close - sizes - before
    ids[first] = START_OF_TURN
    ids[first[is_reply, None] + np.arange(len(opening))] = opening
    ids[close[:, None] + np.arange(len(closing))] = closing
    cells = ranges(close - sizes, sizes)
    ids[cells] = inner
    is_target[cells] = np.repeat(is_reply, sizes)
    is_target[close] = is_reply
    return ids, ends, is_target
