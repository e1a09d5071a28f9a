"""From an answer to sentences to atomic facts."""

from collections.abc import Collection, Sequence
from dataclasses import asdict

from prereq.data.sentences import sentences
from prereq.evaluation.factscore.rows import Answer, Sentence, Split
from prereq.evaluation.scoring import prediction

RULES = 1  # raised when the same replies give other facts


def split(answers: Sequence[Answer], abstentions: Collection[str], splitter: Split) -> list[dict]:
    """The lines of `facts.jsonl`: of each answer its sentences, and the facts of each.

    `facts` of a sentence is null where the splitter's reply could not be read. An answer that is empty, or
    whose first sentence holds one of `abstentions`, has no sentences (`answered` is false).
    """
    texts = [cut(answer.text, abstentions) for answer in answers]
    asked = [
        Sentence(answer.topic, text[place - 1] if place else "", sentence)
        for answer, text in zip(answers, texts, strict=True)
        for place, sentence in enumerate(text)
    ]
    facts = iter(splitter(asked))
    return [
        asdict(answer)
        | {"answered": bool(text), "sentences": [{"text": s, "facts": next(facts)} for s in text]}
        for answer, text in zip(answers, texts, strict=True)
    ]


def cut(text: str, abstentions: Collection[str]) -> list[str]:
    """The sentences of an answer; none of one that is empty or abstains."""
    found = [" ".join(sentence.split()) for sentence, _ in sentences(text)]
    first = prediction(found[0]) if found else ""
    return [] if any(prediction(phrase) in first for phrase in abstentions) else found
