"""Vectors of documents and words, computed once and cached."""
