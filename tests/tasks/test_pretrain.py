"""task=pretrain from texts to a folder that transformers loads, and again after a kill."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from killed_cells import run_stopped_in_second_round
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from topiclab.config.compose import ConfigError, compose
from topiclab.minillm.data.datamodule import TokenDataModule
from topiclab.minillm.data.packing import pack
from topiclab.minillm.export import load_folder
from topiclab.runs.run import CellFailed, run_cell
from topiclab.tasks import pretrain as task

SMALL = [
    "task=pretrain",
    "model=minillm/nano",
    "data=lee",
    "model.shape.num_layers=2",
    "model.dropout=0.1",
    "model.shape.vocab_size=600",
    "pretrain.length=64",
    "pretrain.tokens_per_step=1024",
    "pretrain.rows_per_device=8",
    "pretrain.eval_steps=6",
    "pretrain.eval_rows=32",
    "pretrain.passes=1",
    "tokenizer.max_bytes=200000",
    "trainer.device=cpu",
    "trainer.precision=fp32",
    "trainer.num_threads=1",
    "data.sample=60",
    "trainer.checkpoint_seconds=0",
]


def configuration(folder, *overrides):
    return compose([*SMALL, f"paths.cache={folder}/cache", *overrides])


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    folder = tmp_path_factory.mktemp("straight")
    return folder / "run", run_cell(configuration(folder), folder / "run")


def test_a_run_learns_and_leaves_what_transformers_loads(straight):
    folder, result = straight
    metrics = result["metrics"]
    history = json.loads((folder / "training_history.json").read_text())
    assert [entry["step"] for entry in history[:2]] == [6, 12]
    assert metrics["val/ce"] < history[0]["val/ce"] < np.log(600)
    assert metrics["val/bits_per_byte"] == pytest.approx(
        metrics["val/ce"] / np.log(2) / metrics["val/bytes_per_token"], rel=0.05
    )
    model, tokenizer = load_folder(folder / "export")
    theirs = AutoModelForCausalLM.from_pretrained(folder / "export")
    text = "The government said on Monday"
    ids = AutoTokenizer.from_pretrained(folder / "export")(text).input_ids
    assert ids == tokenizer.encode(text)
    with torch.no_grad():
        logits = model.logits(model(torch.tensor([ids])))
        torch.testing.assert_close(theirs(torch.tensor([ids])).logits, logits, atol=2e-4, rtol=0)
    assert (folder / "samples.txt").read_text().count("\nThe") >= len(history)
    table = (folder / "metrics.csv").read_text().splitlines()
    assert table[0].startswith("step,")
    assert len(table) == 1 + len(history)
    assert (folder / "curve.png").read_bytes().startswith(b"\x89PNG")


def test_a_killed_run_ends_as_if_it_was_not(straight, tmp_path, monkeypatch):
    folder, result = straight
    again = run_stopped_in_second_round(
        lambda: configuration(tmp_path), tmp_path / "run", task, "write_samples", monkeypatch
    )
    assert again["metrics"]["val/ce"] == result["metrics"]["val/ce"]
    first, second = (load_file(path / "export" / "model.safetensors") for path in (folder, tmp_path / "run"))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_damaged_checkpoint_is_told_and_training_begins_anew(straight, tmp_path, caplog):
    checkpoints = tmp_path / "run" / "checkpoints"
    checkpoints.mkdir(parents=True)
    (checkpoints / "last.ckpt").write_bytes(b"half a file")
    again = run_cell(configuration(tmp_path), tmp_path / "run")
    assert "starting over" in caplog.text
    assert again["metrics"]["val/ce"] == straight[1]["metrics"]["val/ce"]


@pytest.mark.slow
def test_two_devices_train_as_one(tmp_path):
    """Each reads its share of the 15 rows of a step, 3 at a time; reported values cover all rows."""
    options = ("model.dropout=0", "pretrain.tokens_per_step=960", "pretrain.rows_per_device=3")
    runs = {
        num: run_cell(configuration(tmp_path, *options, f"trainer.devices={num}"), tmp_path / f"run{num}")
        for num in (1, 2)
    }
    one, two = (json.loads((tmp_path / f"run{num}/training_history.json").read_text()) for num in runs)
    assert len(one) == len(two) > 1
    for entry, other in zip(one, two, strict=True):
        assert [other[name] for name in ("step", "tokens")] == [entry[name] for name in ("step", "tokens")]
        for name in ("train/ce", "val/ce", "val/bits_per_byte", "gradient_norm"):
            assert other[name] == pytest.approx(entry[name], rel=1e-5), name
    for name in ("val/ce", "train/ce", "tokens"):
        assert runs[2]["metrics"][name] == pytest.approx(runs[1]["metrics"][name], rel=1e-5)
    first, second = (load_file(tmp_path / f"run{num}/export/model.safetensors") for num in runs)
    for name in first:
        torch.testing.assert_close(second[name], first[name], atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("data.split.val=0", "none to measure on"),
        ("pretrain.tokens_per_step=32", "less than one row of 64 tokens"),
        (
            "pretrain.length=300",
            "pretrain.length=300 is more than the model's context of 256 tokens; give at most",
        ),
        ("pretrain.optimizer.lr=1e9", "nats per token"),
    ],
)
def test_what_cannot_be_trained_is_told(override, message, tmp_path):
    with pytest.raises(CellFailed, match=message):
        run_cell(configuration(tmp_path, override), tmp_path / "run")


def test_a_topic_model_is_no_language_model():
    with pytest.raises(ConfigError, match="needs a language model, which model=theta is not"):
        compose(["task=pretrain", "model=theta"])


def rows_of(num_docs=30, mode="stream"):
    generator = np.random.default_rng(0)
    offsets = np.concatenate([[0], np.cumsum(generator.integers(5, 40, num_docs))])
    ids = generator.integers(16, 600, offsets[-1]).astype(np.uint16)

    def packing(epoch):
        return pack(ids, offsets, np.arange(num_docs), length=16, mode=mode, seed=0, epoch=epoch)

    return packing


def test_devices_share_the_rows_of_a_step_and_of_held_out_text():
    packing = rows_of()
    sizes = {"steps_per_round": 4, "num_steps": 20, "rows_per_batch": 5, "most_val_rows": 7}
    module = TokenDataModule(packing, packing(0), rows_per_step=5, masks_documents=False, **sizes)

    def labels(rank, world):
        module.trainer = SimpleNamespace(global_rank=rank, world_size=world)
        held_out = torch.cat([batch["labels"] for batch in module.val_dataloader()])
        return module.step(1)["labels"], held_out

    for whole, *shares in zip(labels(0, 1), *(labels(rank, 3) for rank in range(3)), strict=True):
        assert sum(map(len, shares)) == len(whole)
        for rank, share in enumerate(shares):
            assert torch.equal(share, whole[rank::3])
    with pytest.raises(ValueError, match="5 rows leaves some of 8 devices without one"):
        labels(0, 8)


@pytest.mark.parametrize("mode", ["stream", "bestfit", "pad"])
def test_steps_go_through_every_row_of_an_epoch_once(mode):
    packing = rows_of(mode=mode)
    num_rows = packing(0).num_rows
    module = TokenDataModule(
        packing,
        packing(0),
        rows_per_step=3,
        steps_per_round=4,
        num_steps=20,
        rows_per_batch=5,
        most_val_rows=7,
        masks_documents=True,
    )
    seen = torch.cat([module.step(number)["labels"] for number in range(-(-num_rows // 3))])[:num_rows]
    wanted = packing(0).rows(np.arange(num_rows)).labels[:, 1:]
    assert (seen.numpy() == wanted).all()
    later = module.step(num_rows // 3 + 1)
    assert all(torch.equal(later[name], module.step(num_rows // 3 + 1)[name]) for name in later)
    assert [len(batch["ids"]) for batch in module.val_dataloader()] == [5, 2]
    assert later["documents"].shape == later["ids"].shape == (3, 16)
