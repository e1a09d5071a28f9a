"""English: forms of words, word lists, and how questions become statements."""
