"""Objects and functions that a configuration names by their path."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from hydra.utils import get_object

from topiclab.config.declared import DECLARATIONS
from topiclab.settings import Trainer

# Current paths of classes that finished runs name by an earlier one.
MOVED: dict[str, str] = {
    "topiclab.models.classical.LDA": "topiclab.models.lda.LDA",
    "topiclab.models.classical.NMF": "topiclab.models.nmf.NMF",
    "topiclab.models.theta.Theta": "topiclab.models.theta.THETA",
}
NOT_OPTIONS = ("_target_", "_partial_", "_convert_", "name", "modality", *DECLARATIONS)


def target_of(group: Mapping[str, Any]) -> Callable[..., Any]:
    """The class or function that the group names, even by its path in an earlier version."""
    path: str = group["_target_"]
    return get_object(MOVED.get(path) or path)


def build(group: Mapping[str, Any], trainer: Trainer | None = None, **given: Any) -> Any:
    """The object of a configuration group: its class, called with the group's options and with `given`.

    trainer: its device and precision are passed to a class whose constructor names a device.
    """
    target = target_of(group)
    options = {name: value for name, value in group.items() if name not in NOT_OPTIONS}
    if trainer is not None and "device" in inspect.signature(target).parameters:
        options |= {"device": trainer.device, "precision": trainer.precision}
    return target(**options, **given)
