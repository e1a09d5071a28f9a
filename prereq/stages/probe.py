"""`stage=probe`: what the base model knows of the real rows, by its own few-shot answers.

Each row is asked in several prompts (Gekhman et al. 2024), the likeliest answer and sampled ones are
scored as evaluation scores them, and the shares that are right say how well the base knows the row. The
people of the embedded world are asked fact by fact, by sentences to complete. Fictitious rows are left
out: no base can know them.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

from rich.markup import escape

from prereq.artifacts import store
from prereq.artifacts.spec import Artifact, Spec
from prereq.config import Config, EvalConfig
from prereq.config.schema import probe as settings
from prereq.data.rows import SkillRow
from prereq.data.sources import read_skill, read_values
from prereq.evaluation import few_shot
from prereq.evaluation.metrics import Scorer, scorer
from prereq.runtime import files, ranks, workers
from prereq.runtime.console import progress, say
from prereq.runtime.dealing import Processes, every_process
from prereq.stages import prepare
from prereq.stages.data.questions import Fact, mark, questions
from prereq.stages.data.sets import data_sets
from prereq.stages.pretrain import base_model, libraries
from prereq.stages.specs import Specs, choices, probed, require
from prereq.tracking.metrics import Tracker
from prereq.tracking.obtain import obtain

ROWS = 32  # asked at once: what an interruption can lose
KEPT = "checkpoint.jsonl"  # in the scratch folder: the lines of the rows that are done

Asked = tuple[int, SkillRow, list[Fact]]  # a row, its number in the split, and how it is asked


def run(config: Config) -> list[Artifact]:
    """Ask the training rows and those of every test of real facts, and say what is known."""
    specs = Specs(config)
    prepare.check([specs])
    waiting = prepare.missing_probes(specs)
    count = min(workers.processes(config.stage.processes, None), len(waiting))
    if count > 1:
        base_model(specs)  # which all of them need
        workers.parallel([partial(job, specs.config, split) for split in waiting], count)
    artifacts = [probe(specs, *split) for split in probed.splits(specs.config)]
    for artifact in artifacts:
        split, summary = artifact.manifest["labels"]["split"], artifact.manifest["summary"]
        say("known", escape(f"{split}, {few_shot.in_words(summary)}"))
    return artifacts


def job(config: Config, split: tuple[str, str]) -> None:
    """The job of a worker process: one split."""
    probe(Specs(config), *split)


def probes(specs: Specs) -> list[Artifact]:
    """What the base answers to the rows that the method trains on; [] where that is not asked for."""
    splits = choices.modelled_on(specs.config) if probed.training(specs) else []
    return [probe(specs, *split) for split in splits]


def probe(specs: Specs, subset: str, split: str) -> Artifact:
    """What the base answers to the real rows of a split: `probe.jsonl`, one line a row."""
    spec = probed.probe(specs, subset, split)
    if found := store.found(spec):
        return found
    config = specs.config
    if config.stage.name != "probe":
        require(config, spec, f"stage=probe dataset={config.dataset.name}")
    data = data_sets(specs, [subset, *(each for each, _ in choices.modelled_on(config))])
    base = base_model(specs)

    def make(folder: Path, tracker: Tracker) -> dict:
        libraries()  # here, because what is found needs none of it
        rows = enumerate(read_skill(specs.folder(subset), subset, split))
        real = [(number, row) for number, row in rows if not row.fictitious]
        lines = ranks.on_main_process(lambda: kept(folder / KEPT))
        with every_process() as processes:
            lines += _lines(specs, spec, base, real, len(lines), folder / KEPT, processes)
        summary = few_shot.summed(lines)
        if ranks.is_main():
            files.write_lines(folder / probed.FILE, lines)
            tracker.resume(0)
            tracker.log(0, {name: value for name, value in summary.items() if value is not None})
        return {"summary": summary}

    return obtain(spec, specs.settings, make, uses=[*data, base], collective=True)


def _lines(
    specs: Specs,
    spec: Spec,
    base: Artifact,
    real: Sequence[tuple[int, SkillRow]],
    done: int,
    kept: Path,
    processes: Processes,
) -> Iterator[dict[str, Any]]:
    """The lines of the rows after the first `done`; the first process writes them to `kept`."""
    from prereq.evaluation.engines import engine
    from prereq.evaluation.sampling import by_prompt, greedy, until
    from prereq.model.loading import load_tokenizer

    config, how, end = specs.config, specs.config.probe, mark(specs.config)
    tokenizer, longest = load_tokenizer(base.path, config.model), probed.max_new_tokens(config)
    size = EvalConfig(
        "probe", max_new_tokens=longest, tokens_per_batch=config.eval.tokens_per_batch
    )
    engine_of = config.model, config.stage.engine, base.path, tokenizer, "probe.max_new_tokens"
    generate = cache(lambda: engine(size, *engine_of))
    ends = few_shot.ends(tokenizer, end) if end else []
    asks, right = questions(specs, spec.name, tokenizer), scorer_of(specs)

    def answers(prompts: Sequence[list[int]], choose: Callable, advance: Callable) -> list[str]:
        def share(numbers: Sequence[int], done: Callable) -> list[str]:
            chosen = until(choose(numbers), ends, tokenizer.eos_token_id)
            texts = [a.text for a in generate()((), [prompts[n] for n in numbers], done, chosen)]
            return [text.partition(end)[0].strip() if end else text for text in texts]

        return processes.deal([len(ids) for ids in prompts], share, advance)

    a_row = len(asks(*real[0])) * answers_of(config) if real else 0
    label = f"ask {config.model.name}, {spec.name}"
    with progress(label, len(real) * a_row, done * a_row) as advance:
        for first in range(done, len(real), ROWS):
            chunk = [(number, row, asks(number, row)) for number, row in real[first : first + ROWS]]
            asked = [
                (f"{number} {fact} {place}", ids)
                for number, _, facts in chunk
                for fact, one in enumerate(facts)
                for place, ids in enumerate(one.prompts)
            ]
            likeliest = answers([ids for _, ids in asked], lambda _: greedy, advance)
            # Each is drawn by a seed of its own, so that a resumed run draws what another would have.
            words = [f"{name} {n}" for name, _ in asked for n in range(how.samples)]
            seeds = [
                random.Random(f"answer {config.seed} {spec.name} {word}").getrandbits(63)
                for word in words
            ]

            def draw(numbers: Sequence[int], seeds: list[int] = seeds) -> Callable:
                drawn = [seeds[n] for n in numbers]
                return by_prompt(how.temperature, how.top_p, drawn, longest)

            several = [ids for _, ids in asked for _ in range(how.samples)]
            sampled = answers(several, draw, advance)
            fresh = list(_told(chunk, likeliest, sampled, right))
            if ranks.is_main():
                keep(kept, fresh)
            yield from fresh


def _told(
    chunk: Sequence[Asked], likeliest: Sequence[str], sampled: Sequence[str], right: Scorer
) -> Iterator[dict[str, Any]]:
    """The line of each row, by the answers to all prompts of the chunk."""
    place, samples = 0, len(sampled) // max(1, len(likeliest))
    for number, row, facts in chunk:
        found = []
        for fact in facts:
            stop = place + len(fact.prompts)
            said = {"greedy": likeliest[place:stop]}
            said["sampled"] = sampled[place * samples : stop * samples]
            found.append((fact.row, said))
            place = stop
        yield few_shot.told(row, number, found, right)


def answers_of(config: Config) -> int:
    """Answers to one fact."""
    return settings.prompts(config) * (1 + config.probe.samples)


def scorer_of(specs: Specs) -> Scorer:
    """How right an answer to a real training row is, by `eval.scoring`."""
    scoring = specs.config.eval.scoring
    subset = choices.modelled_on(specs.config)[0][0]
    return scorer(scoring, read_values(specs.folder(subset)) if scoring == "facts" else {})


def kept(file: Path) -> list[dict[str, Any]]:
    """The lines that an interrupted run has kept, up to one that was not written whole."""
    lines: list[dict[str, Any]] = []
    if not file.exists():
        return lines
    for line in file.read_bytes().split(b"\n"):
        try:
            lines.append(files.parse_json(line.decode("utf-8")))
        except ValueError:
            break
    files.write_lines(file, lines)
    return lines


def keep(file: Path, lines: Sequence[dict[str, Any]]) -> None:
    """Add lines to those that a later run would go on from."""
    with open(file, "a", encoding="utf-8", newline="") as stream:
        stream.writelines(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    files.flush(file)
