"""The skill LoRA of a method with `dpo` (`method=facttune`), from top to bottom.

Plain fine-tuning comes first (`method=sft`, found or trained). That skill answers each real training row
several times; the evaluation's own rule scores the answers; any two of different score make a pair; and
DPO goes on from the skill, which is the reference as well. After Tian et al. 2023 (arXiv 2311.08401).
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from prereq.artifacts import store
from prereq.artifacts.publish import remove
from prereq.artifacts.spec import Artifact
from prereq.config import EvalConfig
from prereq.data.prompts import asked
from prereq.data.rows import SkillRow
from prereq.data.sources import read_skill
from prereq.data.tokens import prompt_ids
from prereq.errors import PrereqError
from prereq.runtime import files, ranks
from prereq.runtime.console import progress, say
from prereq.stages.data.sets import data_sets
from prereq.stages.generations import answered, kept_epochs
from prereq.stages.pretrain import base_model, libraries
from prereq.stages.probe import keep, kept, scorer_of
from prereq.stages.specs import Specs, choices, preferred
from prereq.tracking.metrics import Tracker
from prereq.tracking.obtain import obtain
from prereq.training.preferences import Pair, pair_tokens, pairs_of

ROWS = 32  # answered at once: what an interruption can lose
KEPT = "checkpoint.jsonl"  # in the scratch folder: the answers to the rows that are done
ANSWERS, PAIRS = "answers.jsonl", "pairs.jsonl"

Numbered = tuple[str, int, SkillRow]  # split, number in it from 0, and the row


def skill_adapter(specs: Specs, begins: Artifact) -> Artifact:
    """The skill LoRA that DPO makes of `begins`, the fine-tuned one; makes the pairs that it lacks."""
    config, recipe = specs.config, specs.config.dataset.skill
    base, begin = base_model(specs), start(specs, begins)
    ranked = pairs(specs, begins, begin)

    def make(folder: Path, tracker: Tracker) -> dict:
        libraries()  # here, because what is found needs none of it
        from peft import PeftModel

        from prereq.model import adapters
        from prereq.model.loading import load_model, load_tokenizer
        from prereq.training import dpo
        from prereq.training.loop import Run

        tokenizer = load_tokenizer(base.path, config.model)
        rows = {(split, number): row for split, number, row in real_rows(specs)}
        lines = files.read_lines(Path(ranked.path) / PAIRS, _remedy(ranked))
        learnt = [
            pair_tokens(
                tokenizer,
                rows[line["split"], line["row"]],
                Pair(line["chosen"], line["rejected"], tuple(line["scores"])),
                config.dataset.prompt,
            )
            for line in lines
        ]
        model = load_model(base.path, config.model, "padded", ranks.device()).to(ranks.device())
        model = PeftModel.from_pretrained(
            model, str(begin), adapter_name=dpo.ADAPTER, is_trainable=True
        )

        def keep_epoch(epoch: int) -> None:
            if recipe.keep_epochs:
                adapters.save(model, dpo.ADAPTER, folder / "epochs" / f"{epoch:03d}", 0.0)

        training = preferred.training(specs)
        label = f"DPO {config.method.name}"
        settings = Run.of(config.stage, config.seed, label, training, folder, tracker)
        beta = config.method.dpo.beta
        summary = dpo.train(model, tokenizer, learnt, settings, beta, keep_epoch)
        adapters.save(model, dpo.ADAPTER, folder, 0.0)
        counts = {"subjects": begins.manifest["summary"]["subjects"]}
        return {"summary": counts | summary}

    return obtain(specs.skill, specs.settings, make, [base, begins, ranked], collective=True)


def pairs(specs: Specs, begins: Artifact, begin: Path) -> Artifact:
    """The answers of `begin`, an epoch of `begins`, with their scores (`answers.jsonl`, a line a row), and
    the pairs of them (`pairs.jsonl`). Raises PrereqError where no row gives a pair."""
    spec = preferred.pairs(specs)
    if found := store.found(spec):
        return found
    data = data_sets(specs, [subset for subset, _ in choices.skill_splits(specs.config)])
    base = base_model(specs)

    def make(folder: Path, tracker: Tracker) -> dict:
        libraries()  # here, because what is found needs none of it
        done = kept(folder / KEPT)
        lines = done + list(_answers(specs, base, begin, len(done), folder / KEPT))
        found = [pair for line in lines for pair in _pairs(specs, line)]
        summary = summed(lines, found)
        if not found:
            remove(folder / KEPT)
            raise PrereqError(nothing_to_rank(specs, summary))
        files.write_lines(folder / ANSWERS, lines)
        files.write_lines(folder / PAIRS, found)
        tracker.resume(0)
        tracker.log(0, summary)
        say("pairs", in_words(summary))
        return {"summary": summary}

    return obtain(spec, specs.settings, make, uses=[*data, base, begins], collective=True)


def real_rows(specs: Specs) -> Iterator[Numbered]:
    """The real training rows, in order."""
    for subset, split in choices.skill_splits(specs.config):
        for number, row in enumerate(read_skill(specs.folder(subset), subset, split)):
            if not row.fictitious:
                yield f"{subset}/{split}", number, row


def start(specs: Specs, begins: Artifact) -> Path:
    """The adapter folder of the epoch that `method.dpo.epoch` names; makes the answers that select it."""
    kept_there, wanted = kept_epochs(begins), specs.config.method.dpo.epoch
    last = max(kept_there)
    if preferred.selects(specs):
        chosen = answered(preferred.fine_tuned(specs), begins).manifest["epochs"]["best"]
        say(
            "noted",
            f"{specs.config.method.name} begins at epoch {chosen} of {last} of plain fine-tuning",
        )
        return kept_there[chosen]
    # Where the last epoch alone is kept, it has the number 0.
    return kept_there[int(wanted) if wanted.isdigit() and last else last]


def _answers(
    specs: Specs, base: Artifact, adapter: Path, done: int, file: Path
) -> Iterator[dict[str, Any]]:
    """The lines of the rows after the first `done`, each with its answers' counts and scores; kept in
    `file` as they come. Answers that are empty or not ended are counted, and make no pair."""
    from prereq.evaluation.engines import engine
    from prereq.evaluation.sampling import by_prompt
    from prereq.model.loading import load_tokenizer

    config, how = specs.config, specs.config.method.dpo
    tokenizer, longest = load_tokenizer(base.path, config.model), config.eval.max_new_tokens
    size = EvalConfig(
        "pairs", max_new_tokens=longest, tokens_per_batch=config.eval.tokens_per_batch
    )
    generate: Callable = cache(
        lambda: engine(size, config.model, config.stage.engine, base.path, tokenizer)
    )
    right, rows = scorer_of(specs), list(real_rows(specs))
    label = f"answer {config.method.name}, training rows"
    with progress(label, len(rows) * how.samples, done * how.samples) as advance:
        for place in range(done, len(rows), ROWS):
            chunk = rows[place : place + ROWS]
            prompts = [prompt_ids(tokenizer, row, config.dataset.prompt) for *_, row in chunk]
            several = [ids for ids in prompts for _ in range(how.samples)]
            # Each is drawn by a seed of its own, so that a resumed run draws what another would have.
            seeds = [
                random.Random(f"pair {config.seed} {split} {number} {n}").getrandbits(63)
                for split, number, _ in chunk
                for n in range(how.samples)
            ]
            choose = by_prompt(how.temperature, how.top_p, seeds, longest)
            said = generate()([adapter], several, advance, choose)
            fresh = []
            for n, (split, number, row) in enumerate(chunk):
                own = said[n * how.samples : (n + 1) * how.samples]
                counts = Counter(a.text for a in own if a.ended and a.text)
                line = {"split": split, "row": number, "place": row.place}
                line["prompt"] = asked(tokenizer, row, config.dataset.prompt).before
                line["unfinished"] = len(own) - counts.total()
                line["answers"] = [
                    {"text": text, "count": count, "score": round(right(text, [row]), 6)}
                    for text, count in counts.most_common()
                ]
                fresh.append(line)
            keep(file, fresh)
            yield from fresh


def _pairs(specs: Specs, line: dict[str, Any]) -> list[dict[str, Any]]:
    """The pairs of a row's answers as lines of `pairs.jsonl`; drawn by the seed where there are more."""
    place = {"split": line["split"], "row": line["row"]}
    scores = {answer["text"]: answer["score"] for answer in line["answers"]}
    rng = random.Random(f"pairs {specs.config.seed} {line['split']} {line['row']}")
    return [
        {**place, "prompt": line["prompt"], "chosen": p.chosen, "rejected": p.rejected}
        | {"scores": list(p.scores)}
        for p in pairs_of(scores, specs.config.method.dpo.pairs, rng)
    ]


def summed(lines: Sequence[dict[str, Any]], found: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """How many rows gave how many pairs; of the others, how many had answers that were all right."""
    with_pairs = {(pair["split"], pair["row"]) for pair in found}
    others = [line for line in lines if (line["split"], line["row"]) not in with_pairs]
    drawn = [a for line in lines for a in line["answers"]]
    total = sum(answer["count"] for answer in drawn)
    return {
        "rows": len(lines),
        "pairs": len(found),
        "rows_without_a_pair": len(others),
        "of_these_all_right": sum(
            bool(line["answers"]) and all(a["score"] == 1 for a in line["answers"])
            for line in others
        ),
        "unfinished_answers": sum(line["unfinished"] for line in lines),
        "mean_score": round(sum(a["count"] * a["score"] for a in drawn) / total, 6)
        if total
        else 0.0,
    }


def in_words(summary: dict[str, Any]) -> str:
    """The summary in a line."""
    return (
        f"{summary['pairs']:,} from {summary['rows']:,} rows; {summary['rows_without_a_pair']:,} rows "
        f"gave none ({summary['of_these_all_right']:,} of them always right); "
        f"{100 * summary['mean_score']:.1f} % of sampled answers right"
    )


def nothing_to_rank(specs: Specs, summary: dict[str, Any]) -> str:
    """Why no row gives a pair, and what would."""
    return (
        f"method={specs.config.method.name}: of {summary['rows']:,} rows none has two answers of different "
        f"scores ({summary['of_these_all_right']:,} are always right, {summary['unfinished_answers']:,} "
        "answers are empty or not ended). Draw more of them (method.dpo.samples), or hotter ones "
        "(method.dpo.temperature), or begin at an earlier epoch (method.dpo.epoch)"
    )


def _remedy(artifact: Artifact) -> str:
    return f"remove {artifact.path} and run the command again"
