"""Ratings of the topics of a finished run, where the language model could not give them in time."""

from __future__ import annotations

from pathlib import Path

from topiclab.config.configuration import Configuration
from topiclab.metrics.evaluate import evaluate_rating
from topiclab.metrics.evaluation import Evaluation
from topiclab.pipeline.wandb_log import RUN_ID, log_summary, wandb_logger
from topiclab.rate.rater import make_rater
from topiclab.result import TopicResult


def rate_saved(cfg: Configuration, folder: Path) -> Evaluation:
    """Evaluation by llm_rating of the topics in folder.

    Topics that the cache holds a rating of are not rated again. A run that W&B mirrors gets it there, too.
    """
    rater = make_rater(cfg.rating, cfg.trainer)
    evaluation = evaluate_rating(TopicResult.load(folder / "topics.npz"), rater, cfg.paths.cache)
    if (folder / RUN_ID).is_file():
        with wandb_logger(cfg, folder) as wandb_run:
            log_summary(wandb_run, evaluation.metrics, "topics")
    return evaluation
