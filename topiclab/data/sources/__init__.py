"""Where corpora come from: published sets, files of one's own, arXiv, NeurIPS."""
