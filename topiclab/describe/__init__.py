"""Descriptions of fitted topics: labels, tree, time, map."""
