"""What a Python user holds: fitted topics of texts and of images."""
