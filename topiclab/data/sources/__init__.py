"""Sources of corpora: published sets, your own files, arXiv, NeurIPS."""
