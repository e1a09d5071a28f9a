"""What a skill answers to every test prompt: the artifact `generations`, from top to bottom.

The skill is handed in, because one may follow from another's answers (`prereq.stages.dpo`). Where its
adapter of every epoch was kept, the epoch with the highest accuracy on the split that selects answers
once more, and so does the last one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from prereq.artifacts import store
from prereq.artifacts.spec import Artifact
from prereq.config.checks import asks_topics
from prereq.data import prompts as prompts_of
from prereq.data.problems import shown
from prereq.data.sources import read_values
from prereq.data.tokens import prompt_ids
from prereq.errors import PrereqError
from prereq.evaluation import requests, score
from prereq.evaluation.metrics import Scorer, expected, scorer
from prereq.evaluation.requests import Item, Request
from prereq.runtime import ranks
from prereq.runtime.console import progress
from prereq.runtime.dealing import Processes, every_process
from prereq.runtime.files import write_lines
from prereq.stages import cpt, prepare
from prereq.stages.data.sets import data_sets
from prereq.stages.pretrain import base_model
from prereq.stages.specs import Specs, choices
from prereq.tracking.metrics import Tracker
from prereq.tracking.obtain import obtain

if TYPE_CHECKING:
    from prereq.evaluation.generate import Generation


def answered(specs: Specs, skill: Artifact | None) -> Artifact:
    """What the skill adapter (None: the base alone) answers to every test prompt, as `generations.jsonl`."""
    if found := store.found(specs.generations):
        return found
    config = specs.config
    data, base = data_asked(specs), base_model(specs)
    plugged = cpt.knowledge_adapters(specs, choices.plugged(specs.config))
    plugs = {
        s.name: artifact for s, artifact in zip(choices.plugged(specs.config), plugged, strict=True)
    }
    kept = kept_epochs(skill)
    if config.eval.engine == "server" and (plugs or len(kept) > 1):
        raise PrereqError(
            f"eval.engine=server: a server serves one adapter, and dataset={config.dataset.name} asks "
            "for several epochs or plugged-in knowledge; use eval.engine=batches"
        )

    # A server is asked by the first process; otherwise each generates a share with a model of its own.
    alone = config.eval.engine == "server"
    epochs = {epoch: [folder] if skill else [] for epoch, folder in kept.items()}
    knowledge = {name: Path(artifact.path) for name, artifact in plugs.items()}

    def make(folder: Path, _: Tracker) -> dict:
        with every_process(alone) as processes:
            written, chosen = _answered(specs, base.path, epochs, knowledge, processes)
            if ranks.is_main():
                write_lines(folder / "generations.jsonl", written)
        trained_on = skill.manifest.get("summary", {}) if skill else {}
        return {"epochs": chosen, "trained_on": trained_on}

    uses = [*data, base, *([skill] if skill else []), *plugs.values()]
    return obtain(specs.generations, specs.settings, make, uses, collective=not alone)


def _answered(
    specs: Specs,
    base: Path | str,
    epochs: Mapping[int, list[Path]],
    knowledge: Mapping[str, Path],
    processes: Processes,
) -> tuple[list[dict], dict[str, int]]:
    """The lines of `generations.jsonl`, and which epoch is the best and which the last.

    `epochs`: the adapters that answer at each (none of the base alone); `knowledge`: those plugged in.
    """
    from prereq.evaluation.engines import engine  # here, because what is found needs none of it
    from prereq.model.loading import load_tokenizer

    config, tests = specs.config, choices.tests(specs.config)
    tokenizer, how = load_tokenizer(base, config.model), config.dataset.prompt
    settings = config.eval, config.model, config.stage.engine
    generate = cache(lambda: engine(*settings, base, tokenizer))
    items, last = items_of(specs), max(epochs)
    written: list[dict] = []

    def answer(wanted: Sequence[Request], label: str) -> None:
        """Generate for all prompts of each request at once and write them down."""
        total = sum(len(items[test.name]) for request in wanted for test in request.tests)
        with progress(label, max(1, total)) as advance:
            for request in wanted:
                plugged = [knowledge[request.plug]] if request.plug else []
                folders = [*epochs[request.epoch], *plugged]
                asked = [
                    (t, i, item) for t in request.tests for i, item in enumerate(items[t.name])
                ]
                prompts = [prompt_ids(tokenizer, item.rows[0], how) for _, _, item in asked]

                def share(numbers, done, folders=folders, prompts=prompts):
                    return generate()(folders, [prompts[n] for n in numbers], done)

                answers = processes.deal([len(ids) for ids in prompts], share, advance)
                place = {"epoch": request.epoch, "knowledge": request.plug or ""}
                for (test, number, item), generation in zip(asked, answers, strict=True):
                    text = prompts_of.asked(tokenizer, item.rows[0], how).before
                    record = recorded(generation, text, (folders or [base])[0])
                    record |= reference(item)
                    written.append({"split": test.name, **place, "item": number, **record})

    answer(requests.by_epoch(tests, list(epochs)), f"answer {specs.name}, by epoch")
    best = score.best_epoch(written, items, tests, scorer_of(specs), last)
    answer(requests.at_the_end(tests, best, last, knowledge), f"answer {specs.name}")
    return written, {"best": best, "last": last}


def recorded(generation: Generation, prompt: str, adapter: Path | str) -> dict:
    """A generation as a line of `generations.jsonl`. Raises where its probability is no number."""
    confidence = generation.confidence
    if confidence is not None and not math.isfinite(confidence):
        raise PrereqError(
            f"{adapter}: with these weights the probability of an answer is {confidence}, no number (asked "
            f"{shown(prompt)}); train it again with a smaller learning_rate, or set model.dtype=float32"
        )
    return {
        "prompt": prompt,
        "text": generation.text,
        "tokens": generation.tokens,
        "ended": generation.ended,
        "confidence": confidence and round(confidence, 6),
    }


def reference(item: Item) -> dict:
    """What a line of `generations.jsonl` says of the right answer: texts, and facts (one object a version).

    Both follow from the rows, which are in the artifact's key, and scores are made from the rows alone.
    """
    facts = [row.facts for row in item.rows if row.facts]
    return {"expected": expected(item.rows)} | ({"facts": facts} if facts else {})


def data_asked(specs: Specs) -> list[Artifact]:
    """What the test splits are in; topics are a file of their own, and the data is what was learnt."""
    if asks_topics(specs.config.dataset, specs.config.eval.scoring):
        return data_sets(specs, [specs.config.dataset.skill.subset or ""])
    return data_sets(specs, [test.subset for test in choices.tests(specs.config)])


def scorer_of(specs: Specs) -> Scorer:
    """How right an answer is, by `eval.scoring`."""
    scoring = specs.config.eval.scoring
    if scoring != "facts":
        return scorer(scoring, {})
    return scorer(scoring, read_values(specs.folder(choices.tests(specs.config)[0].subset)))


def kept_epochs(skill: Artifact | None) -> dict[int, Path]:
    """Epoch → adapter folder; where only the last was kept, or nothing trained, it is epoch 0."""
    if skill is None:
        return {0: Path()}
    folders = sorted((Path(skill.path) / "epochs").glob("[0-9]*"))
    return {int(f.name): f for f in folders} or {0: Path(skill.path)}


def items_of(specs: Specs) -> dict[str, list[Item]]:
    """Test split → its prompts."""
    return {test.name: prepare.items(specs, test) for test in choices.tests(specs.config)}
