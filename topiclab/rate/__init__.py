"""Ratings and names of topics by a language model."""
