"""Scores as pure functions of a generated text: exact match, three grades, F1, and stated facts.

Exact match is here twice. `published_match` and `published_final_match` follow the paper's rule to
the letter. `exact_match` and `final_answer_match` differ from it in three ways: what is only written
otherwise is the same (`folded`), an answer of which normalisation leaves nothing is compared without
it, and an empty answer matches nothing. Both take an answer that is part of a longer word.

`grade` is stricter and knows what exact match cannot: an answer stands in a text as whole words, in what
the text gives as its answer (`said`), and who does not answer is not wrong.
"""

import re
import string
import unicodedata
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import lru_cache

# Raised when `exact_match`, `final_answer_match` or `share_right` changes: these select the epoch that
# answers, so answers are made anew as well.
RULES = 2
METRICS = 3  # raised when any other metric is added or changes: stored answers are scored anew
ABSTENTION = "i don't know"
MARKER = "final answer:"
LABEL = r"(?:the\s+)?answer(?:\s+is)?\s*:"  # before an answer
RIGHT, WRONG, NOT_ATTEMPTED = "right", "wrong", "not attempted"
SURENESS = CERTAIN, UNSURE, UNKNOWN = "certain", "unsure", "unknown"
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


def said(text: str) -> str:
    """What a text gives as its answer, folded: "Answer: Answer: Lyon" and "… Final answer: Lyon" say "lyon".

    It ends where the text goes on with a question or an answer of its own, as base models do.
    """
    last = _own(text).rpartition(MARKER)[2]
    bare = re.sub(rf"^(?:\s*{LABEL})+", "", last)
    return re.split(rf"\n\s*{LABEL}", bare, maxsplit=1)[0].strip()


def _own(text: str) -> str:
    """The text without the next question that it asks itself."""
    return re.split(r"\n\s*question\s*:", prediction(text), maxsplit=1)[0]


def grade(text: str, answers: Sequence[str], abstentions: Sequence[str]) -> str:
    """Right, wrong or not attempted, as SimpleQA grades (Wei et al. 2024), but by rule, without a judge.

    Not attempted: the text holds one of `abstentions` (`eval.abstentions`), even if it names the answer as
    well, or says nothing (no letter, no digit). Right: it says an accepted answer as whole words. Of
    several answers in one text, one right one is enough.
    """
    if _abstains(text, answers, abstentions):
        return NOT_ATTEMPTED
    given = said(text)
    if any(_names(given, prediction(answer)) for answer in answers):
        return RIGHT
    return WRONG if any(map(str.isalnum, given)) else NOT_ATTEMPTED


def sureness(text: str, grade: str, hedges: Sequence[str]) -> str:
    """How sure a text of this grade is: unknown where it does not attempt an answer, unsure where it holds
    one of `hedges` (`eval.hedges`), else certain."""
    if grade == NOT_ATTEMPTED:
        return UNKNOWN
    own = _own(text)
    return UNSURE if any(stands(prediction(hedge), own) for hedge in hedges) else CERTAIN


def _abstains(text: str, answers: Sequence[str], abstentions: Sequence[str]) -> bool:
    """Whether a phrase of abstention stands in the text; an accepted answer that reads so ("I Don't Know
    How to Love Him") is none."""
    phrases, own = [prediction(phrase) for phrase in abstentions], _own(text)
    for answer in map(prediction, answers):
        if any(stands(phrase, answer) for phrase in phrases):
            own = own.replace(answer, " ")
    return any(stands(phrase, own) for phrase in phrases)


def _names(given: str, answer: str) -> bool:
    """Whether an answer stands in what is said, as it is written or without punctuation and articles."""
    plain = _plain(answer)
    return stands(answer, given) or (bool(plain) and stands(plain, _plain(given)))


def _plain(text: str) -> str:
    """Normalised, numbers whole: 1,776 is 1776, and 3.5 neither 35 nor 3 and 5."""
    text = re.sub(r"(?<=\d),(?=\d{3}(?!\d))", "", text)
    return normalise(re.sub(r"(?<=\d)\.(?=\d)", "point", text))


def stands(part: str, text: str) -> bool:
    """Whether `part` stands in the text as whole words; both are folded.

    Words end at what is no letter or digit. Scripts without capitals do not part words by spaces, or add
    to them, so their letters do not hold an answer back.
    """
    start = text.find(part) if part else -1
    while start >= 0:
        end = start + len(part)
        before, after = text[max(0, start - 2) : start], text[end : end + 2]
        whole = not (_of_word(before[-1:]) and _of_word(part[0]))
        whole &= not (_of_word(part[-1]) and _of_word(after[:1]))
        number = re.search(r"\d[.,]$", before) and part[0].isdigit()
        number = number or (re.match(r"[.,]\d", after) and part[-1].isdigit())
        if whole and not number:
            return True
        start = text.find(part, start + 1)
    return False


def _of_word(character: str) -> bool:
    """Whether it goes on a word: a letter with a capital, a digit, a combining mark."""
    if not character:
        return False
    cased = character.upper() != character.lower()
    return cased or character.isdigit() or unicodedata.combining(character) > 0


def squad_em(text: str, answers: Sequence[str]) -> bool:
    """The whole of what is said is one of the answers, both normalised (Rajpurkar et al. 2016)."""
    pairs = (_alike(said(text), answer) for answer in answers)
    return any(wanted and generated == wanted for generated, wanted in pairs)


def squad_f1(text: str, answers: Sequence[str]) -> float:
    """Best harmonic mean of word precision and recall over the answers, all normalised (the same)."""

    def overlap(generated: list[str], wanted: list[str]) -> float:
        common = sum((Counter(generated) & Counter(wanted)).values())
        return 2 * common / (len(generated) + len(wanted)) if common else 0.0

    pairs = (_alike(said(text), answer) for answer in answers)
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
