"""Images end to end: a run folder with its pictures, the run read back, references, resuming, refusals."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import topiclab
from topiclab.config.compose import ConfigError, compose
from topiclab.data.images.image_set import load_images
from topiclab.models.base.topic_model import TopicModel
from topiclab.pipeline import fit_images as task
from topiclab.result import TopicResult
from topiclab.runs.run import CellFailed, run_cell

SMALL = [
    "model=tvqvae_image",
    "data=digits",
    "data.sample=300",
    "num_topics=4",
    "trainer.device=cpu",
    "model.num_codes=24",
    "model.codebook.code_dim=8",
    "model.codebook.width=8",
    "model.codebook.block_dim=8",
    "model.codebook.max_epochs=4",
    "model.encoder.hidden_dims=[32,32]",
    "model.prior.width=8",
    "model.prior.num_layers=2",
    "model.max_epochs=4",
    "model.init_epochs=20",
    "model.sample.num_per_topic=3",
    "model.sample.num_references=2",
    "model.sample.num_per_reference=2",
    "trainer.checkpoint_seconds=0",
]
PICTURES = ("topics", "references", "reconstructions", "unconditional", "codebook_usage")


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


def cell(folder: Path, cache: Path, *overrides: str):
    return run_cell(compose([*SMALL, f"paths.cache={cache}", *overrides]), folder)


@pytest.fixture(scope="module")
def run(tmp_path_factory, cache):
    folder = tmp_path_factory.mktemp("run")
    return folder, cell(folder, cache)


def digits():
    return load_images(compose(SMALL)["data"])


def test_a_run_folder_holds_topics_metrics_and_pictures(run):
    folder, result = run
    lines = (folder / "topics.txt").read_text().splitlines()
    assert lines[0].split() == ["topic", "share", "label", "codes"]
    assert len(lines) == 5
    assert all("%" in line and "c0" in line for line in lines[1:])
    for name in PICTURES:
        with Image.open(folder / f"{name}.png") as picture:
            picture.verify()
    metrics = result["metrics"]
    for name in ("test/prior_ce", "test/prior_gap", "test/mse", "test/nmi", "sample_purity", "td"):
        assert np.isfinite(metrics[name]), name
    assert metrics["test/prior_ce"] < np.log(24)
    assert 0 < metrics["codebook_usage"] <= 1
    assert metrics["test/prior_ce_shuffled"] - metrics["test/prior_ce"] == pytest.approx(
        metrics["test/prior_gap"]
    )
    assert result["manifest"]["codebook"]["key"]
    assert TopicResult.load(folder / "topics.npz").ids == digits().ids


def test_a_run_is_read_back(run):
    folder, _ = run
    topics = topiclab.load(folder, device="cpu")
    images = digits().images
    np.testing.assert_allclose(topics.transform(images), topics.result.theta, atol=1e-5)
    np.testing.assert_allclose(topics.transform(images[:5, 0]), topics.result.theta[:5], atol=1e-5)
    drawn = topics.sample(topic=2, num=5, seed=1)
    assert drawn.shape == (5, 1, 8, 8)
    assert drawn.dtype == np.uint8
    np.testing.assert_array_equal(drawn, topics.sample(topic=2, num=5, seed=1))
    assert topics.sample(reference=images[0], num=2).shape == (2, 1, 8, 8)
    assert topics.sample(num=2).shape == (2, 1, 8, 8)
    with pytest.raises(ValueError, match="topic=4, but this run has topics 0 to 3"):
        topics.sample(topic=4)
    with pytest.raises(ValueError, match="give one of the two"):
        topics.sample(topic=1, reference=images[0])
    with pytest.raises(ValueError, match="this run reads uint8 of"):
        topics.transform(images.astype(np.float32))


def test_samples_of_a_reference_beside_it(run, tmp_path, capsys):
    folder, _ = run
    (tmp_path / "some").mkdir()
    for row, name in ((0, "b.png"), (7, "a.png")):
        Image.fromarray(digits().images[row, 0]).save(tmp_path / "some" / name)
    line = ["task=predict", f"run={folder}", "num_samples=6", "trainer.device=cpu"]
    result = run_cell(compose([*line, f"reference={tmp_path}/some"]), tmp_path / "out")
    printed = capsys.readouterr().out
    assert "a.png: mainly topic" in printed
    theta = np.load(tmp_path / "out" / "theta.npy", allow_pickle=False)
    expected = topiclab.load(folder).result.theta
    np.testing.assert_allclose(theta, expected[[7, 0]], atol=1e-5)
    assert np.load(tmp_path / "out" / "sample_theta.npy", allow_pickle=False).shape == (2, 6, 4)
    assert (tmp_path / "out" / "references.png").is_file()
    assert 0 <= result["metrics"]["sample_fidelity"] <= 1
    Image.new("RGB", (40, 30)).save(tmp_path / "large.jpg")
    one = run_cell(compose([*line, f"reference={tmp_path}/large.jpg"]), tmp_path / "one")
    assert len(one["manifest"]["references"]) == 1


@pytest.mark.parametrize(
    ("content", "told"),
    [(b"", "a.png"), (b"no picture", "a.png"), (None, "no image in that folder")],
)
def test_what_is_no_reference_is_named(run, content, told, tmp_path):
    (tmp_path / "some").mkdir()
    if content is not None:
        (tmp_path / "some" / "a.png").write_bytes(content)
    cfg = compose(["task=predict", f"run={run[0]}", f"reference={tmp_path}/some"])
    with pytest.raises(CellFailed, match=told) as failure:
        run_cell(cfg, tmp_path / "out")
    assert "on_corrupt" not in str(failure.value)  # it only skips pictures of a set


def test_a_run_on_images_asks_for_a_reference(run, tmp_path):
    with pytest.raises(CellFailed, match="is on images; add reference="):
        run_cell(compose(["task=predict", f"run={run[0]}"]), tmp_path)
    with pytest.raises(ConfigError, match=r"reference=nowhere\.png: nothing there"):
        compose(["task=predict", f"run={run[0]}", "reference=nowhere.png"])


def test_a_run_on_texts_refuses_a_reference(tmp_path):
    small = ["model=kmeans", "num_topics=2", "data=synthetic", "data.planted.num_docs=40"]
    run_cell(compose([*small, f"paths.cache={tmp_path}/cache"]), tmp_path / "run")
    (tmp_path / "some.png").touch()
    line = ["task=predict", f"run={tmp_path}/run", f"reference={tmp_path}/some.png", "data=synthetic"]
    with pytest.raises(CellFailed, match="is for a run on images"):
        run_cell(compose(line), tmp_path / "out")


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (["model=tvqvae_image"], "reads images, but data=lee holds texts; add data=digits"),
        (["data=digits"], "model=theta reads texts, but data=digits holds images"),
        (["task=embed", "model=tvqvae_image", "data=digits"], "task=embed reads texts"),
        ([*SMALL, "model.expansion=3"], "a prior draws one code for each cell"),
        ([*SMALL, "teacher=neighbours", "objective=dsl"], "teacher=neighbours reads texts"),
        ([*SMALL, "embed_text=bow"], "embed_text=bow reads texts"),
        (["embedder=none"], "embedder=none reads no text, which data=lee has; add embedder=lsa"),
        ([*SMALL, "model.regions=halves"], "model.regions=halves is refused: give codes or quadrant"),
        ([*SMALL, "model.prior.kind=gpt"], "give pixelcnn or transformer or none"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_be_is_refused_before_anything_runs(overrides, told):
    with pytest.raises(ConfigError, match=told):
        compose(overrides)


def test_images_name_no_embedder_that_nothing_reads():
    assert compose(SMALL)["embedder"]["name"] == "none"
    assert compose([*SMALL, "embedder=random"])["embedder"]["name"] == "random"
    assert compose([])["embedder"]["name"] == "lsa"


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (["num_topics=1"], "ask for at least 2"),
        (["num_topics=290"], "training images; ask for fewer topics"),
        (["data.sample=8", "num_topics=2", "model.num_codes=600"], "num_codes=600"),
    ],
    ids=" ".join,
)
def test_what_is_too_small_is_named(overrides, told, tmp_path, cache):
    with pytest.raises(CellFailed, match=told):
        cell(tmp_path, cache, *overrides)
    assert not (tmp_path / "topics.npz").exists()


def test_labels_are_not_needed_nor_held_out_images(tmp_path, cache):
    overrides = ["data.split.val=0", "data.split.test=0", "model.condition_dropout=0", "trainer.max_epochs=1"]
    result = cell(tmp_path, cache, *overrides)
    assert "the split has no documents" in result["reasons"]["test/prior_ce"]
    assert "prior_gap" in " ".join(result["reasons"])
    assert "condition_dropout" in result["reasons"]["test/prior_ce_unconditional"]
    assert (tmp_path / "topics.png").is_file()
    assert not (tmp_path / "unconditional.png").exists()
    with pytest.raises(ValueError, match="has always seen topics; give a topic or a reference"):
        topiclab.load(tmp_path, device="cpu").sample(num=2)


@pytest.mark.parametrize("names", [["one"], ["one", "two"]], ids=len)
def test_supervised_topics_need_two_labels(names, tmp_path, cache):
    """Refused before a codebook is trained; a folder gives one label, pictures in no folder have none."""
    for row, image in enumerate(digits().images[:24, 0]):
        place = tmp_path / "pictures" / (names[row % len(names)] if len(names) > 1 else "")
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(place / f"{row}.png")
    overrides = ["data=images", f"data.path={tmp_path}/pictures", "data.sample=null", "mode=supervised"]
    overrides += ["num_topics=2", "trainer.max_epochs=1", "model.num_codes=8"]
    if len(names) > 1:
        assert np.isfinite(cell(tmp_path / "run", cache, *overrides)["metrics"]["train/accuracy"])
        return
    with pytest.raises(
        CellFailed, match=r"at least two labels, but images has none; give each label a folder"
    ):
        cell(tmp_path / "run", cache, *overrides)


def test_max_epochs_limits_both_stages(tmp_path, cache):
    result = cell(tmp_path, cache, "trainer.max_epochs=1", "seed=5")
    assert result["manifest"]["fit"]["epochs"] == 1
    assert result["manifest"]["codebook"]["epochs"] == 1


@pytest.mark.parametrize("where", ["training_step", "draw_image_samples", "evaluate", "save_image_model"])
def test_a_killed_run_resumes_to_the_same_topics(where, run, tmp_path, cache, monkeypatch, caplog):
    caplog.set_level(logging.INFO)
    owner = TopicModel if where == "training_step" else task
    original, waiting = getattr(owner, where), [True]

    def killed(self, *args, **options):
        if waiting and (where != "training_step" or self.current_epoch == 2):
            waiting.clear()
            raise KeyboardInterrupt
        return original(self, *args, **options)

    monkeypatch.setattr(owner, where, killed)
    with pytest.raises(KeyboardInterrupt):
        cell(tmp_path, cache)
    assert not (tmp_path / "result.json").exists()
    caplog.clear()
    cell(tmp_path, cache)
    assert "from the cache" in caplog.text
    assert "resuming from" in caplog.text
    first, second = (TopicResult.load(folder / "topics.npz") for folder in (run[0], tmp_path))
    np.testing.assert_array_equal(first.theta, second.theta)
    assert (run[0] / "topics.png").read_bytes() == (tmp_path / "topics.png").read_bytes()


def test_wandb_gets_pictures_and_metrics(tmp_path, cache, monkeypatch):
    monkeypatch.setenv("WANDB_SILENT", "true")
    monkeypatch.delenv("WANDB_MODE", raising=False)
    cell(tmp_path, cache, "logger=wandb", "logger.mode=offline")
    found = {path.name.split("_")[0] for path in tmp_path.glob("wandb/*/files/media/images/pictures/*.png")}
    assert found == {"training", *(name.split("_")[0] for name in PICTURES)}


def test_history_tells_the_losses_apart(run):
    history = json.loads((run[0] / "training_history.json").read_text())
    assert history[-1]["train/prior"] < history[0]["train/prior"]
    assert {"val/recon", "val/kl", "val/prior", "val/loss"} <= set(history[-1])
