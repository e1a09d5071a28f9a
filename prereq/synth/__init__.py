"""Fictitious data: subjects that exist nowhere, texts that state their facts, and the task about them."""
