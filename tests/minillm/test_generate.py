"""Generation by the mini-LLM: equal with and without cache, batched and alone; streamed as text."""

from dataclasses import replace

import pytest
import torch
from nano_minillm import NANO, made, some_ids

from topiclab.minillm import generate as module
from topiclab.minillm.data.tokenizer import Tokenizer
from topiclab.minillm.decoder import Decoder
from topiclab.minillm.generate import generate, stream
from topiclab.minillm.network import Cache
from topiclab.minillm.sampler import Sampler

GREEDY = Sampler(temperature=0)
KINDS = {
    "grouped": NANO,
    "pairs": replace(NANO, num_kv_heads=2),
    "full": replace(NANO, num_kv_heads=4),
    "llama": replace(NANO, qk_norm=False),
}


def lively(shape=NANO, seed=0):
    """Make a model whose logits differ enough that rounding never changes the largest."""
    model = made(shape, seed)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.ndim == 2:
                weight.mul_(6)
            elif "norm" in name:
                weight.add_(0.3 * torch.randn_like(weight))
    return model


@torch.no_grad()
def anew(model, prompt, num):
    """Greedy tokens after a prompt, rereading the whole text for each."""
    ids = torch.tensor([prompt])
    for _ in range(num):
        ids = torch.cat([ids, model.logits(model(ids)[:, -1]).argmax(dim=1, keepdim=True)], dim=1)
    return ids[0, len(prompt) :].tolist()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("padding", [None, [3, 0]])
@torch.inference_mode()
def test_a_step_of_the_decoder_is_the_network(kind, padding):
    model, ids = lively(KINDS[kind]), some_ids(2, 24)
    num_padding = None if padding is None else torch.tensor(padding)
    cache = Cache(model.shape, 2, 24, model.embed_tokens.weight)
    model(ids[:, :8], num_padding=num_padding, cache=cache)
    decoder = Decoder(model, cache, num_padding)
    steps = torch.stack([decoder.step(ids[:, place]).clone() for place in range(8, 24)], dim=1)
    whole = model.logits(model(ids, num_padding=num_padding))[:, 8:]
    assert whole.abs().max() > 5
    torch.testing.assert_close(steps, whole, atol=2e-4, rtol=0)
    with pytest.raises(ValueError, match="the cache holds 24 tokens and is full"):
        decoder.step(ids[:, 0])


@torch.inference_mode()
def test_half_precision_is_near():
    model, ids = made(), some_ids(2, 64)
    whole = model.logits(model(ids))[:, -1]
    for weight in model.parameters():
        weight.data = weight.data.bfloat16()
    cache = Cache(model.shape, 2, 64, model.embed_tokens.weight)
    model(ids[:, :63], cache=cache)
    step = Decoder(model, cache, None).step(ids[:, 63])
    torch.testing.assert_close(step.float(), whole, atol=2e-2, rtol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_with_the_cache_as_without_and_together_as_alone(kind):
    model = lively(KINDS[kind])
    prompts = [some_ids(num, seed=num).tolist() for num in (1, 9, 30, 17)]
    expected = [anew(model, prompt, 20) for prompt in prompts]
    assert len({tuple(row) for row in expected}) == 4
    assert max(len(set(row)) for row in expected) > 5
    assert generate(model, prompts, max_new_tokens=20, sampler=GREEDY) == expected
    alone = [generate(model, [prompt], max_new_tokens=20, sampler=GREEDY)[0] for prompt in prompts]
    assert alone == expected


def test_the_model_keeps_its_mode_and_drops_nothing_out():
    model, prompt = lively().train(), [5, 6, 7]
    for layer in model.layers:
        layer.dropout.p = 0.5
    rows = [generate(model, [prompt], max_new_tokens=6, sampler=GREEDY) for _ in range(3)]
    assert rows[0] == rows[1] == rows[2] == [anew(model.eval(), prompt, 6)]
    model.train()
    generate(model, [prompt], max_new_tokens=1, sampler=GREEDY)
    assert model.training


def test_a_seed_draws_the_same_text():
    model, prompts = lively(), [[5, 6, 7], [8]]
    options = {"max_new_tokens": 16, "sampler": Sampler(top_p=0.95, repetition_penalty=1.1)}
    rows = [generate(model, prompts, seed=seed, **options) for seed in (0, 0, 1)]
    assert rows[0] == rows[1] != rows[2]


def test_stop_ids_end_a_row_and_are_left_out():
    model = lively()
    prompts = [some_ids(num, seed=num).tolist() for num in (4, 9)]
    free = generate(model, prompts, max_new_tokens=20, sampler=GREEDY)
    stop = free[0][7]
    ended = generate(model, prompts, max_new_tokens=20, sampler=GREEDY, stop_ids=[stop])
    assert ended == [row[: row.index(stop)] if stop in row else row for row in free]
    assert len(ended[0]) <= 7


def test_the_penalty_forbids_what_stands_in_prompt_and_reply():
    model, prompt = lively(), some_ids(6).tolist()
    (row,) = generate(
        model, [prompt], max_new_tokens=40, sampler=Sampler(temperature=0, repetition_penalty=1e9)
    )
    assert len({*row, *prompt}) == 46


def test_no_room_in_the_context_is_an_error_before_the_first_token():
    told = "a prompt of 60 tokens and max_new_tokens=5 are more than the context of 64; shorten"
    with pytest.raises(ValueError, match=told):
        generate(made(), [some_ids(60).tolist()], max_new_tokens=5, sampler=GREEDY)
    assert len(generate(made(), [some_ids(60).tolist()], max_new_tokens=4, sampler=GREEDY)[0]) == 4
    with pytest.raises(ValueError, match="no token"):
        generate(made(), [[]], max_new_tokens=4, sampler=GREEDY)
    with pytest.raises(ValueError, match="max_new_tokens=0"):
        generate(made(), [[1]], max_new_tokens=0, sampler=GREEDY)


@pytest.mark.parametrize("num_prompt", [10, 60, 64, 200])
@torch.no_grad()
def test_a_window_that_slides_reads_its_newer_half_anew(num_prompt):
    model, prompt = lively(), some_ids(num_prompt).tolist()
    (row,) = generate(model, [prompt], max_new_tokens=150, sampler=GREEDY, is_sliding=True)
    window, expected = prompt[-(64 - 32) :], []
    if num_prompt + 150 <= 64 or num_prompt <= 32:
        window = list(prompt)
    for _ in range(150):
        token = int(model.logits(model(torch.tensor([window]))[:, -1]).argmax())
        expected.append(token)
        window = [*window[-31:], token] if len(window) == 64 else [*window, token]
    assert row == expected


def test_rows_that_slide_together_forget_their_padding():
    model = lively()
    prompts = [some_ids(num, seed=num).tolist() for num in (2, 20, 31)]
    rows = generate(model, prompts, max_new_tokens=100, sampler=GREEDY, is_sliding=True)
    longest = generate(model, prompts[2:], max_new_tokens=100, sampler=GREEDY, is_sliding=True)
    assert rows[2] == longest[0]
    short = generate(model, prompts[:1], max_new_tokens=33, sampler=GREEDY, is_sliding=True)
    assert rows[0][:33] == short[0]
    # 29 of padding, 2 of the prompt and 34 generated against a window of 64: 33 fall out, padding first
    window = (prompts[0] + rows[0][:34])[-32:]
    assert rows[0][34:67] == anew(model, window, 33)


def test_streams_are_whole_characters_and_the_text_of_all_ids(monkeypatch):
    tokenizer = Tokenizer([], 2048)
    written = "héllo 🙂🏳️‍🌈 漢字かな, zażółć \x00\r\n"
    ids = tokenizer.encode(written)
    assert len(ids) == len(written.encode())

    def pieces(ids):
        tokens = iter([torch.tensor([token]) for token in ids])
        monkeypatch.setattr(module, "next_tokens", lambda *_, **__: tokens)
        return list(stream(made(), tokenizer, [1], max_new_tokens=99, sampler=GREEDY, stop_ids=[2]))

    whole = pieces([*ids, 2, *ids])
    assert "".join(whole) == written
    assert all(len(piece) == 1 and "\ufffd" not in piece for piece in whole)
    broken = [*ids[:9], 5, *ids[11:30], *ids[4:6], *ids[-30:-29]]
    assert "".join(pieces(broken)) == tokenizer.decode(broken)
    assert "\ufffd" in tokenizer.decode(broken)


def test_a_stream_is_what_generate_writes():
    model, tokenizer = lively(), Tokenizer([], 2048)
    options = {"max_new_tokens": 40, "sampler": Sampler(), "seed": 3}
    (row,) = generate(model, [[20, 30]], **options)
    assert "".join(stream(model, tokenizer, [20, 30], **options)) == tokenizer.decode(row)
