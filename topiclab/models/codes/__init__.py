"""Stage 1 of TVQ-VAE: codebooks for words and images."""
