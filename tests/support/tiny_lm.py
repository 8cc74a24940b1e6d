"""Tiny random causal language models: as folders, as teachers, and as read by transformers alone."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from embedding_corpus import embedding_corpus
from made_settings import CPU, trainer

from topiclab.data.datamodule import TopicDataModule
from topiclab.teach.causal_lm import CausalLMTeacher

TRAINER = trainer()
TEXTS = [
    *("the cat sat on the mat " * times + "fox" for times in (0, 1, 2, 3, 5, 7, 1)),
    "a dog.\n\n",
    "Ünïcode ☃",
]
CLASSES = {
    "llama": "Llama",
    "qwen3": "Qwen3",
    "phi3": "Phi3",
    "gemma3": "Gemma3",
    "granite": "Granite",
    "qwen3_5": "Qwen3_5",
}
SENTENCES = [
    "State one label for the main theme of the document below.\n\nDocument: the cat sat\n\nTopic: animals",
    "the quick brown fox jumps over the lazy dog and the cat sat on the mat",
    "topic models read many documents and name the theme of each document",
    "music and sports and politics and science are themes of the news",
] * 3
WORDS = (
    "cat",
    "dog",
    "fox",
    "theme",
    "music",
    "sports",
    "quicker",
    "foxes",
    "scientific",
    "politician",
    "doging",
)


def save_tokenizer(folder: Path, *, chat: bool = False, appends_end: bool = False) -> int:
    """Save a byte-level BPE with <s> before every text; return its number of tokens."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=500,
        special_tokens=["<s>", "</s>", "<user>", "<answer>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(SENTENCES, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>" if appends_end else "<s> $A", special_tokens=[("<s>", 0), ("</s>", 1)]
    )
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>")
    if chat:
        fast.chat_template = (
            "<s>{% for turn in messages %}<{{ 'user' if turn.role == 'user' else 'answer' }}>"
            "{{ turn.content }}</s>{% endfor %}"
        )
    fast.save_pretrained(folder)
    return len(fast)


def save_lm(folder: Path, kind: str = "llama", *, context: int = 512, **options: Any) -> Path:
    """Save a random model of two layers, with weights that separate words; return its folder.

    The options chat and appends_end go to its tokenizer, others to its configuration.
    """
    import transformers

    of_tokenizer = {name: options.pop(name) for name in ("chat", "appends_end") if name in options}
    num_tokens = save_tokenizer(folder, **of_tokenizer)
    shape: dict[str, Any] = {
        "vocab_size": num_tokens + 5,
        "hidden_size": 64,
        "intermediate_size": 96,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 16,
        "max_position_embeddings": context,
        "initializer_range": 0.2,
        "bos_token_id": 0,
        "eos_token_id": 1,
        "pad_token_id": None,
        **options,
    }
    if kind == "phi3":
        factors = {"short_factor": [1.0] * 8, "long_factor": [1.0 + 0.5 * step for step in range(8)]}
        rope = {
            "rope_type": "longrope",
            "rope_theta": 10_000.0,
            **factors,
            "original_max_position_embeddings": 48,
        }
        shape |= {"rope_parameters": rope, "original_max_position_embeddings": 48, "pad_token_id": 0}
        shape.pop("head_dim")
    if kind == "qwen3_5":
        heads = {"linear_num_key_heads": 2, "linear_num_value_heads": 4}
        dims = {"linear_key_head_dim": 16, "linear_value_head_dim": 16}
        layers = ["linear_attention", "full_attention"]
        shape |= {**heads, **dims, "layer_types": layers, "tie_word_embeddings": True}
    if kind == "gemma3":
        shape |= {"final_logit_softcapping": 2.0, "sliding_window": 32, "pad_token_id": 0}
    if kind == "granite":
        shape |= {"logits_scaling": 3.0}
    torch.manual_seed(0)
    suffix = "TextConfig" if kind in ("qwen3_5", "gemma3") else "Config"
    config = getattr(transformers, CLASSES[kind] + suffix)(**shape)
    getattr(transformers, CLASSES[kind] + "ForCausalLM")(config).save_pretrained(folder)
    return folder


def documents(texts=TEXTS, words=WORDS, **options: Any) -> TopicDataModule:
    return TopicDataModule(embedding_corpus(texts, words), None, **options)


def taught(folder: Path, datamodule: TopicDataModule, **options: Any):
    """Return the teacher after prepare, its facts, and its labels of all documents."""
    teacher = CausalLMTeacher(path=str(folder), **{**CPU, **options})
    facts = teacher.prepare(datamodule)
    return teacher, facts, teacher.label(np.arange(datamodule.corpus.num_docs))


def prompted(text: str) -> str:
    instruction = "State one label for the main theme of the document below."
    return f"{instruction}\n\nDocument: {text}\n\nTopic:"


@torch.inference_mode()
def plain_forward(folder: Path, texts: Iterable[str], add_special_tokens: bool = True):
    """Yield model, ids (1, L), logits (LM vocabulary) and hidden state at the end of each string."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    for text in texts:
        batch = tokenizer(text, return_tensors="pt", add_special_tokens=add_special_tokens)
        out = model.eval()(**batch, output_hidden_states=True)
        yield model, batch["input_ids"], out.logits[0, -1], out.hidden_states[-1][0, -1]
