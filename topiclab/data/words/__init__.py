"""From texts to words: tokenizers, vocabularies and the positions of words."""
