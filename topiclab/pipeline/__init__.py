"""Steps that tasks and the Python face share: inputs, models, outputs, saved models."""
