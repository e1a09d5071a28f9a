"""`stage=judge`: long answers judged fact by fact against a knowledge source (FActScore).

Four artifacts, each made from the one before: facts, evidence, verdicts, scores. With `judge.validate` the
judge is held against people instead, and needs no answers.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from rich.markup import escape

from prereq.artifacts import audit, store
from prereq.artifacts.spec import Artifact, plain
from prereq.config import Config
from prereq.config.schema.judge import splitter_server
from prereq.data.sources import read_values
from prereq.evaluation.factscore import evidence as searching
from prereq.evaluation.factscore import exact, models, scores, source
from prereq.evaluation.factscore import facts as splitting
from prereq.evaluation.factscore import verdicts as judging
from prereq.evaluation.factscore.rows import Answer, Judge, Passage, Split
from prereq.evaluation.factscore.source import Page
from prereq.report import judged as shown
from prereq.runtime import ranks
from prereq.runtime.console import say
from prereq.runtime.files import read_json, read_lines, write_json, write_lines
from prereq.stages import eval as evaluation
from prereq.stages import prepare
from prereq.stages.data.sets import data_sets
from prereq.stages.specs import Specs, choices, judged
from prereq.tracking.metrics import Tracker
from prereq.tracking.obtain import obtain

AGAIN = "remove its folder and run the command again"
TABLE = "split knowledge topic fact verdict passages".split()  # to read in a dashboard
READ = 1000  # facts of that table


def run(config: Config) -> Artifact:
    specs = Specs(config)
    made = _scores(specs)
    if ranks.is_main():
        exact_one = config.judge.verdicts == "exact"
        shown.show(made, None if exact_one else _agreements(specs))
        _say_topics(made)
    return made


def _scores(specs: Specs) -> Artifact:
    """Verdicts counted."""
    spec = judged.judged(specs)
    if found := store.found(spec):
        return found
    config, verdicts = specs.config, _verdicts(specs)

    def make(folder: Path, tracker: Tracker) -> dict:
        lines = _read(verdicts, "verdicts")
        who = judged.label(specs, config.judge.verdicts)
        rows = scores.table(lines, config.judge.penalised_below, config.eval.bootstrap, who)
        result = {"scores": rows, "curve": [], "rows": {}}
        write_json(folder / "scores.json", result)
        tracker.scores(result, TABLE, _to_read(lines))
        lost = [line["topic"] for line in lines if not line["own_passages"]]
        kept = {key: verdicts.manifest[key] for key in ("epochs", "trained_on")}
        return kept | {"topics_without_passages": list(dict.fromkeys(lost))}

    return obtain(spec, specs.settings, make, uses=[verdicts])


def _verdicts(specs: Specs) -> Artifact:
    """Each fact judged by its passages."""
    spec = judged.verdicts(specs)
    if found := store.found(spec):
        return found
    facts = _facts(specs)
    evidence = _evidence(specs, facts)

    def make(folder: Path, _: Tracker) -> dict:
        passages = _read(evidence, "passages")
        numbered = {p.pop("number"): Passage(**p) for p in _read(evidence, "passages")}
        with _judge(specs) as judge:
            lines = judging.verdicts(
                _read(facts, "facts"), _read(evidence, "evidence"), numbered, judge
            )
        write_lines(folder / "verdicts.jsonl", lines)
        write_lines(folder / "passages.jsonl", passages)  # what the verdicts rest on
        return {key: facts.manifest[key] for key in ("epochs", "trained_on")}

    return obtain(spec, specs.settings, make, uses=[facts, evidence])


def _evidence(specs: Specs, facts: Artifact) -> Artifact:
    """The passages of each fact."""
    spec = judged.evidence(specs)
    if found := store.found(spec):
        return found
    judge = specs.config.judge

    def make(folder: Path, _: Tracker) -> dict:
        index = searching.index(_pages(specs), judge.passage_words)
        lines = searching.search(_read(facts, "facts"), index, judge.passages)
        used = {number for line in lines for found in line["passages"] for number in found}
        write_lines(folder / "evidence.jsonl", lines)
        passages = ({"number": n} | asdict(index.passages[n]) for n in sorted(used))
        write_lines(folder / "passages.jsonl", passages)
        return {"passages": len(index.passages), "used": len(used)}

    return obtain(spec, specs.settings, make, uses=[facts])


def _facts(specs: Specs) -> Artifact:
    """The answers cut into sentences, those into facts."""
    spec = judged.facts(specs)
    if found := store.found(spec):
        return found
    prepare.check([specs])
    texts = evaluation.generations(specs)
    judge = specs.config.judge

    def make(folder: Path, _: Tracker) -> dict:
        answers = _answers(specs, texts)
        with _splitter(specs) as splitter:
            lines = splitting.split(answers, judge.abstentions, splitter)
        write_lines(folder / "facts.jsonl", lines)
        told = {"answers": len(lines), "answered": sum(line["answered"] for line in lines)}
        told["facts"] = sum(len(judging.facts_of(line)) for line in lines)
        kept = {key: texts.manifest[key] for key in ("epochs", "trained_on")}
        return kept | {"counts": told}

    return obtain(spec, specs.settings, make, uses=[texts])


def _answers(specs: Specs, texts: Artifact) -> list[Answer]:
    """The answers of each split at the best epoch that gave any: at the last, where only that did."""
    config = specs.config
    epochs, versions = texts.manifest["epochs"], judged.versions(config.dataset.knowledge)
    lines = _read(texts, "generations")
    found = []
    data_sets(specs, [test.subset for test in _with_rows(specs)])
    for test in judged.splits(specs):
        items = prepare.items(specs, test)[: config.judge.items]
        mine = [x for x in lines if x["split"] == test.name and x["item"] < len(items)]
        there = {line["epoch"] for line in mine}
        epoch = epochs["best"] if epochs["best"] in there else epochs["last"]
        found += [
            Answer(
                test.name,
                line["knowledge"],
                versions.get(line["knowledge"]),
                line["item"],
                items[line["item"]].rows[0].title,
                line["text"],
            )
            for line in mine
            if line["epoch"] == epoch
        ]
    return found


def _with_rows(specs: Specs) -> list:
    """The judged splits that are rows of a data set; topics are a file of their own."""
    return [test for test in judged.splits(specs) if test.subset != "topics"]


def _pages(specs: Specs) -> list[Page]:
    """The knowledge source."""
    given = specs.config.judge.knowledge
    if given:
        return source.read(given)
    from prereq.world.pages import pages

    (data,) = data_sets(specs, ["knowledge"])
    return [Page(**page) for page in pages(Path(data.path))]


@contextmanager
def _splitter(specs: Specs) -> Iterator[Split]:
    config = specs.config
    if config.judge.splitter == "exact":
        yield exact.splitter(_values(specs))
        return
    with _ask(specs, config.judge.splitter, splits=True) as (ask, layout):
        yield models.splitter(ask, layout, config.judge.prompts)


@contextmanager
def _judge(specs: Specs) -> Iterator[Judge]:
    config = specs.config
    if config.judge.verdicts == "exact":
        yield exact.judge(_values(specs))
        return
    with _ask(specs, config.judge.verdicts, splits=False) as (ask, layout):
        yield models.judge(ask, layout, config.judge.prompts)


@contextmanager
def _ask(specs: Specs, who: str, splits: bool) -> Iterator[tuple[models.Ask, str]]:
    """The model that splits or judges, and the layout of its replies. They are kept beside the data sets."""
    judge, replies = specs.config.judge, specs.root / "replies" / "judge.sqlite"
    if who == "openai":
        server = splitter_server(judge) if splits else judge.server
        names = ("judge.server.url", "judge.server.model")
        with models.served(server, names, judge.max_tokens, replies) as ask:
            yield ask, "json"
        return
    from prereq.evaluation.conversations import local_replies
    from prereq.stages.pretrain import base_model, libraries

    libraries()
    mine = judged.own(specs)
    base = base_model(mine)
    generate = local_replies(
        mine.config.model,
        base.path,
        specs.config.stage.engine,
        judge.max_tokens,
        judge.tokens_per_batch,
        0.0,
        longest="judge.max_tokens",
    )
    name = f"{judged.label(specs, 'local')} {base.reference}"
    with models.local(generate, name, judge.max_tokens, replies) as ask:
        yield ask, "lines"


def _agreements(specs: Specs) -> list[dict]:
    """What is known of this judge's agreement with people, the newest of each file."""
    judge, found = plain(judged.named(specs)), {}
    for each in store.every(specs.root, "agreement"):
        if each.manifest["labels"]["judge"] == judge:
            file = Path(audit.verify(each).path) / "agreement.json"
            found[each.manifest["labels"]["file"]] = read_json(file, AGAIN)
    return [*found.values()]


def _values(specs: Specs) -> dict[str, list[str]]:
    subset = choices.tests(specs.config)[0].subset
    data_sets(specs, [subset])
    return read_values(specs.folder(subset))


def _read(artifact: Artifact, name: str) -> list[dict]:
    file = Path(artifact.path) / f"{name}.jsonl"
    return read_lines(file, f"{AGAIN} ({artifact.path})")


def _to_read(lines: list[dict]) -> list[list]:
    rows = [
        [*(line[key] for key in TABLE[:3]), fact["fact"], fact["verdict"], len(fact["passages"])]
        for line in lines
        for fact in line["facts"]
    ]
    return rows[:READ]


def _say_topics(made: Artifact) -> None:
    """Name the topics that the knowledge source has no page of."""
    lost = made.manifest["topics_without_passages"]
    if lost:
        more = f" and {len(lost) - 10:,} more (manifest.json)" if len(lost) > 10 else ""
        what = f"{len(lost):,} topics have no page in the knowledge source, and were judged by other pages"
        say("noted", escape(f"{what}: {', '.join(lost[:10])}{more}"))
