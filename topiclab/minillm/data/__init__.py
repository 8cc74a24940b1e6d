"""Text for the language model: byte-pair encoding, packed rows, conversations."""
