"""The GGUF file of a mini-LLM, read back with the package gguf and by transformers' own reader."""

import sys

import numpy as np
import pytest
import torch
from tiny_minillm import TEXTS, tiny_model, tiny_tokenizer
from transformers import AutoModelForCausalLM

from topiclab.minillm.data.tokenizer import CHAT_TEMPLATE
from topiclab.minillm.export import export_folder
from topiclab.minillm.gguf import write_gguf

gguf = pytest.importorskip("gguf", reason="needs the extra gguf")


@pytest.fixture(scope="module", params=["qwen3", "llama"])
def exported(request, tmp_path_factory):
    model, tokenizer = tiny_model(qk_norm=request.param == "qwen3"), tiny_tokenizer()
    return model, tokenizer, export_folder(model, tokenizer, tmp_path_factory.mktemp("run") / "export")


def names_of(model):
    """Map every weight to its GGUF name."""
    inner = {
        "input_layernorm": "attn_norm",
        "self_attn.q_proj": "attn_q",
        "self_attn.k_proj": "attn_k",
        "self_attn.v_proj": "attn_v",
        "self_attn.o_proj": "attn_output",
        "self_attn.q_norm": "attn_q_norm",
        "self_attn.k_norm": "attn_k_norm",
        "post_attention_layernorm": "ffn_norm",
        "mlp.gate_proj": "ffn_gate",
        "mlp.up_proj": "ffn_up",
        "mlp.down_proj": "ffn_down",
    }
    names = {"embed_tokens.weight": "token_embd.weight", "norm.weight": "output_norm.weight"}
    for layer in range(model.shape.num_layers):
        names |= {
            f"layers.{layer}.{ours}.weight": f"blk.{layer}.{theirs}.weight" for ours, theirs in inner.items()
        }
    return {ours: theirs for ours, theirs in names.items() if ours in model.state_dict()}


@pytest.mark.parametrize("dtype", ["fp32", "fp16", "bf16"])
def test_every_tensor_reads_back(exported, tmp_path, dtype):
    model, _, folder = exported
    reader = gguf.GGUFReader(write_gguf(folder, tmp_path / "model.gguf", dtype=dtype))
    tensors = {tensor.name: tensor for tensor in reader.tensors}
    names = names_of(model)
    assert set(tensors) == set(names.values())  # no separate output head
    assert set(names) == set(model.state_dict())
    kinds = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
    for ours, weight in model.state_dict().items():
        stored = tensors[names[ours]]
        array = gguf.dequantize(stored.data, stored.tensor_type).reshape(weight.shape)
        if not model.shape.qk_norm and ours.endswith(("q_proj.weight", "k_proj.weight")):
            heads = array.reshape(-1, 8, 2, model.shape.hidden_size)
            assert not np.array_equal(array, weight)
            array = heads.swapaxes(1, 2).reshape(weight.shape)
        rounded = weight if weight.ndim == 1 else weight.to(kinds[dtype]).float()
        np.testing.assert_array_equal(array, rounded.numpy())
        kind = "fp32" if weight.ndim == 1 else dtype
        assert stored.tensor_type.name == kind.upper().replace("FP", "F")


def test_what_a_reader_must_know_is_told(exported, tmp_path):
    model, tokenizer, folder = exported
    reader = gguf.GGUFReader(write_gguf(folder, tmp_path / "model.gguf"))
    kind = "qwen3" if model.shape.qk_norm else "llama"
    told = {name: field.contents() for name, field in reader.fields.items()}
    expected = {
        "general.architecture": kind,
        f"{kind}.vocab_size": 512,
        f"{kind}.context_length": 128,
        f"{kind}.embedding_length": 64,
        f"{kind}.block_count": 2,
        f"{kind}.feed_forward_length": 128,
        f"{kind}.attention.head_count": 4,
        f"{kind}.attention.head_count_kv": 2,
        f"{kind}.attention.key_length": 16,
        f"{kind}.attention.value_length": 16,
        f"{kind}.attention.layer_norm_rms_epsilon": pytest.approx(1e-6),
        f"{kind}.rope.dimension_count": 16,
        f"{kind}.rope.freq_base": 1e6,
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "gpt-2",
        "tokenizer.ggml.tokens": tokenizer.tokens,
        "tokenizer.ggml.merges": [f"{first} {second}" for first, second in tokenizer.merges],
        "tokenizer.ggml.bos_token_id": 0,
        "tokenizer.ggml.padding_token_id": 0,
        "tokenizer.ggml.eos_token_id": 2,
        "tokenizer.ggml.eot_token_id": 2,
        "tokenizer.ggml.add_bos_token": False,
        "tokenizer.chat_template": CHAT_TEMPLATE,
    }
    assert {name: told[name] for name in expected} == expected
    types = told["tokenizer.ggml.token_type"]
    assert types[:10] == [3, 3, 3, 4, 4, 4, 4, 4, 4, 3]
    assert set(types[16 : tokenizer.num_used]) == {1}
    assert set(types[tokenizer.num_used :]) <= {5}


@pytest.mark.parametrize("changes", [{"head_dim": 128}, {"qk_norm": False}], ids=["qwen3", "llama"])
def test_transformers_reads_the_same_model_from_it(changes, tmp_path):
    # it assumes heads of 128 numbers for a Qwen3, whatever key_length says
    model, tokenizer = tiny_model(**changes), tiny_tokenizer()
    folder = export_folder(model, tokenizer, tmp_path / "export")
    write_gguf(folder, tmp_path / "model.gguf", dtype="fp32")
    theirs = AutoModelForCausalLM.from_pretrained(tmp_path, gguf_file="model.gguf", dtype=torch.float32)
    ids = torch.tensor([tokenizer.encode(" ".join(TEXTS))])
    with torch.no_grad():
        ours = model.logits(model(ids))
        torch.testing.assert_close(theirs.eval()(ids).logits, ours, atol=2e-4, rtol=0)


def test_without_the_package_the_way_out_is_told(exported, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "gguf", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'topiclab\[gguf\]'"):
        write_gguf(exported[2], tmp_path / "model.gguf")


def test_a_file_is_whole_or_absent(exported, tmp_path, monkeypatch):
    monkeypatch.setattr(gguf.GGUFWriter, "write_tensors_to_file", lambda *_: (_ for _ in ()).throw(OSError()))
    with pytest.raises(OSError):  # noqa: PT011
        write_gguf(exported[2], tmp_path / "model.gguf")
    assert list(tmp_path.iterdir()) == []
