"""Text generation with the mini-LLM: several prompts at once as ids, or one as a stream of text."""

from __future__ import annotations

import codecs
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from topiclab.minillm.data.tokenizer import Tokenizer
from topiclab.minillm.decoder import Decoder
from topiclab.minillm.network import Cache, MiniLLM
from topiclab.minillm.sampler import Sampler

Ids = Sequence[int]


def generate(
    model: MiniLLM,
    prompts: Sequence[Ids],
    *,
    max_new_tokens: int,
    sampler: Sampler,
    stop_ids: Ids = (),
    seed: int = 0,
    is_sliding: bool = False,
) -> list[list[int]]:
    """Ids that follow each prompt, up to but without a stop id.

    Prompts are read together with padding at the left; with a greedy sampler each gets the same reply as
    alone, until a window slides.  is_sliding and errors: see `next_tokens`.
    """
    if not prompts:
        return []
    device = model.embed_tokens.weight.device
    stops = torch.tensor(list(stop_ids), dtype=torch.long, device=device)
    is_done = torch.zeros(len(prompts), dtype=torch.bool, device=device)
    found: list[Tensor] = []
    tokens = next_tokens(
        model, prompts, max_new_tokens=max_new_tokens, sampler=sampler, seed=seed, is_sliding=is_sliding
    )
    for drawn in tokens:
        found.append(drawn)
        is_done |= torch.isin(drawn, stops)
        if is_done.all():
            break
    rows = torch.stack(found, dim=1).tolist()
    return [_until(row, set(stop_ids)) for row in rows]


def stream(
    model: MiniLLM,
    tokenizer: Tokenizer,
    prompt: Ids,
    *,
    max_new_tokens: int,
    sampler: Sampler,
    stop_ids: Ids = (),
    seed: int = 0,
    is_sliding: bool = False,
) -> Iterator[str]:
    """Text that follows a prompt, in pieces as it is generated.

    Pieces end with whole code points, unlike tokens of bytes; joined they are the text of all ids. Bytes that
    are not UTF-8 become U+FFFD.
    """
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    tokens = next_tokens(
        model, [prompt], max_new_tokens=max_new_tokens, sampler=sampler, seed=seed, is_sliding=is_sliding
    )
    for drawn in tokens:
        token = int(drawn)
        if token in stop_ids:
            break
        if text := decoder.decode(tokenizer.pieces[token]):
            yield text
    if text := decoder.decode(b"", final=True):
        yield text


@torch.inference_mode()
def next_tokens(
    model: MiniLLM,
    prompts: Sequence[Ids],
    *,
    max_new_tokens: int,
    sampler: Sampler,
    seed: int = 0,
    is_sliding: bool = False,
) -> Iterator[Tensor]:
    """Next token of every row, (B,), max_new_tokens times.

    is_sliding: a prompt that leaves no room in the context loses its beginning, and when the context is
    full, the newer half of every row is read again as its beginning. Otherwise, if prompt and reply are
    longer than the context, a ValueError is raised before the first token.
    seed: of the generator on the model's device, where tokens are drawn.
    """
    most = _check(model, prompts, max_new_tokens, is_sliding)
    device = model.embed_tokens.weight.device
    generator = torch.Generator(device).manual_seed(seed)
    rows = [torch.tensor(row[-most:], device=device) for row in prompts]
    ids = pad_sequence(rows, batch_first=True, padding_side="left")
    num_padding = ids.shape[1] - torch.tensor([len(row) for row in rows], device=device)
    is_used = _used(rows, model.shape.vocab_size) if sampler.repetition_penalty != 1 else None

    room = min(ids.shape[1] + max_new_tokens - 1, model.shape.context_length)
    text = ids.new_zeros(len(rows), room + 1)
    text[:, : ids.shape[1]] = ids
    reader, logits = _read(model, ids, num_padding, room)
    for number in range(max_new_tokens):
        tokens = sampler.draw(logits, is_used, generator)
        yield tokens
        if is_used is not None:
            is_used.scatter_(1, tokens.unsqueeze(1), True)
        if number + 1 == max_new_tokens:
            return
        text[:, reader.cache.length] = tokens
        if reader.cache.length < room:
            logits = reader.step(tokens)
            continue
        newer = text[:, -max(1, room // 2) :].clone()
        num_padding = (num_padding - (text.shape[1] - newer.shape[1])).clamp(min=0)
        text[:, : newer.shape[1]] = newer
        reader, logits = _read(model, newer, num_padding, room)


def _read(model: MiniLLM, ids: Tensor, num_padding: Tensor, room: int) -> tuple[Decoder, Tensor]:
    """A decoder whose cache for `room` tokens per row holds ids (B, T), and logits (B, V) after the last."""
    was_training = model.training
    padding = num_padding if num_padding.any() else None
    cache = Cache(model.shape, len(ids), room, model.embed_tokens.weight)
    hidden = model.eval()(ids, num_padding=padding, cache=cache)[:, -1]
    model.train(was_training)
    return Decoder(model, cache, padding), model.logits(hidden)


def _used(rows: Sequence[Tensor], vocab_size: int) -> Tensor:
    """(B, V) bool, the tokens that occur in each row."""
    is_used = torch.zeros(len(rows), vocab_size, dtype=torch.bool, device=rows[0].device)
    for row, ids in zip(is_used, rows, strict=True):
        row[ids] = True
    return is_used


def _check(model: MiniLLM, prompts: Sequence[Ids], max_new_tokens: int, is_sliding: bool) -> int:
    """Maximum number of prompt tokens that are read; ValueError for arguments that do not fit."""
    context = model.shape.context_length
    if not prompts or not all(map(len, prompts)):
        raise ValueError("a prompt has no token to continue from; give at least <|endoftext|>")
    if max_new_tokens < 1:
        raise ValueError(f"max_new_tokens={max_new_tokens} is refused: give a whole number from 1 on")
    longest = max(map(len, prompts))
    if longest + max_new_tokens > context and not is_sliding:
        raise ValueError(
            f"a prompt of {longest} tokens and max_new_tokens={max_new_tokens} are more than the context of "
            f"{context}; shorten the prompt, ask for fewer tokens, or set is_sliding=true"
        )
    return context - min(max_new_tokens, context // 2) if longest + max_new_tokens > context else longest


def _until(row: list[int], stops: set[int]) -> list[int]:
    end = next((place for place, token in enumerate(row) if token in stops), len(row))
    return row[:end]
