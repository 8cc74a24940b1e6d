"""A cell of a language model that is stopped before its end and run again."""

import pytest

from topiclab.runs.run import run_cell


def run_stopped_in_second_round(make_configuration, folder, task, told, monkeypatch):
    """Return the result of the second of two runs; the first stops where it would report its second round.

    task: the module of the task.  told: name of its function that reports a round.
    """
    tell, rounds = getattr(task, told), []

    def stop(module, **others):
        rounds.append(module.steps_done)
        if len(rounds) == 2:
            raise KeyboardInterrupt
        tell(module, **others)

    monkeypatch.setattr(task, told, stop)
    with pytest.raises(KeyboardInterrupt):
        run_cell(make_configuration(), folder)
    assert not (folder / "result.json").exists()
    monkeypatch.setattr(task, told, tell)
    return run_cell(make_configuration(), folder)
