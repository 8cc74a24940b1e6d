"""Corpora as counts, texts and splits, and the data modules that models read."""
