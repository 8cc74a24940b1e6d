"""Parts of the structural topic model: posteriors of documents, start from anchor words, effects."""
