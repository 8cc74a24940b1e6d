"""The mini-LLM: a small decoder-only language model, from its network to a folder that transformers loads."""
