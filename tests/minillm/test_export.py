"""The exported mini-LLM: transformers gives equal outputs; damage and foreign tokenizers are reported."""

import json
import shutil

import numpy as np
import pytest
import torch
from made_settings import CPU
from safetensors import safe_open
from tiny_lm import documents
from tiny_minillm import SHAPE, TEXTS, tiny_model, tiny_tokenizer
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM, Qwen3ForCausalLM

from topiclab.minillm.data.tokenizer import Tokenizer
from topiclab.minillm.export import export_folder, load_folder
from topiclab.minillm.generate import generate
from topiclab.minillm.sampler import Sampler
from topiclab.teach.causal_lm import CausalLMTeacher

TURNS = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "What is this about? 🙂\n\n  Music."},
    {"role": "assistant", "content": " music"},
    {"role": "user", "content": "And that?"},
]


@pytest.fixture(scope="module")
def tokenizer():
    return tiny_tokenizer()


@pytest.fixture(scope="module", params=["qwen3", "llama"])
def exported(request, tokenizer, tmp_path_factory):
    model = tiny_model(qk_norm=request.param == "qwen3")
    return model, export_folder(model, tokenizer, tmp_path_factory.mktemp(request.param) / "export")


@pytest.fixture
def folder(tokenizer, tmp_path):
    return export_folder(tiny_model(), tokenizer, tmp_path / "export")


def loaded(folder):
    """Load as anyone would, without our code."""
    return AutoModelForCausalLM.from_pretrained(folder, local_files_only=True).eval()


def files(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_transformers_gives_the_same_logits_and_the_same_text(exported):
    model, folder = exported
    theirs = loaded(folder)
    assert type(theirs) is (Qwen3ForCausalLM if model.shape.qk_norm else LlamaForCausalLM)
    assert theirs.dtype == torch.float32
    ids = torch.randint(16, 512, (2, 64), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        out, ours = theirs(ids, labels=ids), model.logits(model(ids))
        loss = torch.nn.functional.cross_entropy(ours[:, :-1].flatten(0, 1), ids[:, 1:].flatten())
    torch.testing.assert_close(ours, out.logits, atol=2e-4, rtol=0)
    assert float(loss) == pytest.approx(float(out.loss), abs=1e-5)
    assert ours.std() > 0.5
    prompt = ids[:1, :20]
    found = theirs.generate(
        prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=64, do_sample=False
    )
    (row,) = generate(
        model, prompt.tolist(), max_new_tokens=64, sampler=Sampler(temperature=0), stop_ids=[2, 0]
    )
    assert row == found[0, 20:].tolist()
    assert len(set(row)) > 10


@pytest.mark.parametrize("key", ["rope_theta", "layout"])
def test_another_base_or_layout_of_positions_would_be_seen(folder, key):
    model, ids = load_folder(folder)[0], torch.arange(16, 80).view(1, -1)
    theirs = loaded(folder)
    if key == "rope_theta":
        theirs.model.rotary_emb.inv_freq = 1e4 ** -(torch.arange(0, 16, 2) / 16)
    else:
        with torch.no_grad():
            for layer in theirs.model.layers:
                for name in ("q_proj", "k_proj"):
                    weight = getattr(layer.self_attn, name).weight
                    weight.copy_(weight.unflatten(0, (-1, 2, 8)).transpose(1, 2).flatten(0, 2))
    with torch.no_grad():
        assert (theirs(ids).logits - model.logits(model(ids))).abs().max() > 0.05


def test_the_files_are_plain(exported):
    folder = exported[1]
    with safe_open(folder / "model.safetensors", "pt") as weights:
        names = set(weights.keys())
    assert "lm_head.weight" not in names
    assert names == set(loaded(folder).state_dict()) - {"lm_head.weight"}
    config = json.loads((folder / "config.json").read_bytes())
    assert config["rope_theta"] == config["rope_parameters"]["rope_theta"] == 1e6
    assert not {key for path in folder.glob("*.json") for key in json.loads(path.read_bytes())} & {"auto_map"}
    assert not list(folder.glob("*.py"))
    assert "topiclab" not in (folder / "config.json").read_text()


def test_the_tokenizer_is_ours(exported, tokenizer):
    theirs = AutoTokenizer.from_pretrained(exported[1], local_files_only=True)
    generator = np.random.default_rng(0)
    letters = list("ab cde\n\t éß🙂漢字\x00\x1f'’.,!  ")
    texts = TEXTS + ["".join(generator.choice(letters, 30)) for _ in range(300)]
    for text in texts:
        ids = theirs(text)["input_ids"]
        assert ids == tokenizer.encode(text)
        assert theirs.decode(ids) == tokenizer.decode(ids) == text
    assert (theirs.eos_token_id, theirs.pad_token_id, theirs.padding_side) == (2, 0, "left")
    rendered = theirs.apply_chat_template(TURNS, tokenize=False, add_generation_prompt=True)
    assert rendered == (
        "<|im_start|>system\nBe brief.<|im_end|>\n"
        "<|im_start|>user\nWhat is this about? 🙂\n\n  Music.<|im_end|>\n"
        "<|im_start|>assistant\n music<|im_end|>\n<|im_start|>user\nAnd that?<|im_end|>\n"
        "<|im_start|>assistant\n"
    )


@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
def test_export_load_export_is_the_same_bit_for_bit(exported, tokenizer, tmp_path, dtype):
    model, _ = exported
    first = export_folder(model, tokenizer, tmp_path / "first", dtype=dtype)
    state = torch.random.get_rng_state()
    again, tokenizer_again = load_folder(first)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert again.shape == model.shape
    second = export_folder(again, tokenizer_again, tmp_path / "second", dtype=dtype)
    assert files(first) == files(second)
    size = (first / "model.safetensors").stat().st_size
    assert size == pytest.approx(model.shape.num_parameters * (4 if dtype == "fp32" else 2), rel=0.05)
    assert loaded(first).dtype == (torch.float32 if dtype == "fp32" else torch.bfloat16)


def test_an_older_export_is_replaced_and_other_folders_are_not(folder, tokenizer, tmp_path):
    before = files(folder)
    export_folder(tiny_model(seed=1), tokenizer, folder)
    assert {name for name, content in files(folder).items() if content != before[name]} == {
        "checksums.json",
        "model.safetensors",
    }
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("keep")
    with pytest.raises(ValueError, match="holds something that is not an exported model"):
        export_folder(tiny_model(), tokenizer, tmp_path / "mine")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["export", "mine"]


def test_an_export_that_fails_leaves_the_older_one(folder, tokenizer, monkeypatch):
    before = files(folder)
    monkeypatch.setattr(Tokenizer, "save", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        export_folder(tiny_model(seed=1), tokenizer, folder)
    assert files(folder) == before
    assert len(list(folder.parent.iterdir())) == 1


def test_a_tokenizer_of_another_vocabulary_is_refused(folder, tokenizer, tmp_path):
    other = tiny_tokenizer([text.upper() for text in TEXTS])
    assert other.fingerprint != tokenizer.fingerprint
    other.save(folder)
    (folder / "checksums.json").unlink()  # as earlier versions exported
    told = f"trained with the tokenizer {tokenizer.fingerprint[:12]}, but the folder holds"
    with pytest.raises(ValueError, match=told):
        load_folder(folder)
    with pytest.raises(ValueError, match="the tokenizer has 600 tokens, but the model 512"):
        export_folder(tiny_model(), Tokenizer([], 600), tmp_path / "other")


@pytest.mark.parametrize(
    "name", ["config.json", "model.safetensors", "tokenizer.json", "generation_config.json"]
)
def test_a_half_written_folder_is_refused(folder, name):
    (folder / name).unlink()
    with pytest.raises(FileNotFoundError, match=f"has no {name}, so it is not a complete exported model"):
        load_folder(folder)


def test_damaged_weights_are_refused(folder, tokenizer, tmp_path):
    other = export_folder(tiny_model(num_layers=1), tokenizer, tmp_path / "other")
    shutil.copy(other / "model.safetensors", folder)
    with pytest.raises(ValueError, match=r"model\.safetensors has .* bytes instead of .* so it is damaged"):
        load_folder(folder)
    (folder / "checksums.json").unlink()  # as earlier versions exported
    with pytest.raises(ValueError, match="damaged or of another shape"):
        load_folder(folder)
    content = (other / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match="damaged or of another shape"):
        load_folder(folder)
    config = json.loads((folder / "config.json").read_bytes()) | {"model_type": "gpt2"}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match="model_type=gpt2"):
        load_folder(folder)
    (folder / "config.json").write_text(json.dumps(config)[:100])
    with pytest.raises(ValueError, match=r"config\.json is damaged .*; export it again"):
        load_folder(folder)


def test_the_export_teaches(exported):
    model, folder = exported
    words = ("cat", "dog", "music", "sports")
    teacher = CausalLMTeacher(path=str(folder), multi_token="exact", **CPU)
    facts = teacher.prepare(documents(["the cat sat", "music and sports"], words))
    logits, states = teacher.label(np.arange(2))
    assert facts["logit_difference"] < 1e-4
    assert states.shape == (2, SHAPE.hidden_size)
    ids = teacher.tokens[0]
    with torch.no_grad():
        hidden = model(torch.tensor(np.asarray(ids, dtype=np.int64))[None])[0, -1]
    np.testing.assert_allclose(states[0], hidden, atol=1e-4)
    assert logits.std() > 0.1
