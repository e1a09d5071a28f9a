"""Scores as pure functions of a generated text: exact match, abstention, F1, and stated facts.

Exact match is here twice. `published_match` and `published_final_match` follow the paper's rule to
the letter. `exact_match` and `final_answer_match` differ from it in three ways: what is only written
otherwise is the same (`folded`), an answer of which normalisation leaves nothing is compared without
it, and an empty answer matches nothing.
"""

import re
import string
import unicodedata
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import lru_cache

RULES = 2  # raised when a rule of scoring changes, so that stored scores are made anew
ABSTENTION = "i don't know"
MARKER = "final answer:"
APOSTROPHES, QUOTES, DASHES = "’‘‚‛ʼʻʹ′`´‹›＇｀", "“”„‟«»″〝〞＂", "‐‑‒–—―−﹣－"
FOLDED = str.maketrans(
    {c: to for marks, to in ((APOSTROPHES, "'"), (QUOTES, '"'), (DASHES, "-")) for c in marks}
)


def folded(text: str) -> str:
    """Typographic quotes and dashes as ASCII, full-width and combining forms as the usual ones.

    That is Unicode's NFKC; accents stay. Marks go first: NFKC makes a space and an accent of some.
    """
    return unicodedata.normalize("NFKC", text.translate(FOLDED))


def prediction(text: str) -> str:
    """What is scored of a text: folded, lower-cased, stripped."""
    return folded(text).lower().strip()


def abstained(text: str) -> bool:
    return ABSTENTION in prediction(text)


def exact_match(text: str, answers: Sequence[str]) -> bool:
    """Right when an accepted answer is part of the prediction, which does not abstain."""
    generated, wanted = prediction(text), map(prediction, answers)
    return not abstained(text) and any(answer and answer in generated for answer in wanted)


def published_match(text: str, answers: Sequence[str]) -> bool:
    """`exact_match` as published: lower-cased and stripped, nothing else."""
    generated = text.lower().strip()
    return ABSTENTION not in generated and any(answer.lower() in generated for answer in answers)


def normalise(text: str) -> str:
    """Lower case, no punctuation, no articles, single spaces (HotpotQA's rule)."""
    plain = text.lower().translate(str.maketrans("", "", string.punctuation))
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", plain).split())


def final_answer(text: str) -> str:
    """What follows the last `final answer:` of the prediction; all of it where there is none."""
    return prediction(text).rpartition(MARKER)[2].strip()


def final_answer_match(text: str, answers: Sequence[str]) -> bool:
    """Right when an answer, normalised, is part of the normalised final answer (HotpotQA)."""
    generated = final_answer(text)
    return not abstained(text) and any(_part(*_alike(generated, answer)) for answer in answers)


def published_final_match(text: str, answers: Sequence[str]) -> bool:
    """`final_answer_match` as published: an answer that normalises to nothing is part of anything."""
    generated = text.lower().strip()
    final = normalise(generated.rpartition(f"{MARKER} ")[2])
    return ABSTENTION not in generated and any(normalise(answer) in final for answer in answers)


def strict_match(text: str, answers: Sequence[str]) -> bool:
    """The whole final answer is one of the answers, both normalised."""
    pairs = (_alike(final_answer(text), answer) for answer in answers)
    return any(wanted and generated == wanted for generated, wanted in pairs)


def f1(text: str, answers: Sequence[str]) -> float:
    """Best harmonic mean of word precision and recall over the answers, all normalised."""

    def overlap(generated: list[str], wanted: list[str]) -> float:
        common = sum((Counter(generated) & Counter(wanted)).values())
        return 2 * common / (len(generated) + len(wanted)) if common else 0.0

    pairs = (_alike(final_answer(text), answer) for answer in answers)
    return max(
        (overlap(generated.split(), wanted.split()) for generated, wanted in pairs), default=0.0
    )


def _alike(generated: str, answer: str) -> tuple[str, str]:
    """Both normalised; neither, where that leaves nothing of the answer ("The The", "!!!", "+")."""
    answer = prediction(answer)
    normalised = normalise(answer)
    return (normalise(generated), normalised) if normalised else (generated, answer)


def _part(generated: str, answer: str) -> bool:
    """Whether the answer is part of the generated text; as whole words, where it is all articles."""
    if normalise(answer):
        return answer in generated
    return bool(answer) and _finder((answer,))(generated) is not None


def stated_facts(text: str, values: Mapping[str, Iterable[str]]) -> dict[str, str]:
    """Relation → value: the first value of the relation that stands in the text, as whole words."""
    text = folded(text)
    stated = {relation: _finder(tuple(allowed))(text) for relation, allowed in values.items()}
    return {relation: value for relation, value in stated.items() if value is not None}


@lru_cache(maxsize=1024)
def _finder(values: tuple[str, ...]) -> Callable[[str], str | None]:
    """Finds the value that comes first in a folded text, the longest of those that begin there."""
    as_written = {folded(value): value for value in values}
    longest_first = sorted(as_written, key=len, reverse=True)
    pattern = re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, longest_first))})(?!\w)")

    def find(text: str) -> str | None:
        found = pattern.search(text)
        return as_written[found[0]] if found else None

    return find


def share_right(
    text: str, accepted: Mapping[str, Collection[str]], values: Mapping[str, Iterable[str]]
) -> float:
    """Share of relations stated with an accepted value; a fact left out counts as wrong."""
    stated = stated_facts(text, {relation: values[relation] for relation in accepted})
    return sum(stated.get(r) in allowed for r, allowed in accepted.items()) / len(accepted)
