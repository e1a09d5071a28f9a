"""Prereq-Tune: teach a language model a skill without teaching it to invent facts."""

__version__ = "0.1.0"
