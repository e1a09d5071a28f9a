"""The embedded small world: invented people, texts about them, and a tokenizer for it."""
