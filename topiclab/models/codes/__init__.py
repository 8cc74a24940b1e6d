"""Stage 1 of TVQ-VAE: codebooks of words and of images."""
