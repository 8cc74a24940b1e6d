"""A small language model, from its tokenizer to chat and export."""
