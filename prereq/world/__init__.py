"""The embedded small world: invented people, what is said of them, and a tokenizer for it."""
