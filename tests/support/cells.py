"""Tasks that need no torch, for the tests of the command line; num_topics chooses what happens."""

import ctypes
import math
import os
import signal
import sys
import time
from pathlib import Path

import numpy as np

from topiclab.runs.outcome import Outcome

RAISES, IS_KILLED, CRASHES, IS_SLOW, EXITS, LEAVES = 13, 9, 11, 600, 17, 18


def fit(cfg, folder: Path):
    num_topics = cfg.num_topics
    with (folder / "attempts").open("a") as stream:
        stream.write(f"{os.getpid()}\n")
    print(f"cell {num_topics} speaks")
    if num_topics == RAISES:
        raise ValueError(f"num_topics={num_topics} brings bad luck")
    if num_topics == IS_KILLED:
        os.kill(os.getpid(), signal.SIGKILL)
    if num_topics == CRASHES:
        ctypes.string_at(0)
    if num_topics == EXITS:
        sys.exit("the task left")
    if num_topics == LEAVES:
        os._exit(1)
    if num_topics == IS_SLOW:
        time.sleep(60)
    return Outcome(
        metrics={"npmi": np.float32(0.25), "td": math.nan},
        seconds={"fit": 0.1},
        manifest={
            "threads": os.environ.get("OMP_NUM_THREADS"),
            "cwd": str(Path.cwd()),
            "worst": -math.inf,
            "folder": folder,
        },
    )


def interrupted(cfg, folder: Path):
    raise KeyboardInterrupt


def interrupted_in_lightning(cfg, folder: Path):
    try:
        raise KeyboardInterrupt
    except KeyboardInterrupt:
        sys.exit(1)
