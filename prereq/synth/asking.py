"""Have a writer write, check every text, have what fails written anew, and count."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from prereq.errors import PrereqError
from prereq.runtime.console import progress
from prereq.synth.checks import lacking, near_duplicates, standing
from prereq.synth.rows import Request, Writer

BATCH = 256  # requests a call
GIVEN_UP = "the writer gave it up"


def ask(
    writer: Writer, requests: Sequence[Request], tries: int, counts: Counter[str], what: str
) -> list[list[str]]:
    """For each request its texts that pass: statements, or one passage; none where every try failed.

    A request is sent again, with `attempt` one higher and what was wrong, until all its texts pass or the
    writer gives it up; of several tries the one with most texts counts. `counts` gains what was written,
    written anew and dropped, and why.
    """
    best: list[list[str]] = [[] for _ in requests]
    why = [""] * len(requests)
    open_, given_up = list(range(len(requests))), []
    with progress(f"writing {what}", len(requests)) as advance:
        for attempt in range(tries):
            left = []
            for batch in _batched(open_, BATCH):
                asked = [
                    replace(requests[index], attempt=attempt, fault=why[index]) for index in batch
                ]
                texts = writer.write(asked)
                if len(texts) != len(asked):
                    raise PrereqError(
                        f"the writer {writer.name} gave {len(texts)} texts for {len(asked)} requests; it "
                        "must give one for each"
                    )
                for index, request, text in zip(batch, asked, texts, strict=True):
                    if text is None:
                        why[index] = GIVEN_UP
                        given_up.append(index)
                        continue
                    passed, problem = check(request, text)
                    if len(passed) > len(best[index]):
                        best[index] = passed
                    if problem:
                        why[index] = problem
                        left.append(index)
                    else:
                        advance(1)
            if attempt + 1 < tries:
                counts.update(f"{what} written anew: {why[index]}" for index in left)
            open_ = left
            if not open_:
                break
    for index in (*open_, *given_up):
        if not best[index]:
            counts[f"{what} dropped: {why[index]}"] += 1
        else:
            counts[f"{what} with fewer wordings than asked for"] += 1
    counts[f"{what} asked for"] += len(requests)
    return best


def check(request: Request, text: str) -> tuple[list[str], str]:
    """Which texts of a reply are right, and what is wrong with the rest: "" where nothing is."""
    if request.form == "passage":
        passage = text.strip()
        problem = _fault(passage, request) if passage else "nothing was written"
        return ([], problem) if problem else ([passage], "")
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    passed, problem = [], "" if lines else "nothing was written"
    for line in lines[: request.count]:
        fault = _fault(line, request)
        if fault:
            problem = fault
        else:
            passed.append(line)
    repeats = near_duplicates(passed)
    if repeats:
        problem = "a near-duplicate of another wording"
        passed = [line for index, line in enumerate(passed) if index not in repeats]
    if len(passed) < request.count and not problem:
        problem = "fewer wordings than asked for"
    return passed, problem


def _fault(text: str, request: Request) -> str:
    """What is wrong with a text; "" where nothing is."""
    for fact in request.facts:
        if lacking(text, fact.must):
            return "a fact is not stated"
    if standing(text, request.forbidden):
        return "a value of another version stands in it"
    return ""


def _batched(indices: Sequence[int], size: int) -> list[Sequence[int]]:
    return [indices[start : start + size] for start in range(0, len(indices), size)]
