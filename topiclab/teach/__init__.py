"""Soft labels: a teacher's probability of each word for each document."""
