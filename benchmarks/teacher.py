"""Soft labels of a causal language model: ours against a loop over `model(**batch).logits` at batch 1.

    python benchmarks/teacher.py [--data stackoverflow] [--docs 200] [--rounds 3]

A random Llama (2 layers of width 256, 128,256 tokens, float32) reads real documents in the default prompt and
labels the 2000 words of their corpus. The loop tokenises a document, calls the whole model without gradients
and takes the words' logits of the last position with one index; published extraction code does that per word.
Both run in this process, in turn, tokenisation included, loading not; the best round counts. Exits with 1
unless ours needs at most a tenth of the CPU seconds and no logit differs by more than 1e-4.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from topiclab.config.compose import compose
from topiclab.data.corpus import Corpus
from topiclab.data.datamodule import TopicDataModule
from topiclab.data.sources.corpora import load_corpus
from topiclab.teach.causal_lm import CausalLMTeacher
from topiclab.teach.prompt import PromptTokens

MIN_SPEEDUP, MAX_DIFFERENCE = 10.0, 1e-4
SHAPE = {
    "vocab_size": 128_256,
    "hidden_size": 256,
    "intermediate_size": 1_024,
    "num_hidden_layers": 2,
    "num_attention_heads": 8,
    "num_key_value_heads": 4,
    "max_position_embeddings": 8_192,
    "initializer_range": 0.05,
}


def save_llama(folder: Path, texts: Sequence[str]) -> None:
    """A random Llama, and a byte-level tokenizer trained on these texts."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=32_000, special_tokens=["<s>"], initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator([f" {text.lower()}" for text in texts], trainer)
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>").save_pretrained(folder)
    torch.manual_seed(0)
    LlamaForCausalLM(LlamaConfig(**SHAPE)).save_pretrained(folder)


def plain_loop(folder: Path, words: Sequence[str], prompt: str) -> Callable[[Sequence[str]], np.ndarray]:
    """Compute logits (D, V) of documents the obvious way, words by their first token."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    firsts = [tokenizer(f" {word}", add_special_tokens=False)["input_ids"][0] for word in words]
    ids = torch.tensor(firsts)

    @torch.inference_mode()
    def extract(texts: Sequence[str]) -> np.ndarray:
        logits = []
        for text in texts:
            batch = tokenizer(prompt.replace("{document}", text), return_tensors="pt")
            logits.append(model(**batch).logits[0, -1, ids])
        return torch.stack(logits).numpy()

    return extract


def topiclab(
    folder: Path, corpus: Corpus, rows: np.ndarray
) -> tuple[CausalLMTeacher, Callable[[], np.ndarray]]:
    teacher = CausalLMTeacher(path=str(folder), multi_token="first_subtoken", device="cpu", precision="fp32")
    teacher.prepare(TopicDataModule(corpus, None))
    texts = [corpus.texts[row] for row in rows]

    def extract() -> np.ndarray:
        teacher.tokens, _ = PromptTokens(teacher.prompt, teacher.tokenizer, 8_192).of(texts)
        return teacher.label(np.arange(len(texts)))[0]

    return teacher, extract


def timed(call: Callable[[], Any]) -> tuple[Any, float, float]:
    """Return the call's result, its CPU seconds over all threads and its wall seconds."""
    cpu, wall = time.process_time(), time.perf_counter()
    result = call()
    return result, time.process_time() - cpu, time.perf_counter() - wall


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="stackoverflow")
    parser.add_argument("--docs", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    corpus = load_corpus(compose([f"data={options.data}", "data.vocabulary.size=2000"])["data"])
    rows = np.sort(np.random.default_rng(0).permutation(corpus.num_docs)[: options.docs])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        save_llama(folder, corpus.texts)
        teacher, ours = topiclab(folder, corpus, rows)
        theirs = plain_loop(folder, corpus.vocab, teacher.prompt.text)
        texts = [corpus.texts[row] for row in rows]
        theirs(texts[:8]), ours()
        runs = []
        for _ in range(options.rounds):
            reference, *their_seconds = timed(lambda: theirs(texts))
            logits, *our_seconds = timed(ours)
            runs.append((their_seconds, our_seconds))
        lengths = [len(ids) for ids in teacher.tokens]
    (their_cpu, their_wall), (our_cpu, our_wall) = np.min(runs, axis=0)
    print(
        f"{len(rows)} documents of {options.data}, prompts of {np.mean(lengths):.0f} tokens, "
        f"V={corpus.num_words}, {options.threads} thread, torch {torch.__version__}"
    )
    print(f"{'':24}{'cpu s':>9}{'wall s':>9}{'docs/s':>9}")
    sides = {"model(**batch).logits": (their_cpu, their_wall), "topiclab": (our_cpu, our_wall)}
    for side, (cpu, wall) in sides.items():
        print(f"{side:24}{cpu:9.2f}{wall:9.2f}{len(rows) / wall:9.1f}")
    ratio, difference = their_cpu / our_cpu, float(np.abs(logits - reference).max())
    print(f"cpu seconds: {ratio:.1f}x fewer (at least {MIN_SPEEDUP:.0f}); wall {their_wall / our_wall:.1f}x")
    print(f"largest difference of a logit {difference:.1e} (at most {MAX_DIFFERENCE:.0e})")
    return int(not (ratio >= MIN_SPEEDUP and difference <= MAX_DIFFERENCE))


if __name__ == "__main__":
    sys.exit(main())
