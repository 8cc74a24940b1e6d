"""Export of the mini-LLM to a folder that transformers loads without our code, and back."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from topiclab.atomic import atomic_file, write_json
from topiclab.digest import SEAL, faults_in, file_facts, is_sealed, seal
from topiclab.minillm.data.tokenizer import CHAT_TEMPLATE, END_OF_TEXT, END_OF_TURN, SPECIAL_TOKENS, Tokenizer
from topiclab.minillm.network import MiniLLM, Shape

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
PREFIX = "model."  # prefix of the trunk's weights in transformers' models with a head
CONFIG, WEIGHTS = "config.json", "model.safetensors"
FINGERPRINT = "tokenizer_fingerprint"
CHECKSUMS = "checksums.json"  # of the files that are read back
NEEDED = (CONFIG, WEIGHTS, "tokenizer.json", "tokenizer_config.json", "generation_config.json")
# Field of Shape -> key of transformers' Qwen3Config and LlamaConfig.
KEYS = {
    "vocab_size": "vocab_size",
    "hidden_size": "hidden_size",
    "num_layers": "num_hidden_layers",
    "num_heads": "num_attention_heads",
    "num_kv_heads": "num_key_value_heads",
    "head_dim": "head_dim",
    "ffn_size": "intermediate_size",
    "context_length": "max_position_embeddings",
    "rope_theta": "rope_theta",
    "norm_eps": "rms_norm_eps",
}


def export_folder(model: MiniLLM, tokenizer: Tokenizer, folder: Path, *, dtype: str = "fp32") -> Path:
    """Write the model as a Qwen3, or a Llama if heads have no norm, with its tokenizer and chat template.

    The folder gets its name once it is complete, and replaces an older export there.
    dtype: fp32 or bf16.
    Raises ValueError for a tokenizer of another vocabulary size, and if the folder holds something else.
    """
    if tokenizer.vocab_size != model.shape.vocab_size:
        raise ValueError(
            f"the tokenizer has {tokenizer.vocab_size} tokens, but the model {model.shape.vocab_size}; give "
            "the one it was trained with"
        )
    if folder.exists() and not (folder / CONFIG).is_file() and any(folder.iterdir()):
        raise ValueError(f"{folder} holds something that is not an exported model; give another folder")
    partial, older = (folder.with_name(f"{folder.name}.{os.getpid()}.{end}") for end in ("partial", "older"))
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        weights = {
            PREFIX + name: weight.detach().to("cpu", DTYPES[dtype]).contiguous()
            for name, weight in model.state_dict().items()
        }
        save_file(weights, partial / WEIGHTS, metadata={"format": "pt"})
        tokenizer.save(partial)
        for name, content in _texts(model.shape, tokenizer, dtype).items():
            with atomic_file(partial / name) as stream:
                stream.write(content.encode())
        read_back = [partial / name for name in (CONFIG, WEIGHTS, "tokenizer.json")]
        write_json(partial / CHECKSUMS, seal(file_facts(partial, read_back)))
        if folder.exists():
            folder.rename(older)
        partial.rename(folder)
    finally:
        for leftover in (partial, older):
            shutil.rmtree(leftover, ignore_errors=True)
    return folder


def load_folder(folder: Path, *, device: str = "cpu", dtype: str = "fp32") -> tuple[MiniLLM, Tokenizer]:
    """The model of an export, for inference, and its tokenizer.

    dtype: of the weights, whatever dtype is stored; rotary positions are always computed in float32.
    Raises FileNotFoundError or ValueError if the folder is not an export, half-written or damaged, and for a
    tokenizer that is not the model's.
    """
    if missing := [name for name in NEEDED if not (folder / name).is_file()]:
        raise FileNotFoundError(
            f"{folder} has no {missing[0]}, so it is not a complete exported model; export it again, or give "
            "the export/ of a finished run"
        )
    _check_files(folder)
    try:
        config = json.loads((folder / CONFIG).read_bytes())
        if not isinstance(config, dict):
            raise ValueError("it is not a mapping")
    except (ValueError, RecursionError) as fault:
        raise ValueError(f"{folder / CONFIG} is damaged ({fault}); export it again") from fault
    tokenizer = Tokenizer.load(folder)
    if config.get(FINGERPRINT) != tokenizer.fingerprint:
        raise ValueError(
            f"{folder}: the model was trained with the tokenizer {str(config.get(FINGERPRINT))[:12]}, but "
            f"the folder holds {tokenizer.fingerprint[:12]}, whose ids mean other tokens: restore "
            "tokenizer.json"
        )
    shape = shape_of(config)
    with torch.random.fork_rng(devices=[]):
        model = MiniLLM(shape)
    try:
        weights = load_file(folder / WEIGHTS)
        model.load_state_dict({name.removeprefix(PREFIX): weight for name, weight in weights.items()})
    except (SafetensorError, RuntimeError) as fault:
        raise ValueError(
            f"{folder / WEIGHTS} is damaged or of another shape ({str(fault).splitlines()[0]}); export it "
            "again"
        ) from fault
    for weight in model.to(device).parameters():
        weight.data = weight.data.to(DTYPES[dtype])
    return model.eval(), tokenizer


def _check_files(folder: Path) -> None:
    """Raise ValueError if a file is not as it was exported; exports of earlier versions have no checksums."""
    path = folder / CHECKSUMS
    if not path.is_file():
        return
    try:
        recorded = json.loads(path.read_bytes())
        if not is_sealed(recorded):
            raise ValueError("it does not match its own")
        files = {name: facts for name, facts in recorded.items() if name != SEAL}
        faults = list(faults_in(folder, files))
    except (ValueError, AttributeError, KeyError, TypeError) as fault:
        raise ValueError(f"{path} is damaged ({fault}); export it again") from fault
    if faults:
        raise ValueError(f"{faults[0]}, so it is damaged; export it again")


def shape_of(config: Mapping[str, Any]) -> Shape:
    """Shape in a config.json; ValueError if topiclab did not write it."""
    kind = config.get("model_type")
    if kind not in ("qwen3", "llama") or not config.get("tie_word_embeddings"):
        raise ValueError(
            f"model_type={kind} with tie_word_embeddings={config.get('tie_word_embeddings')} is not an "
            "exported mini-LLM; give a folder that topiclab wrote"
        )
    if missing := [key for key in KEYS.values() if key not in config]:
        raise ValueError(f"its config.json lacks {', '.join(missing)}; give a folder that topiclab wrote")
    return Shape(**{field: config[key] for field, key in KEYS.items()}, qk_norm=kind == "qwen3")


def _texts(shape: Shape, tokenizer: Tokenizer, dtype: str) -> dict[str, str]:
    """Name -> content of the files besides weights and tokenizer.json."""
    end_of_text, end_of_turn = SPECIAL_TOKENS[END_OF_TEXT], SPECIAL_TOKENS[END_OF_TURN]
    ids = {"bos_token_id": END_OF_TEXT, "pad_token_id": END_OF_TEXT}
    special = {"eos_token": end_of_turn, "pad_token": end_of_text}
    config = _config(shape, dtype) | ids | {"eos_token_id": END_OF_TURN, FINGERPRINT: tokenizer.fingerprint}
    of_tokenizer = special | {
        "chat_template": CHAT_TEMPLATE,
        "clean_up_tokenization_spaces": False,
        "model_max_length": shape.context_length,
        "padding_side": "left",
        # transformers 5 would write TokenizersBackend here, unknown to 4
        "tokenizer_class": "PreTrainedTokenizerFast",
    }
    contents = {
        CONFIG: config,
        "generation_config.json": ids | {"eos_token_id": [END_OF_TURN, END_OF_TEXT]},
        "tokenizer_config.json": of_tokenizer,
        "special_tokens_map.json": special,
    }
    written = {
        name: json.dumps(content, indent=1, sort_keys=True, allow_nan=False)
        for name, content in contents.items()
    }
    return written | {"chat_template.jinja": CHAT_TEMPLATE}


def _config(shape: Shape, dtype: str) -> dict[str, Any]:
    """Sizes and switches, under the names of transformers and of programs that read its folders."""
    stored = str(DTYPES[dtype]).removeprefix("torch.")
    kind = {"architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", "use_sliding_window": False}
    if not shape.qk_norm:
        kind = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "mlp_bias": False}
    return {
        **kind,
        **{key: getattr(shape, field) for field, key in KEYS.items()},
        # the base nested for transformers 5, and flat above: readers that do not find it assume 10,000
        "rope_parameters": {"rope_type": "default", "rope_theta": shape.rope_theta},
        "rope_scaling": None,
        "attention_bias": False,
        "attention_dropout": 0.0,
        "hidden_act": "silu",
        "initializer_range": 0.02,
        "tie_word_embeddings": True,
        "use_cache": True,
        "dtype": stored,
        "torch_dtype": stored,  # its name in transformers 4
    }
