"""Loading of a sentence encoder: the model's own modules, or given pooling and scaling for a plain folder."""

from __future__ import annotations

import logging
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
from transformers.utils import logging as transformers_logging

log = logging.getLogger(__name__)

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


def load_model(
    folder: Path, pooling: str | None, normalize: bool, device: str, precision: str
) -> SentenceTransformer:
    """The encoder of a folder, on its device, for inference; remote code never runs.

    If modules.json exists, its pooling is used and asking for another is a ValueError; else give `pooling`.
    """
    transformers_logging.disable_progress_bar()  # weights load in a second; a bar per fit would fill the logs
    options = {"dtype": DTYPES[precision], "attn_implementation": attention(device, precision)}
    if (folder / "modules.json").exists():
        model = SentenceTransformer(
            str(folder), device=device, local_files_only=True, trust_remote_code=False, model_kwargs=options
        )
        own = pooling_mode(model)
        if pooling is not None and own != pooling:
            raise ValueError(
                f"embedder.pooling={pooling}, but {folder} was trained with {own}; use that or null"
            )
        return model.eval()
    if pooling is None:
        raise ValueError(f"{folder} has no modules.json, so embedder.pooling must say lasttoken, mean or cls")
    transformer = Transformer(
        str(folder),
        model_kwargs={**options, "local_files_only": True},
        processor_kwargs={"local_files_only": True},
        config_kwargs={"local_files_only": True},
    )
    modules: list[Any] = [transformer, Pooling(transformer.get_embedding_dimension(), pooling)]  # type: ignore
    log.info("%s has no modules.json: pooling %s", folder, pooling)
    return SentenceTransformer(
        modules=[*modules, Normalize()] if normalize else modules, device=device
    ).eval()


def pooling_mode(model: SentenceTransformer) -> str:
    """The model's own pooling, modes joined by +; `none` for a model without a pooling module."""
    for module in model:
        if isinstance(module, Pooling):
            mode = module.pooling_mode
            return mode if isinstance(mode, str) else "+".join(mode)
    return "none"


def attention(device: str, precision: str) -> str:
    """FlashAttention 2 if it is installed and can run, else torch's fused attention; never eager."""
    can_flash = device.startswith("cuda") and precision == "bf16" and find_spec("flash_attn") is not None
    return "flash_attention_2" if can_flash else "sdpa"
