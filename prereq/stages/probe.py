"""`stage=probe`: what the base model knows, question by question.

Each set of exemplars asks every question once greedily and some times by chance; what is answered to a
set is kept at once, so that a run that is stopped goes on from there.
"""

from __future__ import annotations

import copy
import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.markup import escape
from rich.table import Table

from prereq.artifacts import store
from prereq.artifacts.spec import Artifact
from prereq.config import Config, EvalConfig
from prereq.data.rows import SkillRow
from prereq.data.sources import read_skill, read_values
from prereq.errors import PrereqError
from prereq.evaluation.familiarity import (
    CATEGORIES,
    Familiarity,
    answer_of,
    before,
    exemplars,
    few_shot_ids,
)
from prereq.evaluation.metrics import scorer
from prereq.evaluation.statistics import auroc
from prereq.runtime import ranks
from prereq.runtime.console import console, progress
from prereq.runtime.dealing import every_process
from prereq.runtime.files import read_lines, write_lines
from prereq.stages.data.known import FILE
from prereq.stages.data.sets import data_sets
from prereq.stages.pretrain import base_model, libraries
from prereq.stages.specs import Specs, choices, familiarity
from prereq.tracking.metrics import Tracker
from prereq.tracking.obtain import obtain

if TYPE_CHECKING:
    from prereq.stages.specs.familiarity import Split


def run(config: Config) -> list[Artifact]:
    """Ask about every split, and show how much of each is known."""
    specs = Specs(config)
    splits = familiarity.asked(specs)
    data_sets(specs, [subset for subset, _ in splits])
    made = {split: probe(specs, split) for split in splits if real_rows(specs, [split])}
    if ranks.is_main():
        _show(made)
    return list(made.values())


def probe(specs: Specs, split: Split) -> Artifact:
    """What the base knows of the real rows of a split, found or asked: `known.jsonl`, a line a row."""
    spec = familiarity.probe(specs, split)
    if found := store.found(spec):
        return found
    config = specs.config
    data = data_sets(specs, [split[0], *(subset for subset, _ in choices.modelled_on(config))])
    base = base_model(specs)
    rows = real_rows(specs, [split])
    drawn_from = real_rows(specs, choices.modelled_on(config))
    if not rows:
        raise PrereqError(f"stage=probe: {'/'.join(split)} holds no real row to ask about")

    def make(folder: Path, _: Tracker) -> dict:
        answers = _answers(specs, base.path, rows, drawn_from, folder)
        facts = config.eval.scoring == "facts"
        right = scorer(config.eval.scoring, read_values(specs.folder(split[0])) if facts else {})
        lines = [
            _line(row, greedy, sampled, right)
            for row, greedy, sampled in zip(rows, answers[0], answers[1], strict=True)
        ]
        if ranks.is_main():
            write_lines(folder / FILE, lines)
        return {"known": _summary(lines)}

    return obtain(spec, specs.settings, make, uses=[*data, base], collective=True)


def real_rows(specs: Specs, splits: Sequence[Split]) -> list[SkillRow]:
    """The real rows of splits, in order."""
    read = [row for split in splits for row in read_skill(specs.folder(split[0]), *split)]
    return [
        row if row.answers else replace(row, answers=(row.assistant,))
        for row in read
        if not row.fictitious
    ]


def _answers(
    specs: Specs,
    base: Path | str,
    rows: Sequence[SkillRow],
    drawn_from: Sequence[SkillRow],
    folder: Path,
) -> tuple[list[list[str]], list[list[str]]]:
    """Greedy and sampled answers to each row, over all sets of exemplars."""
    libraries()
    from prereq.evaluation.engines import engine
    from prereq.evaluation.sampling import by_prompt, greedy
    from prereq.model.loading import load_tokenizer

    config, asked = specs.config, choices.probe(specs.config)
    tokenizer = copy.deepcopy(load_tokenizer(base, config.model))
    sets = exemplars(drawn_from, asked.sets, asked.exemplars, config.seed)
    how = config.dataset.prompt
    prompts = [
        [few_shot_ids(tokenizer, r, before(r, drawn, asked.exemplars), how) for r in rows]
        for drawn in sets
    ]
    if asked.exemplars:
        _end_at_line(tokenizer)
    settings = EvalConfig(
        name="probe",
        max_new_tokens=asked.max_new_tokens,
        tokens_per_batch=config.eval.tokens_per_batch,
    )
    generate: list[Any] = []
    every = [(n, kind) for n in range(asked.sets) for kind in (1, asked.samples)]
    found: tuple[list, list] = ([[] for _ in rows], [[] for _ in rows])
    total = asked.sets * (1 + asked.samples) * len(rows)
    with every_process() as processes, progress(f"ask {config.model.name}", total) as advance:
        for number, (n, times) in enumerate(every):
            sampled = number % 2 == 1
            if not times:
                continue
            kept = folder / f"checkpoint-{n}-{'sampled' if sampled else 'greedy'}.json"
            if kept.exists():
                texts = read_lines(kept, f"remove {kept}")
                advance(len(texts))
            else:
                wanted = [ids for ids in prompts[n] for _ in range(times)]
                seeds = [_seed(config.seed, n, place) for place in range(len(wanted))]

                def share(numbers, done, wanted=wanted, seeds=seeds, sampled=sampled):
                    if not generate:
                        place = (config.model, config.stage.engine, base, tokenizer)
                        generate.append(engine(settings, *place, "probe.max_new_tokens"))
                    choose = greedy
                    if sampled:
                        mine = [seeds[i] for i in numbers]
                        choose = by_prompt(asked.temperature, 1.0, mine, asked.max_new_tokens)
                    answers = generate[0]((), [wanted[i] for i in numbers], done, choose)
                    return [answer_of(answer.text) for answer in answers]

                texts = processes.deal([len(ids) for ids in wanted], share, advance)
                texts = [{"text": text} for text in texts]
                if ranks.is_main():
                    write_lines(kept, texts)
            for place, text in enumerate(texts):
                found[sampled][place // times].append(text["text"])
    return found


def _end_at_line(tokenizer) -> None:
    """Have generation end with the line, where the tokenizer has a token for its end."""
    ids = tokenizer("\n", add_special_tokens=False)["input_ids"]
    if len(ids) == 1:
        tokenizer.eos_token = tokenizer.convert_ids_to_tokens(ids[0])


def _seed(seed: int, number: int, place: int) -> int:
    """Of one sampled answer."""
    text = f"probe {seed} {number} {place}".encode()
    return int.from_bytes(hashlib.sha256(text).digest()[:7], "big")


def _line(row: SkillRow, greedy: list[str], sampled: list[str], right) -> dict[str, Any]:
    """A line of `known.jsonl`."""

    def share(texts: Sequence[str]) -> float:
        return sum(right(text, [row]) for text in texts) / max(1, len(texts))

    found = Familiarity(share(greedy), share(sampled))
    return {
        "file": row.file,
        "row": row.number,
        "question": row.user,
        "greedy": found.greedy,
        "sampled": round(found.sampled, 6),
        "category": found.category,
        "known": row.known,
        "answers": [text for text, _ in Counter(greedy + sampled).most_common(3)],
    }


def _summary(lines: Sequence[dict]) -> dict[str, Any]:
    """Rows by category; where the data say what is known, how well the probe tells it."""
    counts = Counter(line["category"] for line in lines)
    found: dict[str, Any] = {"rows": len(lines)} | {name: counts[name] for name in CATEGORIES}
    told = [line for line in lines if line["known"] is not None]
    share = {
        truth: [line["greedy"] + line["sampled"] for line in told if line["known"] is truth]
        for truth in (True, False)
    }
    if share[True] and share[False]:
        found["auroc"] = round(100 * auroc(share[True], share[False]), 2)
    return found


def _show(made: dict[Split, Artifact]) -> None:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("split")
    for name in ("rows", *(c.removesuffix(" known") for c in CATEGORIES), "AUROC"):
        table.add_column(name, justify="right", no_wrap=True)
    for split, artifact in made.items():
        told = artifact.manifest["known"]
        rows = told["rows"]
        shares = [f"{100 * told[name] / rows:.1f} %" for name in CATEGORIES]
        score = f"{told['auroc']:.1f}" if "auroc" in told else "–"
        table.add_row(escape("/".join(split)), f"{rows:,}", *shares, score)
    console.print(table)
    console.print(
        "known: highly, maybe, weakly or not; AUROC: of the data's own column known", style="dim"
    )
