"""Soft labels: the probability of each word in each document, as a teacher sees it."""
