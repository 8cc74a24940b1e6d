"""Layers, losses and clusterings that are independent of any corpus."""
