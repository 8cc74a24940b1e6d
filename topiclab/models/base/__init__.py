"""What models share: the training loop, the variational autoencoder, starts and read-outs."""
