"""What judged answers are made from: facts, evidence, verdicts, scores, each with a key of its own.

So another judge splits nothing again, and another statistic judges nothing again.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from prereq.artifacts import external
from prereq.artifacts.spec import Spec
from prereq.config import KnowledgeSource, TestSplit
from prereq.config.identity import safe
from prereq.config.schema.judge import splitter_server
from prereq.data.reading import is_file
from prereq.errors import PrereqError
from prereq.evaluation.factscore import evidence as searching
from prereq.evaluation.factscore import facts as splitting
from prereq.evaluation.factscore import prompts, scores, validation
from prereq.evaluation.factscore import verdicts as judging
from prereq.stages.specs import choices
from prereq.stages.specs.experiment import Specs

PLAYED = 1  # of the embedded world as a source: raised when its pages change


def facts(specs: Specs) -> Spec:
    """The atomic facts of the answers."""
    judge = specs.config.judge
    content = {
        "generations": specs.generations,
        "splits": [test.name for test in splits(specs)],
        "items": judge.items,
        "splitter": who(specs, judge.splitter, "facts"),
        "abstentions": judge.abstentions,
        "rules": splitting.RULES,
    }
    return _spec(specs, "facts", f"{specs.name}-{label(specs, judge.splitter, True)}", content)


def evidence(specs: Specs) -> Spec:
    """The passages found for each fact."""
    judge = specs.config.judge
    content = {
        "facts": facts(specs),
        "source": source(specs),
        "passages": judge.passages,
        "words": judge.passage_words,
        "bm25s": [external.package(name) for name in ("bm25s", "pystemmer")],
        "rules": searching.RULES,
    }
    return _spec(specs, "evidence", specs.name, content)


def verdicts(specs: Specs) -> Spec:
    """What the judge says of each fact."""
    judge = specs.config.judge
    content = {
        "evidence": evidence(specs),
        "judge": who(specs, judge.verdicts, "verdict"),
        "rules": judging.RULES,
    }
    return _spec(specs, "verdicts", f"{specs.name}-{label(specs, judge.verdicts)}", content)


def judged(specs: Specs) -> Spec:
    """The scores, in the form and with the labels of those of `stage=eval`: reports read both."""
    judge, name = specs.config.judge, label(specs, specs.config.judge.verdicts)
    content = {
        "verdicts": verdicts(specs),
        "penalised_below": judge.penalised_below,
        "bootstrap": specs.config.eval.bootstrap,
        "rules": scores.RULES,
        "kept": scores.KEPT,
    }
    of_eval = specs.scores.labels
    renamed = {test.name: f"{test.name}_by_{name}" for test in splits(specs)}
    labels = of_eval | {
        "splits": {new: of_eval["splits"][old] for old, new in renamed.items()},
        "roles": dict.fromkeys(renamed.values()),
    }
    return replace(_spec(specs, "scores", f"{specs.name}-{name}", content), labels=labels)


def agreement(specs: Specs) -> Spec:
    """The judge compared with people, on the rows of `judge.validate`."""
    config, judge = specs.config, specs.config.judge
    file = Path(judge.validate or "")
    content = {
        "people": external.digest([file], file.parent),
        "items": judge.items,
        "bootstrap": config.eval.bootstrap,
        "judge": who(specs, judge.verdicts, "verdict"),
        "splitter": who(specs, judge.splitter, "facts"),
        "seed": config.seed,
        "rules": [validation.RULES, splitting.RULES, judging.RULES, scores.RULES],
    }
    name = label(specs, judge.verdicts)
    labels = {"judge": named(specs), "file": file.name}
    return Spec(specs.root, "shared", None, "agreement", name, content, labels)


def splits(specs: Specs) -> list[TestSplit]:
    """The test splits that are judged. Raises PrereqError for one that there is not."""
    tests, wanted = choices.tests(specs.config), specs.config.judge.splits
    names = [test.name for test in tests]
    for name in wanted or ():
        if name not in names:
            raise PrereqError(
                f"judge.splits: {name} is no test split of dataset={specs.config.dataset.name}; there is "
                f"{', '.join(names)}"
            )
    return [test for test in tests if wanted is None or test.name in wanted]


def source(specs: Specs) -> Any:
    """The knowledge source by its content; the embedded world's is its own text."""
    given = specs.config.judge.knowledge
    if not given:
        return {"world": specs.data, "edition": PLAYED}
    if is_file(given):
        file = Path(given)
        return external.digest([file], file.parent) if file.is_file() else given
    name = given.partition(":")[0]
    return f"{given}@{external.commit_of(name, None, 'dataset', 'judge.knowledge')}"


def named(specs: Specs) -> Any:
    """What tells one judge from another."""
    return who(specs, specs.config.judge.verdicts, "verdict")


def who(specs: Specs, kind: str, form: str) -> dict[str, Any]:
    """Who splits (`form`: facts) or judges (verdict): its kind, its model and what it is asked."""
    judge = specs.config.judge
    if kind == "exact":
        return {"by": "exact", "values": specs.scores.content.get("values")}
    asked = {"prompts": prompts.digest(judge.prompts), "max_tokens": judge.max_tokens}
    if kind == "openai":
        server = splitter_server(judge) if form == "facts" else judge.server
        return {"by": "openai", "model": server.model} | asked
    mine = own(specs)
    return {"by": "local", "base": mine.base} | mine.computed() | asked


def own(specs: Specs) -> Specs:
    """The specs of the model that judges in this process."""
    model = specs.config.judge.model
    if model.source == "smollm2":  # unpacked once, whoever uses it
        model = replace(model, name="smollm2_135m")
    return Specs(replace(specs.config, model=model))


def label(specs: Specs, kind: str, splits: bool = False) -> str:
    """What a splitter or judge is called in names of artifacts and splits."""
    judge = specs.config.judge
    if kind == "openai":
        return safe((splitter_server(judge) if splits else judge.server).model.split("/")[-1])
    if kind == "local":
        model = judge.model
        return safe(Path(model.path).name if model.path else model.source)
    return kind


def versions(sources: list[KnowledgeSource]) -> dict[str, int | None]:
    """Name of a knowledge source → the version of the fictitious subjects that it tells of."""
    return {source.name: source.version for source in sources}


def _spec(specs: Specs, kind: str, name: str, content: dict[str, Any]) -> Spec:
    data, model = specs.config.dataset.name, specs.config.model.name
    return Spec(specs.root, data, model, kind, name, content, specs.labels())
