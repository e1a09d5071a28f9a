"""`stage=judge`: long answers judged fact by fact against a knowledge source (FActScore).

Four artifacts, each made from the one before: facts, evidence, verdicts, scores. With `judge.validate` the
judge is held against people instead, and needs no answers.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path

from rich.markup import escape

from prereq.artifacts import audit, store
from prereq.artifacts.spec import Artifact, plain
from prereq.config import Config
from prereq.errors import PrereqError
from prereq.evaluation.factscore import evidence as searching
from prereq.evaluation.factscore import facts as splitting
from prereq.evaluation.factscore import scores as scoring
from prereq.evaluation.factscore import source, validation
from prereq.evaluation.factscore import verdicts as judging
from prereq.evaluation.factscore.rows import Answer, Passage
from prereq.evaluation.factscore.source import Page
from prereq.report import judged as shown
from prereq.runtime import ranks
from prereq.runtime.console import say
from prereq.runtime.files import read_json, read_lines, write_json, write_lines
from prereq.stages import eval as evaluation
from prereq.stages import prepare
from prereq.stages.data.sets import data_sets
from prereq.stages.judge import judges
from prereq.stages.specs import Specs, judged
from prereq.tracking.metrics import Tracker
from prereq.tracking.obtain import obtain

AGAIN = "remove its folder and run the command again"
TABLE = "split knowledge topic fact verdict passages".split()  # to read in a dashboard
READ = 1000  # facts of that table


def run(config: Config) -> Artifact:
    if config.judge.validate:
        return _agreement(Specs(config))
    specs = Specs(config)
    made = scores(specs)
    if ranks.is_main():
        exact_one = config.judge.verdicts == "exact"
        shown.show(made, None if exact_one else _agreements(specs))
        _say_topics(made)
    return made


def scores(specs: Specs) -> Artifact:
    """Verdicts counted."""
    spec = judged.judged(specs)
    if found := store.found(spec):
        return found
    ranks.on_main_process(lambda: judges.check(specs))
    config, verdicts = specs.config, _verdicts(specs)

    def make(folder: Path, tracker: Tracker) -> dict:
        lines = _read(verdicts, "verdicts")
        who = judged.label(specs, config.judge.verdicts)
        gamma = config.judge.penalised_below
        rows = scoring.table(lines, gamma, config.eval.bootstrap, who)
        result = {"scores": rows, "curve": []} | scoring.by_topic(lines, gamma, who)
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
    rests_on = judges.needed(specs, specs.config.judge.verdicts)

    def make(folder: Path, _: Tracker) -> dict:
        passages = _read(evidence, "passages")
        numbered = {p.pop("number"): Passage(**p) for p in _read(evidence, "passages")}
        with judges.judge(specs) as judge:
            lines = judging.verdicts(
                _read(facts, "facts"), _read(evidence, "evidence"), numbered, judge
            )
        write_lines(folder / "verdicts.jsonl", lines)
        write_lines(folder / "passages.jsonl", passages)  # what the verdicts rest on
        return {key: facts.manifest[key] for key in ("epochs", "trained_on")}

    return obtain(spec, specs.settings, make, uses=[facts, evidence, *rests_on])


def _evidence(specs: Specs, facts: Artifact) -> Artifact:
    """The passages of each fact."""
    spec = judged.evidence(specs)
    if found := store.found(spec):
        return found
    judge = specs.config.judge
    world = [] if judge.knowledge else data_sets(specs, ["knowledge"])

    def make(folder: Path, _: Tracker) -> dict:
        index = searching.index(_pages(specs), judge.passage_words)
        lines = searching.search(_read(facts, "facts"), index, judge.passages)
        used = {number for line in lines for found in line["passages"] for number in found}
        write_lines(folder / "evidence.jsonl", lines)
        passages = ({"number": n} | asdict(index.passages[n]) for n in sorted(used))
        write_lines(folder / "passages.jsonl", passages)
        return {"passages": len(index.passages), "used": len(used)}

    return obtain(spec, specs.settings, make, uses=[facts, *world])


def _facts(specs: Specs) -> Artifact:
    """The answers cut into sentences, those into facts."""
    spec = judged.facts(specs)
    if found := store.found(spec):
        return found
    prepare.check([specs])
    texts = evaluation.generations(specs)
    judge = specs.config.judge
    rests_on = judges.needed(specs, judge.splitter)
    rests_on += data_sets(specs, [test.subset for test in _with_rows(specs)])
    uses = {str(artifact.path): artifact for artifact in (texts, *rests_on)}

    def make(folder: Path, _: Tracker) -> dict:
        answers = _answers(specs, texts)
        with judges.splitter(specs) as splitter:
            lines = splitting.split(answers, judge.abstentions, splitter)
        write_lines(folder / "facts.jsonl", lines)
        told = {"answers": len(lines), "answered": sum(line["answered"] for line in lines)}
        told["facts"] = sum(len(judging.facts_of(line)) for line in lines)
        kept = {key: texts.manifest[key] for key in ("epochs", "trained_on")}
        return kept | {"counts": told}

    return obtain(spec, specs.settings, make, uses=[*uses.values()])


def _answers(specs: Specs, texts: Artifact) -> list[Answer]:
    """The answers of each split at the best epoch that gave any: at the last, where only that did."""
    config = specs.config
    epochs, versions = texts.manifest["epochs"], judged.versions(config.dataset.knowledge)
    lines = _read(texts, "generations")
    found = []
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

    return [Page(**page) for page in pages(Path(specs.folder("knowledge")))]


def _agreement(specs: Specs) -> Artifact:
    """The judge and the splitter held against people, on the rows of a file."""
    config, judge = specs.config, specs.config.judge
    read = validation.read(judge.validate)
    rows = validation.sample(read, judge.items, config.seed)
    claims = isinstance(rows[0], validation.Judged)
    if claims and judge.verdicts == "exact":
        raise PrereqError(
            f"judge.validate={judge.validate}: its rows are claims in free words, and judge.verdicts=exact "
            "reads nothing but listed values; validate a model, judge=openai or judge=local"
        )
    spec = judged.agreement(specs)

    def make(folder: Path, _: Tracker) -> dict:
        many = config.eval.bootstrap
        if claims:
            with judges.judge(specs) as mine:
                who = judged.label(specs, judge.verdicts)
                told, lines = validation.of_claims(rows, mine, who, many)
        else:
            with judges.splitter(specs) if judge.splitter != "exact" else nullcontext() as mine:
                who, gamma = judged.label(specs, judge.splitter, True), judge.penalised_below
                told, lines = validation.of_texts(rows, mine, who, gamma, many)
        write_json(folder / "agreement.json", told)
        write_lines(folder / "rows.jsonl", lines)
        return {"rows": {"used": len(rows), "in the file": len(read)}}

    made = store.found(spec)
    if not made:
        uses = judges.needed(specs, judge.verdicts if claims else judge.splitter)
        made = obtain(spec, specs.settings, make, uses)
    if ranks.is_main():
        shown.show_agreement(_read_agreement(made))
    return made


def _read_agreement(artifact: Artifact) -> dict:
    return read_json(Path(artifact.path) / "agreement.json", f"{AGAIN} ({artifact.path})")


def _agreements(specs: Specs) -> list[dict]:
    """What is known of this judge's agreement with people, the newest of each file."""
    judge, found = plain(judged.named(specs)), {}
    for each in store.every(specs.root, "agreement"):
        if each.manifest["labels"]["judge"] == judge:
            found[each.manifest["labels"]["file"]] = _read_agreement(audit.verify(each))
    return [*found.values()]


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
