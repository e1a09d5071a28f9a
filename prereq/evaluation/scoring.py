"""Scores as pure functions of a generated text: exact match as published, and facts told."""

import re
from collections.abc import Iterable, Mapping, Sequence

ABSTENTION = "i don't know"


def prediction(text: str) -> str:
    """What is scored of a generation: lower-cased, stripped."""
    return text.replace("’", "'").lower().strip()


def abstained(text: str) -> bool:
    return ABSTENTION in prediction(text)


def exact_match(text: str, answers: Sequence[str]) -> bool:
    """Right when an accepted answer is part of the prediction, which does not abstain (published)."""
    said = prediction(text)
    return not abstained(text) and any(answer.lower() in said for answer in answers)


def facts_told(text: str, values: Mapping[str, Iterable[str]]) -> dict[str, str]:
    """Relation → value: the first word of the text that is a value of the relation."""
    words = re.findall(r"\w+", text)
    told = {}
    for relation, allowed in values.items():
        allowed = set(allowed)
        first = next((word for word in words if word in allowed), None)
        if first is not None:
            told[relation] = first
    return told


def share_right(text: str, facts: Mapping[str, str], values: Mapping[str, Iterable[str]]) -> float:
    """Share of `facts` that the text tells; a fact left out counts as not told."""
    told = facts_told(text, {relation: values[relation] for relation in facts})
    return sum(told.get(relation) == value for relation, value in facts.items()) / len(facts)
