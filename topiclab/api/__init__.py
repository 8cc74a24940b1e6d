"""Python API: fitted topics of texts and of images."""
