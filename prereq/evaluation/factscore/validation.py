"""A judge held against people: on claims with the passages that they were judged by, or on whole texts."""

RULES = 1  # raised when the same replies give another agreement
