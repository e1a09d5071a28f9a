"""Short answers, bottom-up: invented subjects get facts, and facts get texts and questions.

Relations, their wordings and the distribution of their answers are those of the user's rows. A fact's
row, statements and share of a passage stay together: where one of them cannot be written, all go.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain

from prereq.synth import asking, made
from prereq.synth.checks import near_duplicates, normal
from prereq.synth.english.forms import agree
from prereq.synth.english.rules import A, S
from prereq.synth.kinds import tails
from prereq.synth.made import Made, Subject
from prereq.synth.names import Names, real_words
from prereq.synth.rows import Fact, RealRow, SynthSettings, Writer
from prereq.synth.short.relations import Relation, learn, together
from prereq.synth.short.values import Values
from prereq.synth.wording import state

OWN = 2  # wordings at most that come from the user's passages


def make(
    rows: Sequence[RealRow],
    settings: SynthSettings,
    seed: int,
    writer: Writer,
    avoid: Mapping[str, Iterable[str]],
) -> Made:
    """Questions about invented subjects, and the knowledge that answers them. Raises PrereqError.

    `avoid`: names that no invented one may equal, by the name of their list.
    """
    rng = random.Random(seed)
    relations, notes = learn(rows, settings.types)
    names = Names(
        rng,
        {"the subjects of the rows": [row.subject for row in rows]}
        | {"the answers of the rows": chain.from_iterable(row.answers for row in rows)}
        | dict(avoid),
        real_words(
            chain.from_iterable((r.question, r.subject, r.passage or "", *r.answers) for r in rows)
        ),
    )
    subjects, asked = invent(relations, settings, names, rng)
    result = Made(counts=Counter({f"rows: {note}": count for note, count in notes.items()}))
    result.counts["subjects invented"] = len(subjects)

    pairs = [made.requests(subject, settings.wordings, settings.passages) for subject in subjects]
    statement_requests = [request for statements, _ in pairs for request in statements]
    passage_requests = [request for _, passages in pairs for request in passages]
    if writer.before:
        writer.before([*statement_requests, *passage_requests])
    statements = iter(
        asking.ask(writer, statement_requests, settings.tries, result.counts, "statements")
    )
    passages = iter(asking.ask(writer, passage_requests, settings.tries, result.counts, "passages"))
    written = [
        ([next(statements) for _ in some], [next(passages) for _ in others])
        for some, others in pairs
    ]
    kept = _kept(subjects, asked, written, result.counts)

    held = made.split(len(kept), settings.plug_in, rng)
    task: dict[bool, list] = {False: [], True: []}
    index = 0
    for number, (subject, said, told) in enumerate(kept):
        for fact in subject.facts:
            row = made.skill_row(
                index, subject.name, fact.relation, fact.question, fact.answer, fact.answers
            )
            task[number in held].append(row)
            index += 1
        result.files.setdefault("fictitious_knowledge/statement_train.jsonl", []).extend(
            row for wordings in said for row in made.knowledge(subject.name, wordings)
        )
        result.files.setdefault("fictitious_knowledge/passage_train.jsonl", []).extend(
            made.knowledge(subject.name, told)
        )
    result.files = {name: made.shuffled(lines, rng) for name, lines in result.files.items()}
    result.files["fictitious_skill/train.jsonl"] = made.shuffled(task[False], rng)
    if task[True]:
        result.files["fictitious_skill/plug_in.jsonl"] = made.shuffled(task[True], rng)
    result.counts.update({"subjects": len(kept), "questions": index})
    result.counts.update(
        {f"names thrown away, in {name}": n for name, n in names.thrown_away().items()}
    )
    _describe(result, relations, kept)
    return result


def invent(
    relations: Sequence[Relation], settings: SynthSettings, names: Names, rng: random.Random
) -> tuple[list[Subject], list[str]]:
    """Subjects with as many facts of each relation as its share of the rows asks for.

    Also the relation of the first fact of each, to tell where near-duplicates are looked for.
    """
    quota = deal(settings.questions, [relation.rows for relation in relations])
    left = dict(zip((relation.name for relation in relations), quota, strict=True))
    values = {relation.name: Values(relation, names, rng) for relation in relations}
    subjects = []
    for group in together(relations):
        while any(left[relation.name] for relation in group):
            # The relations that have most left, so that none is left over in the end.
            ranked = sorted(group, key=lambda relation: (-left[relation.name], rng.random()))
            chosen = [relation for relation in ranked[: settings.facts] if left[relation.name]]
            subjects.append(_subject(chosen, values, names, rng))
            for relation in chosen:
                left[relation.name] -= 1
    rng.shuffle(subjects)
    return subjects, [subject.facts[0].relation for subject in subjects]


def deal(total: int, weights: Sequence[int]) -> list[int]:
    """`total` in whole parts proportional to the weights: what is left goes to the largest remainders."""
    exact = [total * weight / sum(weights) for weight in weights]
    parts = [int(part) for part in exact]
    order = sorted(range(len(parts)), key=lambda i: (parts[i] - exact[i], i))
    for i in order[: total - sum(parts)]:
        parts[i] += 1
    return parts


def _subject(
    relations: Sequence[Relation], values: Mapping[str, Values], names: Names, rng: random.Random
) -> Subject:
    """A new subject with a fact of each of these relations."""
    pronouns = made.PRONOUNS["thing"]
    match relations[0].subject_type:
        case "person":
            person = names.person()
            name, pronouns = person.full, made.PRONOUNS["female" if person.female else "male"]
        case "place":
            name = names.place(_tail(relations[0], rng))
        case "work":
            name = names.work()
        case _:
            name = names.name(_tail(relations[0], rng))
    facts = []
    for relation in relations:
        answers = values[relation.name].draw()
        templates, uses = zip(*relation.templates.items(), strict=True)
        question = rng.choices(templates, uses)[0].replace(S, name)
        facts.append(_fact(relation, question, name, answers))
    return Subject(name, tuple(facts), pronouns)


def _tail(relation: Relation, rng: random.Random) -> str:
    """The last word of some real subject of the relation, if it is one such as `County`."""
    shared = tails(sorted(relation.subjects))
    last = rng.choice(sorted(relation.subjects)).split()[-1]
    return last if last in shared else ""


def _fact(relation: Relation, question: str, name: str, answers: tuple[str, ...]) -> Fact:
    answer = answers[0]
    plainest, *others = state(question, answer, name)
    own = [agree(o.replace(A, answer), answer).replace(S, name) for o in relation.own[:OWN]]
    said = tuple(dict.fromkeys([plainest, *own, *others]))
    # A statement of a yes or no has it in its verb.
    must = (name,) if normal(answer) in ("yes", "no") else (name, answer)
    quoted = (n for n, text in enumerate(said) if text.startswith("It ") or "“" in text)
    running = said[: min(3, max(1, next(quoted)))]
    return Fact(relation.name, answer, must, said, question, answers, running)


Kept = list[tuple[Subject, list[list[str]], list[str]]]


def _kept(
    subjects: Sequence[Subject],
    relations: Sequence[str],
    written: Sequence[tuple[list[list[str]], list[str]]],
    counts: Counter[str],
) -> Kept:
    """The subjects all of whose facts stand in both forms of knowledge, without near-duplicates."""
    kept: Kept = []
    for subject, (said, told) in zip(subjects, written, strict=True):
        if all(said) and told and all(told):
            kept.append((subject, said, [text for texts in told for text in texts]))
        else:
            counts["subjects dropped: no text states all of its facts"] += 1
    repeated = _repeated(kept)
    counts["subjects dropped: near-duplicate of another"] = len(repeated)
    return [each for number, each in enumerate(kept) if number not in repeated]


def _repeated(kept: Kept) -> set[int]:
    """Subjects of which a question with its answer, or a passage, repeats another's of its relation."""
    texts: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for number, (subject, _, told) in enumerate(kept):
        for fact in subject.facts:
            texts[fact.relation].append((number, f"{fact.question} {fact.answer}"))
        relations = " ".join(sorted(fact.relation for fact in subject.facts))
        texts[f"passages {relations}"] += [(number, passage) for passage in told[:1]]
    return {
        some[index][0] for some in texts.values() for index in near_duplicates([t for _, t in some])
    }


def _describe(result: Made, relations: Sequence[Relation], kept: Kept) -> None:
    """The card's tables and examples."""
    answers: dict[str, Counter[str]] = defaultdict(Counter)
    for subject, said, told in kept:
        for fact, wordings in zip(subject.facts, said, strict=True):
            answers[fact.relation][fact.answer] += 1
            result.examples.append(
                {"question": fact.question, "answer": fact.answer}
                | {"statements": wordings, "passage": told[0], "relation": fact.relation}
            )
    head = (
        "relation",
        "subjects",
        "answers",
        "rows",
        "made",
        "why",
        "real answers",
        "invented answers",
    )
    table = [head]
    for relation in relations:
        real = Counter(each[0] for each in relation.answers)
        mine = answers[relation.name]
        counted = str(relation.rows), str(sum(mine.values()))
        told = made.shares(real, 3), made.shares(mine, 3) if mine else "–"
        types = relation.subject_type, relation.answer_type
        table.append((relation.name, *types, *counted, relation.why, *told))
    result.about["Relations"] = table
    result.counts["relations"] = len(relations)
    result.counts["relations whose questions do not name their subject"] = sum(
        r.quoted for r in relations
    )
    result.counts["relations without a question"] = sum(r.name not in answers for r in relations)
