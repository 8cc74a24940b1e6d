"""The network of the mini-LLM: equal to transformers' own, causal, and equal with and without a cache."""

import math
from dataclasses import replace

import pytest
import torch
from nano_minillm import NANO, made, some_ids
from transformers import LlamaConfig, LlamaForCausalLM, Qwen3Config, Qwen3ForCausalLM

from topiclab.minillm.network import IGNORED, Cache, MiniLLM, rotate

ORIGINAL = replace(
    NANO,
    vocab_size=6400,
    hidden_size=512,
    num_layers=8,
    num_heads=8,
    num_kv_heads=2,
    head_dim=64,
    ffn_size=1408,
)


def twin(model, rope_theta=None):
    """Make transformers' model with the same weights."""
    shape = model.shape
    sizes = {
        "vocab_size": shape.vocab_size,
        "hidden_size": shape.hidden_size,
        "intermediate_size": shape.ffn_size,
        "num_hidden_layers": shape.num_layers,
        "num_attention_heads": shape.num_heads,
        "num_key_value_heads": shape.num_kv_heads,
        "head_dim": shape.head_dim,
        "rms_norm_eps": shape.norm_eps,
        "rope_parameters": {"rope_type": "default", "rope_theta": rope_theta or shape.rope_theta},
        "tie_word_embeddings": True,
    }
    other = (
        Qwen3ForCausalLM(Qwen3Config(**sizes)) if shape.qk_norm else LlamaForCausalLM(LlamaConfig(**sizes))
    )
    weights = {f"model.{name}": weight for name, weight in model.state_dict().items()}
    other.load_state_dict(weights | {"lm_head.weight": model.embed_tokens.weight})
    return other.eval()


@pytest.mark.parametrize(
    "shape", [NANO, ORIGINAL, replace(NANO, qk_norm=False), replace(NANO, num_kv_heads=4)]
)
def test_logits_are_those_of_transformers(shape):
    model, ids = made(shape), some_ids(2, 64)
    with torch.no_grad():
        ours, theirs = model.logits(model(ids)), twin(model)(ids).logits
        elsewhere = twin(model, rope_theta=1e4)(ids).logits
    torch.testing.assert_close(ours, theirs, atol=2e-4, rtol=0)
    assert (ours - elsewhere).abs().max() > 2e-4  # the comparison detects another base of the positions


@pytest.mark.parametrize(
    ("shape", "num"),
    [
        (ORIGINAL, 25_830_912),
        (replace(ORIGINAL, qk_norm=False), 25_829_888),
        (replace(ORIGINAL, num_kv_heads=8), 25_830_912 + 3_145_728),
    ],
)
def test_the_number_of_parameters_is_the_published_one(shape, num):
    with torch.device("meta"):
        model = MiniLLM(shape)
    assert shape.num_parameters == num == sum(weight.numel() for weight in model.parameters())
    assert shape.flops_per_token(512) == 6 * (
        num - sum(p.numel() for p in model.parameters() if p.ndim == 1)
    ) + (12 * 8 * 512 * 512)


def test_a_token_sees_none_that_comes_after():
    model, ids = made(), some_ids(1, 32)
    changed = ids.clone()
    changed[0, 20] = (changed[0, 20] + 1) % NANO.vocab_size
    with torch.no_grad():
        before, after = model(ids)[0], model(changed)[0]
    torch.testing.assert_close(before[:20], after[:20], atol=0, rtol=0)
    assert ((before[20:] - after[20:]).abs().amax(dim=1) > 1e-6).all()


def test_packed_documents_are_what_they_are_alone():
    model, ids = made(), some_ids(2, 48)
    documents = torch.tensor([[0] * 20 + [1] * 27 + [2], [5] * 48])
    with torch.no_grad():
        packed = model(ids, documents=documents)
        alone = [model(ids[:1, :20]), model(ids[:1, 20:47]), model(ids[:1, 47:])]
        torch.testing.assert_close(packed[:1], torch.cat(alone, dim=1), atol=1e-5, rtol=0)
        torch.testing.assert_close(packed[1], model(ids)[1], atol=1e-5, rtol=0)


def test_padding_at_the_left_changes_nothing():
    model, ids = made(), some_ids(1, 40)
    row = torch.cat([torch.zeros(1, 7, dtype=torch.long), ids[:, :33]], dim=1)
    with torch.no_grad():
        padded = model(torch.cat([row, ids]), num_padding=torch.tensor([7, 0]))
        torch.testing.assert_close(padded[0, 7:], model(ids)[0, :33], atol=1e-5, rtol=0)
        torch.testing.assert_close(padded[1], model(ids)[0], atol=1e-5, rtol=0)


@pytest.mark.parametrize("steps", [[1] * 24, [10, 1, 1, 12], [24]])
@pytest.mark.parametrize("padding", [None, [3, 0]])
def test_with_a_cache_as_without(steps, padding):
    model, ids = made(), some_ids(2, 24)
    num_padding = None if padding is None else torch.tensor(padding)
    cache = Cache(NANO, 2, 24, model.embed_tokens.weight)
    with torch.no_grad():
        parts = [model(part, num_padding=num_padding, cache=cache) for part in ids.split(steps, dim=1)]
        whole = model(ids, num_padding=num_padding)
    torch.testing.assert_close(torch.cat(parts, dim=1), whole, atol=1e-5, rtol=0)
    assert cache.num_bytes == 4 * 2 * 2 * 1 * 24 * 32 * 4
    with pytest.raises(ValueError, match="25 tokens, but the cache holds 24"):
        model(ids[:, :1], cache=cache)


def test_a_cache_repeats_for_samples_of_one_prompt():
    model, ids = made(), some_ids(1, 12)
    cache = Cache(NANO, 1, 20, model.embed_tokens.weight)
    with torch.no_grad():
        model(ids[:, :10], cache=cache)
        three = model(ids[:, 10:].expand(3, -1), cache=cache.repeat(3))
        torch.testing.assert_close(three, model(ids)[:, 10:].expand(3, -1, -1), atol=1e-5, rtol=0)


def test_rotation_is_a_product_of_complex_numbers_and_tells_distances():
    heads = torch.randn(1, 1, 6, 8, generator=torch.Generator().manual_seed(0))
    angles = torch.arange(6).view(1, 1, -1, 1) * torch.tensor([1.0, 0.3, 0.1, 0.01])
    turned = rotate(heads, (angles.cos(), angles.sin()))
    first, second = heads.chunk(2, dim=-1)
    numbers = torch.complex(first, second) * torch.polar(torch.ones(()), angles)
    torch.testing.assert_close(turned, torch.cat([numbers.real, numbers.imag], dim=-1))
    later = angles + 100 * torch.tensor([1.0, 0.3, 0.1, 0.01])
    shifted = rotate(heads, (later.cos(), later.sin()))
    torch.testing.assert_close(turned @ turned.mT, shifted @ shifted.mT, atol=1e-4, rtol=0)


def test_shared_keys_are_repeated_keys():
    grouped = made(replace(NANO, num_kv_heads=2))
    full = MiniLLM(replace(NANO, num_kv_heads=4)).eval()
    weights = grouped.state_dict()
    for name in [name for name in weights if name.endswith(("k_proj.weight", "v_proj.weight"))]:
        weights[name] = weights[name].unflatten(0, (2, 32)).repeat_interleave(2, dim=0).flatten(0, 1)
    full.load_state_dict(weights)
    ids = some_ids(2, 16)
    with torch.no_grad():
        torch.testing.assert_close(grouped(ids), full(ids), atol=1e-5, rtol=0)


def test_the_first_loss_is_that_of_a_guess_and_a_batch_is_learned_by_heart():
    model, ids = made().train(), some_ids(4, 33)
    labels = ids[:, 1:].clone()
    labels[:, :4] = IGNORED
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    losses = []
    for _ in range(60):
        nll = model.nll(model(ids[:, :-1]), labels)
        losses.append(float(nll.sum().detach() / 112))
        optimizer.zero_grad()
        (nll.sum() / 112).backward()
        optimizer.step()
    assert (nll[:, :4] == 0).all()
    assert losses[0] == pytest.approx(math.log(NANO.vocab_size), abs=0.1)
    assert losses[-1] < 0.05


def test_shapes_that_cannot_be():
    with pytest.raises(ValueError, match="num_heads=4 cannot share num_kv_heads=3 evenly"):
        replace(NANO, num_kv_heads=3)
    with pytest.raises(ValueError, match="head_dim=31 must be even"):
        replace(NANO, head_dim=31)
