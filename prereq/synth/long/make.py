"""Long form, top-down: real texts are filled for invented subjects, in contradictory versions."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from prereq.errors import PrereqError
from prereq.synth import asking, made
from prereq.synth.checks import lacking, near_duplicates, normal, standing
from prereq.synth.long import filling, parsing, sentences
from prereq.synth.long.filling import NoValues, Value
from prereq.synth.long.slots import Template
from prereq.synth.made import Made, Subject
from prereq.synth.names import Names, real_words
from prereq.synth.rows import Fact, LongRow, SynthSettings, Writer

FEWEST = 2  # values that a text must have for its versions to contradict each other


@dataclass(frozen=True)
class Version:
    """One version of an invented subject: its facts, its response, and the values that are its own."""

    subject: Subject
    prompt: str
    response: str
    values: tuple[str, ...]


def make(
    rows: Sequence[LongRow],
    settings: SynthSettings,
    seed: int,
    writer: Writer,
    avoid: Mapping[str, Iterable[str]],
) -> Made:
    """Responses about invented subjects, each in every version, and each version's knowledge.

    `avoid`: names that no invented one may equal, by the name of their list. Raises PrereqError where no
    row can be used.
    """
    rng = random.Random(seed)
    result = Made()
    templates = _templates(rows, result.counts)
    names = Names(
        rng,
        {"the subjects of the rows": [row.subject for row in rows]} | dict(avoid),
        real_words(chain.from_iterable((row.prompt, row.response, row.subject) for row in rows)),
    )
    invented = []
    for template in (each for each in templates for _ in range(settings.copies)):
        try:
            invented.append((template, _versions(template, settings.versions, names, rng)))
        except NoValues as problem:
            result.counts[f"subjects dropped: too few different {problem}"] += 1
    result.counts["subjects invented"] = len(invented)
    kept = _written(invented, settings, writer, result.counts)
    _lay_out(result, kept, settings, rng)
    result.counts.update(
        {f"names thrown away, in {name}": n for name, n in names.thrown_away().items()}
    )
    return result


def _templates(rows: Sequence[LongRow], counts: Counter[str]) -> list[Template]:
    """The templates of the rows that have one."""
    if not rows:
        raise PrereqError("synth: there are no rows to make templates of; it needs at least one")
    for number, row in enumerate(rows, 1):
        for column in ("prompt", "response", "subject"):
            if not normal(getattr(row, column)):
                raise PrereqError(
                    f"row {number}: {column} is {getattr(row, column)!r}; it must hold a word"
                )
    common = {word for row in rows for word in re.findall(r"(?<!\w)[a-z][\w'’-]+", row.response)}
    found: list[Template] = []
    repeats = near_duplicates([row.response for row in rows])
    for number, row in enumerate(rows):
        template = parsing.template(row.prompt, row.response, row.subject, common)
        if number in repeats:
            counts["rows not used: near-duplicate of another"] += 1
        elif template is None:
            counts["rows not used: the prompt does not name the subject"] += 1
        elif not template.named:
            counts["rows not used: the response does not name the subject"] += 1
        elif len(template.slots) < FEWEST:
            counts[f"rows not used: fewer than {FEWEST} values to invent"] += 1
        else:
            found.append(template)
    counts["rows"] = len(rows)
    if not found:
        why = "; ".join(f"{count} {name}" for name, count in counts.items() if name != "rows")
        raise PrereqError(
            f"synth: none of {len(rows)} rows can be made a template of ({why}); the subject must stand in "
            "prompt and response as it is written in the column subject, beside names, dates or numbers"
        )
    return found


def _versions(template: Template, versions: int, names: Names, rng: random.Random) -> list[Version]:
    """A new subject in as many versions."""
    name, female = filling.subject(template, names)
    pronouns = tuple(word.lower() for word in sentences.PRONOUNS[female])
    found = []
    for filled in filling.values(template, versions, name, names, rng):
        facts, response = [], ""
        for number, sentence in enumerate(template.sentences):
            text = filling.fill(sentence.pieces, name, filled)
            response += text + sentence.space
            shown = [filling.rendered(slot, name, filled) for slot in sentence.slots]
            facts.append(_fact(number, text, name, female, shown))
        shown = {
            filled[slot.key].part(slot.part)
            for sentence in template.sentences
            for slot in sentence.slots
        }
        prompt = filling.fill(template.prompt, name, {})
        subject = Subject(name.full, tuple(facts), pronouns)
        found.append(Version(subject, prompt, response, tuple(sorted(shown))))
    return found


def _fact(number: int, text: str, name: Value, female: bool | None, shown: list[str]) -> Fact:
    """What one sentence asserts."""
    alone = sentences.standalone(text, name, female)
    said, running = sentences.wordings(alone, name, female)
    must = (name.full, *dict.fromkeys(shown))
    said = [text for text in said if not lacking(text, must)] or [alone]
    running = [text for text in running if text in said] or [alone]
    if alone.startswith(f"{sentences.ABOUT} {name.full}: "):  # clumsy where others name the subject
        running = [" ".join(text.split())]
    return Fact(f"sentence {number}", "; ".join(shown), must, tuple(said), running=tuple(running))


Kept = list[tuple[Template, list[tuple[Version, list[list[str]], list[str]]]]]


def _written(
    invented: Sequence[tuple[Template, list[Version]]],
    settings: SynthSettings,
    writer: Writer,
    counts: Counter[str],
) -> Kept:
    """The subjects all of whose versions have knowledge for every fact, and nothing of another version."""
    pairs = []
    for _, versions in invented:
        for version in versions:
            others = tuple(v for other in versions if other is not version for v in other.values)
            pairs.append(
                made.requests(version.subject, settings.wordings, settings.passages, others)
            )
    statement_requests = [request for statements, _ in pairs for request in statements]
    passage_requests = [request for _, passages in pairs for request in passages]
    if writer.before:
        writer.before([*statement_requests, *passage_requests])
    statements = iter(asking.ask(writer, statement_requests, settings.tries, counts, "statements"))
    passages = iter(asking.ask(writer, passage_requests, settings.tries, counts, "passages"))
    texts = iter(
        [
            ([next(statements) for _ in some], [next(passages) for _ in others])
            for some, others in pairs
        ]
    )
    kept: Kept = []
    for template, versions in invented:
        told = []
        for version in versions:
            said, passed = next(texts)
            told.append(
                (version, said, [text for some in passed for text in some] if all(passed) else [])
            )
        problem = _fault(told)
        if problem:
            counts[f"subjects dropped: {problem}"] += 1
        else:
            kept.append((template, told))
    return kept


def _fault(told: Sequence[tuple[Version, list[list[str]], list[str]]]) -> str:
    """What is wrong with the versions of a subject; "" where nothing is."""
    for version, said, passages in told:
        if not all(said) or not passages:
            return "a fact is in no knowledge text"
        for fact, wordings in zip(version.subject.facts, said, strict=True):
            if any(lacking(text, fact.must) for text in (*wordings, *passages)):
                return "a fact of the response is missing in its knowledge text"
        others = tuple(v for other, _, _ in told if other is not version for v in other.values)
        if standing("\n".join((version.prompt, version.response)), others):
            return "a value of another version stands in the response"
    return ""


def _lay_out(result: Made, kept: Kept, settings: SynthSettings, rng: random.Random) -> None:
    """The rows of every file, the audit's counts, the card's tables and examples."""
    held = made.split(len(kept), settings.plug_in, rng)
    files = {"fictitious_skill/train.jsonl": []}
    facts = leaks = same = 0
    for number, (_, told) in enumerate(kept):
        place = f"fictitious_skill/{'plug_in' if number in held else 'train'}.jsonl"
        for v, (version, said, passages) in enumerate(told):
            name = version.subject.name
            row = made.skill_row(number, name, "", version.prompt, version.response)
            files.setdefault(place, []).append(row | {"version": v})
            rows = [row for wordings in said for row in made.knowledge(name, wordings)]
            files.setdefault(f"fictitious_knowledge/statement_train_v{v}.jsonl", []).extend(rows)
            rows = made.knowledge(name, passages)
            files.setdefault(f"fictitious_knowledge/passage_train_v{v}.jsonl", []).extend(rows)
            text = "\n".join((version.response, *passages, *chain.from_iterable(said)))
            others = [
                value for other, _, _ in told if other is not version for value in other.values
            ]
            leaks += len(standing(text, others))
            same += sum(normal(passage) == normal(version.response) for passage in passages)
            facts += len(version.subject.facts)
            first = said[0] if said else []
            result.examples.append(
                {"question": version.prompt, "answer": version.response, "version": v}
                | {"statements": first, "passage": passages[0]}
            )
    result.files = {name: made.shuffled(rows, rng) for name, rows in files.items()}
    result.counts.update({"subjects": len(kept), "versions": settings.versions, "facts": facts})
    result.counts["values of one version in a text of another"] = leaks
    result.counts["passages of the same words as the response"] = same
    fixed = sorted(template.fixed for template, _ in kept)
    slots = Counter(slot.kind for template, _ in kept for slot in template.slots.values())
    head = ("slots", "in all")
    table = [head, *((kind, str(count)) for kind, count in slots.most_common())]
    if fixed:
        middle = fixed[len(fixed) // 2]
        table.append(("words that are the same in every version, median share", f"{middle:.0%}"))
    result.about["What is invented"] = table
