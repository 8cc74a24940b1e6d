"""Conversion of an exported mini-LLM to one GGUF file, for llama.cpp and programs based on it.

llama.cpp's own converter recognizes a vocabulary by the ids of a fixed text, so it refuses every new one.
"""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from topiclab.atomic import atomic_path
from topiclab.minillm.data.tokenizer import (
    CHAT_TEMPLATE,
    END_OF_TEXT,
    END_OF_TURN,
    SPECIAL_TOKENS,
    TAGS,
    Tokenizer,
)
from topiclab.minillm.export import PREFIX, load_folder
from topiclab.minillm.network import MiniLLM, Shape

if TYPE_CHECKING:
    from gguf import GGUFWriter

FileType = Literal["fp32", "fp16", "bf16"]


def write_gguf(folder: Path, path: Path, *, dtype: FileType = "bf16") -> Path:
    """Write the model of an export; `path` appears once it is complete.

    dtype: of matrices; norms stay in float32, as llama.cpp expects.
    Raises ModuleNotFoundError without the package gguf, and the errors of `load_folder`.
    """
    try:
        import gguf
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "a GGUF file needs the package gguf: pip install 'topiclab[gguf]'", name="gguf"
        ) from error

    model, tokenizer = load_folder(folder)
    path.parent.mkdir(parents=True, exist_ok=True)
    kind = gguf.MODEL_ARCH.QWEN3 if model.shape.qk_norm else gguf.MODEL_ARCH.LLAMA
    types = {
        "fp32": (gguf.GGMLQuantizationType.F32, gguf.LlamaFileType.ALL_F32),
        "fp16": (gguf.GGMLQuantizationType.F16, gguf.LlamaFileType.MOSTLY_F16),
        "bf16": (gguf.GGMLQuantizationType.BF16, gguf.LlamaFileType.MOSTLY_BF16),
    }
    stored, file_type = types[dtype]
    with (
        atomic_path(path) as partial,
        closing(gguf.GGUFWriter(partial, gguf.MODEL_ARCH_NAMES[kind])) as writer,
    ):
        writer.add_name(folder.parent.name if folder.name == "export" else folder.name)
        writer.add_file_type(file_type)
        _add_shape(writer, model.shape)
        _add_vocabulary(writer, tokenizer)
        names = gguf.get_tensor_name_map(kind, model.shape.num_layers)
        for name, array in _tensors(model).items():
            new = names.get_name(PREFIX + name, try_suffixes=(".weight",))
            assert new is not None
            wanted = stored if array.ndim == 2 else gguf.GGMLQuantizationType.F32
            writer.add_tensor(new, gguf.quantize(array, wanted), raw_dtype=wanted)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
    return path


def _add_shape(writer: GGUFWriter, shape: Shape) -> None:
    writer.add_vocab_size(shape.vocab_size)
    writer.add_context_length(shape.context_length)
    writer.add_embedding_length(shape.hidden_size)
    writer.add_block_count(shape.num_layers)
    writer.add_feed_forward_length(shape.ffn_size)
    writer.add_head_count(shape.num_heads)
    writer.add_head_count_kv(shape.num_kv_heads)
    writer.add_key_length(shape.head_dim)
    writer.add_value_length(shape.head_dim)
    writer.add_rope_dimension_count(shape.head_dim)
    writer.add_rope_freq_base(shape.rope_theta)
    writer.add_layer_norm_rms_eps(shape.norm_eps)


def _add_vocabulary(writer: GGUFWriter, tokenizer: Tokenizer) -> None:
    """Tokens, merges and special ids; texts are split by GPT-2's pattern, which is llama.cpp's "gpt-2"."""
    from gguf import TokenType

    types = np.full(tokenizer.vocab_size, int(TokenType.NORMAL))
    types[: len(SPECIAL_TOKENS)] = [
        TokenType.USER_DEFINED if name in TAGS else TokenType.CONTROL for name in SPECIAL_TOKENS
    ]
    types[tokenizer.num_used :] = TokenType.UNUSED
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokenizer.tokens)
    writer.add_token_types(types.tolist())
    writer.add_token_merges([" ".join(pair) for pair in tokenizer.merges])
    writer.add_bos_token_id(END_OF_TEXT)
    writer.add_pad_token_id(END_OF_TEXT)
    writer.add_eos_token_id(END_OF_TURN)
    writer.add_eot_token_id(END_OF_TURN)
    writer.add_add_bos_token(False)
    writer.add_chat_template(CHAT_TEMPLATE)


def _tensors(model: MiniLLM) -> dict[str, np.ndarray]:
    """Weights by our names, float32; for a Llama, query and key rows are reordered for llama.cpp.

    llama.cpp rotates neighbouring rows in a Llama, but halves in a Qwen3, as we do: rows at the same place of
    the two halves become neighbours.
    """
    arrays = {name: weight.numpy() for name, weight in model.state_dict().items()}
    if not model.shape.qk_norm:
        for name in [name for name in arrays if name.endswith(("q_proj.weight", "k_proj.weight"))]:
            halves = arrays[name].reshape(-1, 2, model.shape.head_dim // 2, model.shape.hidden_size)
            arrays[name] = np.ascontiguousarray(halves.swapaxes(1, 2)).reshape(arrays[name].shape)
    return arrays
