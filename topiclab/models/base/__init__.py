"""Shared parts of the models: the training loop, the variational autoencoder, starts and read-outs."""
