"""Vectors of documents and words, computed once and kept in the cache."""
