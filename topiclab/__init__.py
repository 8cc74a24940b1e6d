"""Neural topic models: from one configuration to topics, honest metrics and a finished run folder."""

__version__ = "0.1.0"

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from topiclab.api.topics import FittedTopics, fit, load

__all__ = ["FittedTopics", "__version__", "fit", "load"]


def __getattr__(name: str) -> Any:
    """Import the Python API on first use, so that importing topiclab alone stays light."""
    if name in ("FittedTopics", "fit", "load"):
        from topiclab.api import topics as api

        return getattr(api, name)
    raise AttributeError(f"module 'topiclab' has no attribute {name!r}")


def __dir__() -> list[str]:
    """The public names, before their first use too."""
    return sorted(__all__)
