"""Causal language model as teacher: next-token logits of the vocabulary after a prompt with the document."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from topiclab.device import device_name, resolve_device, resolve_precision
from topiclab.embed.huggingface import BATCH_TOKENS
from topiclab.embed.weights import folder_revision, model_folder
from topiclab.limits import Count
from topiclab.minillm.finished import export_of
from topiclab.teach.language_model import LanguageModel
from topiclab.teach.prompt import Prompt, PromptTokens, as_chat, read_prompt
from topiclab.teach.word_head import WordHead
from topiclab.teach.word_tokens import MultiToken, WordTokens, check_coverage
from topiclab.teach.word_trie import WordTrie

if TYPE_CHECKING:
    from topiclab.data.datamodule import TopicDataModule

log = logging.getLogger(__name__)

MAX_CONTEXT = 1 << 24  # tokenizers without a limit report 10^30


class CausalLMTeacher:
    """Soft labels from what a language model would write next, restricted to the vocabulary.

    DSL (arXiv 2602.17907): the words' logits at the end of the prompt are the label, and the hidden state
    there, after the final norm, is the student's input. Only the words' rows of the head are multiplied, in
    float32, with one state per document. The authors' code computes the logits of every position and token in
    the model's precision, cuts off the end of a long prompt, and gives words that share their first token the
    same logit. Pinned by tests/teach/test_causal_lm.py against the model's own forward pass.

    path, model_id, revision: see `weights.model_folder`.
    run: folder of a run whose export/ is the model, see `export_of`.
    prompt: a name in `teach/prompts/`, or a text file that holds {document}.
    chat_template: format the prompt as a chat, its last line as the beginning of the answer.
    multi_token: words of several tokens are impossible (drop), are read at their first token (first_subtoken,
        as published), or every word's logit is the log-probability of all its tokens (exact).
    max_length: maximum number of tokens of the whole prompt; null: the model's context.
    batch_tokens: padded tokens in a batch, halved when the device is out of memory; null: by the device.
    """

    def __init__(
        self,
        path: str | None = None,
        model_id: str | None = None,
        revision: str | None = None,
        run: str | None = None,
        prompt: str = "default",
        chat_template: bool = False,
        multi_token: MultiToken = "drop",
        max_length: Count | None = None,
        batch_tokens: Count | None = None,
        device: str = "auto",
        precision: str = "auto",
    ) -> None:
        self.path, self.model_id, self.revision, self.run = path, model_id, revision, run
        self.plain_prompt = read_prompt(prompt)
        self.chat_template = chat_template
        self.multi_token: MultiToken = multi_token
        self.max_length = max_length
        self.device = resolve_device(device)
        self.precision = resolve_precision(precision, self.device)
        self.batch_tokens = batch_tokens or BATCH_TOKENS[self.device.partition(":")[0]]

    @cached_property
    def folder(self) -> Path:
        if self.run is None:
            return model_folder(self.path, None, self.model_id, self.revision, option="teacher.path")
        return export_of(self.run, "teacher.run")

    @cached_property
    def tokenizer(self) -> Any:
        from transformers import AutoTokenizer

        return AutoTokenizer.from_pretrained(self.folder, local_files_only=True, trust_remote_code=False)

    @cached_property
    def prompt(self) -> Prompt:
        return as_chat(self.plain_prompt, self.tokenizer) if self.chat_template else self.plain_prompt

    def fingerprint(self, datamodule: TopicDataModule | None = None) -> dict[str, Any]:
        """Identify labels and states without loading the weights; paths and devices do not matter."""
        return {
            "teacher": "causal_lm",
            "version": 1,
            "revision": folder_revision(self.folder),
            "prompt": self.prompt.text,
            "chat_template": self.chat_template,
            "multi_token": self.multi_token,
            "max_length": self.max_length,
            "dtype": self.precision,
        }

    def prepare(self, datamodule: TopicDataModule) -> dict[str, Any]:
        """Tokenise words and documents, load the model and check it on the first document.

        Raises ValueError for a vocabulary or a prompt that the model cannot read, and for a model whose own
        forward pass gives other logits.
        """
        words = WordTokens.of(datamodule.corpus.vocab, self.tokenizer)
        facts = check_coverage(words, self.multi_token, str(self.folder))
        self.words = words.taught(self.multi_token)
        limit = self._prompt_limit(self.words)
        self.tokens, num_cut = PromptTokens(self.prompt, self.tokenizer, limit).of(datamodule.corpus.texts)
        if num_cut:
            log.warning(
                "%d of %d documents are cut so that their prompts have at most %d tokens",
                num_cut,
                len(self.tokens),
                limit,
            )
        self.scorer = (WordTrie if self.multi_token == "exact" else WordHead)(self.words, self.model)
        return {
            **facts,
            "num_cut": num_cut,
            "token_limit": limit,
            "model": str(self.folder),
            "device_name": device_name(self.device),
            "attention": self.model.attention,
            "logit_difference": self.model.check(self.tokens[0]),
            "torch": torch.__version__,
        }

    @cached_property
    def model(self) -> LanguageModel:
        return LanguageModel(self.folder, self.device, self.precision)

    def states(self, texts: Sequence[str], vocab: Sequence[str]) -> np.ndarray:
        """States (N, E) float32 at the end of each text's prompt, as `label` gives for this vocabulary."""
        words = WordTokens.of(vocab, self.tokenizer)
        limit = self._prompt_limit(words.taught(self.multi_token))
        tokens, _ = PromptTokens(self.prompt, self.tokenizer, limit).of(texts)
        return self._score(tokens, WordHead(words.taught("first_subtoken"), self.model))[1]

    def _prompt_limit(self, taught: WordTokens) -> int:
        """Maximum number of prompt tokens after which the longest word still fits."""
        return self._token_limit() - max(map(len, taught.ids)) + 1

    def _token_limit(self) -> int:
        from transformers import AutoConfig

        config = AutoConfig.from_pretrained(self.folder, local_files_only=True, trust_remote_code=False)
        context = getattr(config.get_text_config(), "max_position_embeddings", None)
        limits = [limit for limit in (context, self.tokenizer.model_max_length, self.max_length) if limit]
        if min(limits) > MAX_CONTEXT:
            raise ValueError(f"{self.folder} does not say how many tokens it reads; set teacher.max_length")
        return min(limits)

    def label(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Logits (n, V), -inf at words that are not taught, and states (n, E) of the given rows."""
        return self._score([self.tokens[row] for row in rows], self.scorer)

    def _score(
        self, tokens: Sequence[np.ndarray], scorer: WordHead | WordTrie
    ) -> tuple[np.ndarray, np.ndarray]:
        lengths = np.array([len(ids) for ids in tokens])
        order = np.argsort(-lengths, kind="stable")
        logits = np.empty((len(tokens), scorer.num_words), np.float32)
        states = np.empty((len(tokens), self.model.dim), np.float32)
        start = 0
        while start < len(order):
            size = scorer.batch_size(lengths[order[start:]], self.batch_tokens)
            batch = order[start : start + size]
            try:
                scores, ends = scorer.score([tokens[row] for row in batch], self.batch_tokens)
            except torch.OutOfMemoryError:
                if self.batch_tokens <= lengths[batch[0]]:
                    raise
                self.batch_tokens //= 2
                torch.cuda.empty_cache()
                log.warning(
                    "out of memory on %s: batches of %d tokens from here on", self.device, self.batch_tokens
                )
                continue
            logits[batch], states[batch] = scores.cpu().numpy(), ends.cpu().numpy()
            start += len(batch)
        return logits, states
