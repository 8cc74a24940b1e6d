"""Images: their files, corpora and captions."""
