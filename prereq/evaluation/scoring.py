"""Scores as pure functions of a generated text: exact match as published, and facts told."""

import re
import string
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence

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


def normalise(text: str) -> str:
    """Lower case, no punctuation, no articles, single spaces (HotpotQA's rule)."""
    plain = text.lower().translate(str.maketrans("", "", string.punctuation))
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", plain).split())


def final_answer(text: str) -> str:
    """What follows the last `final answer: `; the whole text where there is none."""
    return prediction(text).rpartition("final answer:")[2].strip()


def final_answer_match(text: str, answers: Sequence[str]) -> bool:
    """HotpotQA as published: an answer, normalised, is part of the normalised final answer."""
    said = normalise(final_answer(text))
    return not abstained(text) and any(normalise(answer) in said for answer in answers)


def strict_match(text: str, answers: Sequence[str]) -> bool:
    """The whole final answer is one of the answers, both normalised."""
    return normalise(final_answer(text)) in {normalise(answer) for answer in answers}


def f1(text: str, answers: Sequence[str]) -> float:
    """Best harmonic mean of word precision and recall over the answers, all normalised."""

    def overlap(said: list[str], wanted: list[str]) -> float:
        common = sum((Counter(said) & Counter(wanted)).values())
        return 2 * common / (len(said) + len(wanted)) if common else 0.0

    said = normalise(final_answer(text)).split()
    return max(overlap(said, normalise(answer).split()) for answer in answers)


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


def share_right(
    text: str, accepted: Mapping[str, Collection[str]], values: Mapping[str, Iterable[str]]
) -> float:
    """Share of relations told with an accepted value; a fact left out counts as not told."""
    told = facts_told(text, {relation: values[relation] for relation in accepted})
    return sum(told.get(r) in allowed for r, allowed in accepted.items()) / len(accepted)
