"""SweepComposer gives the same configuration as Hydra, whichever cell came before."""

import itertools
import sys
from functools import partial

import pytest
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import CompactHydraException
from omegaconf import OmegaConf, open_dict

from topiclab.__main__ import main
from topiclab.runs.composer import SweepComposer
from topiclab.runs.sweeper import GridSweeper

LINES = [
    ["data=lee", "num_topics=5", "seed=1"],
    *(
        ["data=tweet_topic", "model=kmeans", *values]
        for values in (
            ["num_topics=5", "seed=1"],
            ["num_topics=7", "seed=2", "data.vocabulary.ngrams=[1,2]"],
            ["seed=2", "num_topics=7", "data.vocabulary.ngrams=[1,1]"],
            ["trainer.patience=3", "data.vocabulary.size=9"],
            ["trainer.patience=null", "data.vocabulary.size=8"],
            ["trainer.gradient_clip=null", "run='a=b'", "name=other", "num_topics=3"],
            ["data.split={val:0.3,test:0.1}", "seed=3"],
            ["data.split.val=0.4", "data.split={val:0.3}", "data.split.test=0.2", "seed=3"],
            ["+data.extra=1", "data.extra=2", "seed=4"],
            ["data.split={val:0.2}", "++data.split.more=2", "seed=5"],
            ["hydra.job.name=mine", "objective.weight=${seed}", "seed=6"],
            ["num_topics=4", "num_topics=6"],
        )
    ),
]


@pytest.fixture
def sweeper(monkeypatch, tmp_path):
    """Make the sweeper of a line, before it composes cells."""
    kept = []
    monkeypatch.setattr(GridSweeper, "sweep", lambda self, arguments: kept.append(self))
    monkeypatch.setattr(sys, "argv", ["topiclab", "-m", "embedder=random", "seed=0", "paths.outputs=here"])
    monkeypatch.setenv("HYDRA_FULL_ERROR", "0")  # as main sets for its process
    monkeypatch.chdir(tmp_path)
    GlobalHydra.instance().clear()
    main()
    (made,) = kept
    yield made
    GlobalHydra.instance().clear()


def test_composed_cells_are_those_of_hydra_in_any_order(sweeper):
    loader = sweeper._context.config_loader
    composer = SweepComposer(loader, sweeper._config)
    theirs = [loader.load_sweep_config(sweeper._config, line) for line in LINES]
    for number in (*range(len(LINES)), *reversed(range(len(LINES)))):
        with open_dict(theirs[number]):
            theirs[number].hydra.job.id = theirs[number].hydra.job.num = number
        ours = composer.compose(LINES[number], number)
        assert OmegaConf.to_yaml(ours) == OmegaConf.to_yaml(theirs[number]), LINES[number]
        assert ours.hydra.sweep.subdir == theirs[number].hydra.sweep.subdir


def test_values_compose_no_yaml_again(sweeper, monkeypatch):
    loader, counted = sweeper._context.config_loader, []
    load = loader.load_sweep_config
    monkeypatch.setattr(loader, "load_sweep_config", lambda *line: counted.append(line) or load(*line))
    composer = SweepComposer(loader, sweeper._config)
    for number, (model, topics, seed) in enumerate(itertools.product(("theta", "prodlda"), (5, 6), range(5))):
        composed = composer.compose([f"model={model}", f"num_topics={topics}", f"seed={seed}"], number)
        assert (composed.model.name, composed.num_topics, composed.seed) == (model, topics, seed)
    assert len(counted) == 2


@pytest.mark.parametrize("line", [["num_topic=5"], ["model.dropot=0.1"], ["data.split=1"], ["model=thetta"]])
def test_faults_are_those_of_hydra(sweeper, line):
    loader = sweeper._context.config_loader
    composer = SweepComposer(loader, sweeper._config)
    told = []
    theirs = partial(loader.load_sweep_config, sweeper._config, line)
    for compose in (theirs, partial(composer.compose, line, 0)):
        try:
            told.append(OmegaConf.to_container(compose().data))
        except CompactHydraException as error:
            told.append(str(error))
    assert told[0] == told[1]
