"""Checks: effects in the cells are found, and absent effects are reported as absent."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from scipy.stats import f_oneway

from topiclab.report.__main__ import main
from topiclab.report.checks import crossmodal, neighbourhoods, sensitivity
from topiclab.report.checks.verdicts import render_check
from topiclab.report.tables.collect import Cell
from topiclab.report.tables.effects import analysis_of_variance, interval

RNG = np.random.default_rng(0)


def cell(
    metrics, *, model="tvqvae", seed=0, num_topics=20, num_codes=100, expansion=1, regions="codes", data="lee"
):
    axes = {"data": data, "model": model, "embedder": "lsa", "num_topics": num_topics, "experiment": "grid"}
    config = {"model": {"num_codes": num_codes, "expansion": expansion, "regions": regions}}
    return Cell(Path("x"), axes, seed, "done", metrics=metrics, config=config)


def test_one_factor_is_the_usual_analysis_of_variance():
    groups = RNG.normal(size=(3, 8)) + np.array([[0.0], [0.5], [1.0]])
    levels = np.repeat(["a", "b", "c"], 8).tolist()
    factor, residual = analysis_of_variance(
        groups.ravel().tolist(), {"group": levels, "alone": [1] * 24}, None
    )
    expected = f_oneway(*groups)
    assert (factor.F, factor.p) == pytest.approx((expected.statistic, expected.pvalue))
    assert (factor.freedom, residual.freedom) == (2, 21)
    assert factor.share + residual.share == pytest.approx(1)


def test_an_interaction_is_told_from_its_factors():
    first, second = np.repeat([0, 1], 20), np.tile(np.repeat([0, 1], 10), 2)
    values = first * second + 0.1 * RNG.normal(size=40)
    found = {
        effect.name: effect
        for effect in analysis_of_variance(
            values.tolist(), {"a": first.tolist(), "b": second.tolist()}, ("a", "b")
        )
    }
    assert found["a x b"].share == pytest.approx(1 / 3, abs=0.08)
    assert sum(effect.freedom for effect in found.values()) == 39


def test_values_without_a_residual_have_no_p():
    effects = analysis_of_variance([1.0, 2.0], {"a": [0, 1]}, None)
    assert np.isnan(effects[0].p)


def test_an_interval_covers_the_mean():
    covers = [interval(RNG.normal(1, 1, 30).tolist(), seed) for seed in range(200)]
    assert 0.88 < np.mean([each.low < 1 < each.high for each in covers]) < 0.99
    assert interval([float("nan")]).num == 0
    assert interval([2.0, 2.0]).excludes_0


def grid_of_tq(gain: float, random_gain: float) -> list[Cell]:
    """Make a grid in which tq rises by `gain` per code, or by `random_gain` where codes are random."""
    return [
        cell(
            {"tq": 0.1 + each * expansion + 0.002 * RNG.normal(), "npmi": 0.1},
            model=model,
            seed=seed,
            num_topics=num_topics,
            num_codes=num_codes,
            expansion=expansion,
        )
        for model, each in (("tvqvae", gain), ("tvqvae_random", random_gain))
        for seed in range(3)
        for num_topics in (20, 50)
        for num_codes in (100, 200)
        for expansion in (1, 5)
    ]


@pytest.mark.parametrize(
    ("gain", "random_gain", "said"),
    [(0.01, 0.0, "supported"), (0.0, 0.0, "not supported"), (0.01, 0.01, "not supported")],
)
def test_several_codes_have_to_beat_one_and_random_ones(gain, random_gain, said, tmp_path):
    cells = grid_of_tq(gain, random_gain)
    text = render_check("sensitivity", cells)
    assert f"is **{said}**" in text
    difference = sensitivity.contrasts(cells)["expansion 5 minus 1"]
    assert (difference.mean, difference.num) == (pytest.approx(4 * gain, abs=0.002), 12)
    shares = {
        effect.name: effect.share
        for effect in sensitivity.effects([c for c in cells if c.axes["model"] == "tvqvae"])
    }
    assert (shares["expansion"] > 0.9) == (gain > 0)
    assert sensitivity.draw(cells, tmp_path / "check.png").stat().st_size > 5000


def grid_of_codes(learned: float, overlap_gain: float) -> list[Cell]:
    cells = []
    for seed in range(4):
        for expansion in (1, 5):
            metrics = {
                f"{space}/{name}": 0.2
                for space in neighbourhoods.SPACES
                for name in ("overlap", "trust", "continuity")
            }
            for source in neighbourhoods.SOURCES:
                level = learned if source == "codes" else 0.0
                metrics[f"{source}/npmi_gain"] = level + 0.001 * RNG.normal()
                metrics |= {
                    f"{source}/{name}": 1.0 for name in ("npmi_z", "code_gain", "usage", "distinct", "skew")
                }
                metrics |= {f"{source}/decay{rank}": level * (3 - rank) for rank in range(1, 6)}
            metrics["codes/overlap"] += overlap_gain * expansion + 0.001 * RNG.normal()
            cells.append(cell(metrics, seed=seed, expansion=expansion))
    return cells


@pytest.mark.parametrize(
    ("learned", "overlap_gain", "said"),
    [(0.1, 0.02, "**kept**"), (0.1, 0.0, "**kept, but not better"), (0.0, 0.02, "**not kept**")],
)
def test_neighbourhoods_have_to_beat_the_controls(learned, overlap_gain, said, tmp_path):
    cells = grid_of_codes(learned, overlap_gain)
    text = render_check("neighbourhoods", cells)
    assert said in text
    assert ("every rank up to 2 of 5" in text) == (learned > 0)
    assert neighbourhoods.draw(cells, tmp_path / "check.png").stat().st_size > 5000


def grid_of_alignments(score: float) -> list[Cell]:
    cells = []
    for seed in range(3):
        metrics = {}
        for side in crossmodal.SIDES:
            for name in crossmodal.MEASURES:
                metrics |= {f"{side}/{name}": 0.5, f"{side}/{name}_null": 0.1, f"{side}/{name}_z": score}
        cells.append(cell(metrics, model="tvqvae_image", seed=seed, regions="quadrant", data="digits"))
    return cells


@pytest.mark.parametrize(("score", "said"), [(8.0, "**agree beyond chance**"), (0.5, "**do not agree")])
def test_topics_have_to_agree_beyond_permuted_pairs(score, said, tmp_path):
    cells = grid_of_alignments(score)
    text = render_check("crossmodal", cells)
    assert said in text
    assert "captions say the class" in text
    assert crossmodal.draw(cells, tmp_path / "check.png").stat().st_size > 5000


def test_an_unknown_check_is_refused():
    with pytest.raises(ValueError, match="choose from: sensitivity"):
        render_check("claim", [])


def test_the_report_writes_table_and_figure_of_a_check(tmp_path, capsys):
    for each in grid_of_tq(0.01, 0.0):
        variant = ",".join(f"model.{key}={each.config['model'][key]}" for key in ("expansion", "num_codes"))
        place = f"grid/lee/{each.axes['model']}/lsa-zero_shot/bow/K{each.axes['num_topics']}"
        folder = tmp_path / place / variant / f"seed{each.seed}"
        folder.mkdir(parents=True)
        result = {"status": "done", "metrics": each.metrics, "config": each.config, "seconds_total": 1.0}
        (folder / "result.json").write_text(json.dumps(result))
    (tmp_path / "claim.table.yaml").write_text(
        yaml.dump({"title": "Claim", "grids": ["grid"], "check": "sensitivity"})
    )
    argv = ["claim", "--outputs", str(tmp_path), "--experiments", str(tmp_path)]
    assert main([*argv, "--out", str(tmp_path / "claim.md")]) == 0
    assert "is **supported**" in (tmp_path / "claim.md").read_text()
    assert (tmp_path / "claim.png").exists()
    capsys.readouterr()
    assert main([*argv, "--format", "csv"]) == 0
    assert len(capsys.readouterr().out.split()) == 1 + 16
