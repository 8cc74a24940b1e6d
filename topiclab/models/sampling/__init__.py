"""Gibbs chains: fold-in, completion and convergence."""
