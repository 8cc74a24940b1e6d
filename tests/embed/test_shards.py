"""A corpus embedded by several jobs: vectors bit for bit, nothing twice, nothing of another model."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from embedding_corpus import embedding_corpus
from made_settings import CPU, trainer
from places import REPO

from topiclab.cache import Cache
from topiclab.config.compose import ConfigError, compose
from topiclab.data.sources.corpora import TextStream, load_corpus, load_texts
from topiclab.embed import shards
from topiclab.embed.embedder import Embeddings, embed_corpus
from topiclab.embed.huggingface import HuggingFaceEmbedder
from topiclab.embed.shards import Distinct, Share, encode_part

TRAINER = trainer()
TEXTS = [f"document {number} " + "fox " * (number % 4) for number in range(9)]


def embedder(folder: Path) -> HuggingFaceEmbedder:
    pooling = "lasttoken" if "qwen" in folder.name else "mean"
    return HuggingFaceEmbedder(path=str(folder), pooling=pooling, **CPU)


def join(folder: Path, cache: Path, texts: list[str] = TEXTS) -> Embeddings:
    pooling = "lasttoken" if "qwen" in folder.name else "mean"
    target = "topiclab.embed.huggingface.HuggingFaceEmbedder"
    options = {"_target_": target, "path": str(folder), "pooling": pooling}
    return embed_corpus(options, embedding_corpus(texts), cache, TRAINER)


def files(cache: Path) -> list[str]:
    return sorted(path.name for path in cache.rglob("*") if path.is_file() and path.suffix != ".lock")


@pytest.fixture
def encoded(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Shards, of two texts each, encoded since."""
    monkeypatch.setattr(shards, "SHARD_DOCS", 2)
    seen: list[list[str]] = []
    encode = HuggingFaceEmbedder.encode_full
    monkeypatch.setattr(
        HuggingFaceEmbedder,
        "encode_full",
        lambda self, texts, *rest: seen.append(list(texts)) or encode(self, texts, *rest),
    )
    return seen


@pytest.mark.parametrize("texts", [TEXTS, TEXTS[:5] * 2 + TEXTS], ids=["distinct", "repeated"])
def test_parts_joined_are_the_whole_bit_for_bit(tiny_qwen, tmp_path, encoded, texts) -> None:
    whole = join(tiny_qwen, tmp_path / "whole", texts)
    assert encoded == [TEXTS[0:2], TEXTS[2:4], TEXTS[4:6], TEXTS[6:8], TEXTS[8:]]
    encoded.clear()
    cache = Cache(tmp_path / "parts")
    parts = [encode_part(embedder(tiny_qwen), Stream(texts), cache, part, 3) for part in (2, 0, 1)]
    assert [part.num_docs for part in parts] == [part.num_encoded for part in parts] == [2, 4, 3]
    assert encoded == [TEXTS[4:6], TEXTS[0:2], TEXTS[6:8], TEXTS[2:4], TEXTS[8:]]
    encoded.clear()
    joined = join(tiny_qwen, tmp_path / "parts", texts)
    assert encoded == []
    assert not joined.is_cached
    assert joined.key == whole.key
    assert joined.vectors.tobytes() == whole.vectors.tobytes()
    assert (joined.manifest["num_encoded"], whole.manifest["num_encoded"]) == (0, 9)
    of_time = ("seconds", "created", "files", "num_encoded")
    manifests = [{k: v for k, v in e.manifest.items() if k not in of_time} for e in (joined, whole)]
    assert manifests[0] == manifests[1]
    assert files(tmp_path / "parts") == files(tmp_path / "whole")
    assert not list(tmp_path.glob("*/embedding_shards/*"))


class Stream:
    """An iterable that is not a sequence."""

    def __init__(self, texts: list[str]) -> None:
        self.texts = texts

    def __iter__(self):
        return iter(self.texts)


def test_what_is_missing_is_encoded_where_it_is_joined(tiny_qwen, tmp_path, encoded) -> None:
    encode_part(embedder(tiny_qwen), TEXTS, Cache(tmp_path), 1, 2)
    encoded.clear()
    join(tiny_qwen, tmp_path)
    assert encoded == [TEXTS[0:2], TEXTS[4:6], TEXTS[8:]]


def test_nothing_is_left_to_do_once_joined(tiny_qwen, tmp_path, encoded) -> None:
    join(tiny_qwen, tmp_path)
    encoded.clear()
    part = encode_part(embedder(tiny_qwen), TEXTS, Cache(tmp_path), 0, 2)
    assert (part.num_docs, part.num_encoded, encoded) == (5, 0, [])
    assert not list(tmp_path.glob("embedding_shards/*"))


def test_shards_left_by_a_kill_after_the_join_are_removed(tiny_qwen, tmp_path, encoded) -> None:
    encode_part(embedder(tiny_qwen), TEXTS, Cache(tmp_path / "a"), 0, 1)
    join(tiny_qwen, tmp_path / "b")
    (tmp_path / "a/embedding_shards").rename(tmp_path / "b/embedding_shards")
    assert join(tiny_qwen, tmp_path / "b").is_cached
    assert not list(tmp_path.glob("b/embedding_shards/*"))


def test_a_shard_in_another_hand_is_left_to_it(tiny_qwen, tmp_path, encoded, monkeypatch) -> None:
    """Two jobs on the same part: one meets the other's lock, moves on, and computes nothing twice."""
    encode = HuggingFaceEmbedder.encode_full
    calls = []

    def interrupted(self, texts, *rest):
        if not calls:
            calls.append("inner")
            inner = encode_part(embedder(tiny_qwen), TEXTS[:8], Cache(tmp_path), 0, 1)
            calls.append(inner.num_encoded)
        return encode(self, texts, *rest)

    monkeypatch.setattr(HuggingFaceEmbedder, "encode_full", interrupted)
    monkeypatch.setattr(Cache, "entry", lambda *_: pytest.fail("the inner job would wait for ever"))
    with pytest.raises(pytest.fail.Exception):  # the inner job returns last to the locked shard
        encode_part(embedder(tiny_qwen), TEXTS[:8], Cache(tmp_path), 0, 1)
    assert encoded == [TEXTS[2:4], TEXTS[4:6], TEXTS[6:8]]


def test_shards_of_another_model_are_never_used(tiny_qwen, tiny_e5, tmp_path, encoded) -> None:
    for folder in (tiny_e5, tiny_qwen):
        encode_part(embedder(folder), TEXTS, Cache(tmp_path), 0, 1)
    bf16 = HuggingFaceEmbedder(path=str(tiny_qwen), pooling="lasttoken", device="cpu", precision="bf16")
    encode_part(bf16, TEXTS, Cache(tmp_path), 0, 1)
    assert len(encoded) == 15
    joined = join(tiny_qwen, tmp_path)
    assert joined.vectors.shape[1] == 64
    assert joined.vectors.tobytes() == join(tiny_qwen, tmp_path / "alone").vectors.tobytes()
    assert len(list(tmp_path.glob("embedding_shards/*"))) == 2  # of the other models, still to be joined


def test_shards_that_differ_say_so(tiny_qwen, tmp_path, encoded, monkeypatch) -> None:
    encode_part(embedder(tiny_qwen), TEXTS, Cache(tmp_path), 0, 2)
    facts = HuggingFaceEmbedder.facts
    other = {"device": ["cuda:1"], "device_name": "another"}
    monkeypatch.setattr(HuggingFaceEmbedder, "facts", lambda self: facts(self) | other)
    encode_part(embedder(tiny_qwen), TEXTS, Cache(tmp_path), 1, 2)
    manifest = join(tiny_qwen, tmp_path).manifest
    assert manifest["device"] == ["cpu", "cuda:1"]
    assert manifest["device_name"][1] == "another"
    assert manifest["dtype"] == "fp32"


KILLED = """
import json, sys, time
from pathlib import Path
from topiclab.cache import Cache
from topiclab.embed import shards
from topiclab.embed.huggingface import HuggingFaceEmbedder
shards.SHARD_DOCS = 2
encode = HuggingFaceEmbedder.encode_full
calls = []
def slow(self, texts, *rest):
    calls.append(1)
    if len(calls) > 1:
        print("one shard done", flush=True)
        time.sleep(600)
    return encode(self, texts, *rest)
HuggingFaceEmbedder.encode_full = slow
texts, options = json.loads(sys.argv[3])
embedder = HuggingFaceEmbedder(path=sys.argv[1], pooling="lasttoken", **options)
shards.encode_part(embedder, texts, Cache(Path(sys.argv[2])), 0, 2)
"""


def test_a_killed_part_loses_one_shard(tiny_qwen, tmp_path, encoded) -> None:
    command = [sys.executable, "-c", KILLED, str(tiny_qwen), str(tmp_path), json.dumps([TEXTS, CPU])]
    environment = os.environ | {"PYTHONPATH": str(REPO)}
    with subprocess.Popen(command, cwd=REPO, env=environment, stdout=subprocess.PIPE, text=True) as job:
        assert job.stdout is not None
        assert job.stdout.readline() == "one shard done\n"
        job.send_signal(signal.SIGKILL)
    part = encode_part(embedder(tiny_qwen), TEXTS, Cache(tmp_path), 0, 2)
    assert (part.num_docs, part.num_encoded) == (5, 3)
    assert encoded == [TEXTS[4:6], TEXTS[8:]]


def test_shares_cover_every_shard_once() -> None:
    for num_parts in (1, 2, 3, 7):
        parts = [list(Share(Distinct(TEXTS * 2), 2, part, num_parts)) for part in range(num_parts)]
        assert sorted(text for part in parts for shard in part for text in shard) == TEXTS
        for part in range(num_parts):
            share = Share(Distinct(TEXTS), 2, part, num_parts)
            among = [shard for process in share.among(2) for shard in process]
            assert sorted(among) == sorted(parts[part])


@pytest.mark.parametrize("options", [[], ["data.sample=40"], ["data.deduplicate=true"]])
def test_a_stream_of_texts_is_the_corpus(options: list[str]) -> None:
    data = compose(["task=embed", "data=lee", *options])["data"]
    corpus = load_corpus(data)
    assert tuple(TextStream(data)) == tuple(TextStream(data)) == corpus.texts == tuple(load_texts(data)[1])
    assert shards._survey(TextStream(data))[0] == corpus.text_fingerprint


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (
            ["embed.part=4", "embed.num_parts=4"],
            "parts are numbered from 0; lower it, or use embed.num_parts=5",
        ),
        (["embed.part=-1", "embed.num_parts=4"], "embed.part=-1 is refused"),
        (["embed.part=0", "embed.num_parts=0"], "embed.num_parts=0 is refused"),
        (["embed.num_parts=3"], "add -m embed.part=0,1,2"),
        (["embed.part=0", "embed.num_parts=2", "embedder=lsa"], "which embedder=lsa is not"),
    ],
    ids=str,
)
def test_wrong_parts_are_refused(line: list[str], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        compose(["task=embed", "data=lee", "embedder=minilm", *line])
