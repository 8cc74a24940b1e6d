"""From texts to words: tokenizers, vocabularies and the places of words."""
