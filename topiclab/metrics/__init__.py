"""Metrics of topics, documents and images."""
