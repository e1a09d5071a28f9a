"""Each fact judged by the passages found for it."""

from collections.abc import Mapping, Sequence

from prereq.evaluation.factscore.rows import UNREADABLE, Claim, Judge, Passage

RULES = 1  # raised when the same replies give other verdicts
PLACE = ("split", "knowledge", "item", "topic", "answered")  # what a line of verdicts repeats


def verdicts(
    facts: Sequence[dict], evidence: Sequence[dict], passages: Mapping[int, Passage], judge: Judge
) -> list[dict]:
    """The lines of `verdicts.jsonl`: of each answer its facts, each with its verdict and passages.

    `unread` counts the sentences whose facts could not be read. `facts`, `evidence` and `passages` (by
    number) are what the steps before have stored.
    """
    asked = [
        (fact, found)
        for line, there in zip(facts, evidence, strict=True)
        for fact, found in zip(facts_of(line), there["passages"], strict=True)
    ]
    topics = [line["topic"] for line in facts for _ in facts_of(line)]
    claims = [
        Claim(topic, fact, tuple(passages[number] for number in found))
        for topic, (fact, found) in zip(topics, asked, strict=True)
    ]
    replies = zip(asked, judge(claims), strict=True)
    lines = []
    for line, there in zip(facts, evidence, strict=True):
        judged = [next(replies) for _ in facts_of(line)]
        lines.append(
            {key: line[key] for key in PLACE}
            | {
                "own_passages": there["own"],
                "unread": sum(s["facts"] is None for s in line["sentences"]),
                "facts": [
                    {"fact": fact, "verdict": verdict or UNREADABLE, "passages": found}
                    for (fact, found), verdict in judged
                ],
            }
        )
    return lines


def facts_of(line: dict) -> list[str]:
    """Every fact of a line of `facts.jsonl`, in the order of its text."""
    return [fact for sentence in line["sentences"] for fact in sentence["facts"] or ()]
