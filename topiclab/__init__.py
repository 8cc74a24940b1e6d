"""topiclab: neural topic models, from one configuration to topics, honest metrics and a finished run folder."""

__version__ = "0.1.0"
