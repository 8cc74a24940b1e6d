"""Steps that tasks and the Python API share: inputs, models, outputs, saved models."""
