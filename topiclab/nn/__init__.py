"""Layers, losses and clusterings that know nothing of corpora."""
