"""Split and judge without a model: the facts of the embedded world are values of its relations.

Any data set works whose facts are values out of lists (`values.json`), each of one relation. A sentence
counts as one about the topic, whoever it names, and a passage as one about its title.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from prereq.evaluation.factscore.evidence import titled
from prereq.evaluation.factscore.rows import NOT_SUPPORTED, SUPPORTED, Claim, Judge, Split
from prereq.evaluation.scoring import folded

Read = Callable[[str], list[tuple[str, str]]]  # text → (relation, value), in the order of the text


def splitter(values: Mapping[str, Sequence[str]]) -> Split:
    """A fact for each value that a sentence states: "The city of Ada Moss: Lyon."."""
    read = _reader(values)
    return lambda asked: [
        [f"The {relation} of {s.topic}: {value}." for relation, value in read(s.text)]
        for s in asked
    ]


def judge(values: Mapping[str, Sequence[str]]) -> Judge:
    """Supported is a fact whose value stands in a passage about its topic."""
    read = _reader(values)

    def verdict(claim: Claim) -> str:
        own = [p for p in claim.passages if titled(p.title) == titled(claim.topic)]
        told = {stated for passage in own for stated in read(passage.text)}
        return SUPPORTED if set(read(claim.fact)) & told else NOT_SUPPORTED

    return lambda claims: [verdict(claim) for claim in claims]


def _reader(values: Mapping[str, Sequence[str]]) -> Read:
    relations = {folded(value): (name, value) for name, many in values.items() for value in many}
    longest_first = sorted(relations, key=len, reverse=True)
    pattern = re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, longest_first))})(?!\w)")
    return lambda text: [relations[found[0]] for found in pattern.finditer(folded(text))]
