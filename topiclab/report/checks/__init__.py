"""Tests of the papers' claims."""
