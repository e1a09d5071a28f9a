"""What each artifact of an experiment is, and what it is made from: every key, nothing made."""

from prereq.stages.specs.ask import answering, asked
from prereq.stages.specs.experiment import FICTITIOUS, Specs, missing, of_method, require

__all__ = ["FICTITIOUS", "Specs", "answering", "asked", "missing", "of_method", "require"]
