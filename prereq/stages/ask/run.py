"""`stage=ask`: one question, answered by base + skill, with each knowledge LoRA plugged in, and by others.

One model is loaded. For each answer the adapters are merged into it as `stage=eval` merges them, so the
answers are those that are scored there. What is missing is made first, as by `stage=eval`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from prereq.artifacts.spec import Artifact
from prereq.config import Config
from prereq.data.rows import SkillRow
from prereq.data.tokens import prompt_ids
from prereq.errors import PrereqError
from prereq.report import answers
from prereq.runtime import ranks, signals
from prereq.runtime.console import say
from prereq.stages import cpt, dry_run, prepare
from prereq.stages import eval as evaluation
from prereq.stages.ask import prompt
from prereq.stages.ask.known import known_of
from prereq.stages.generations import recorded
from prereq.stages.pretrain import base_model
from prereq.stages.specs import Specs, answering, asked, choices, missing
from prereq.stages.specs.export import epoch_of, scores_of

if TYPE_CHECKING:
    from prereq.evaluation.generate import Generation


@dataclass(frozen=True)
class Variant:
    """Who answers: the base model with these adapters; `version` is that of the knowledge plugged in."""

    name: str
    folders: list[Path] = field(default_factory=list)
    version: int | None = None


def run(config: Config) -> list[Artifact]:
    """Answer `question`, or every question that is typed; the skill adapters that answered."""
    if ranks.world_size() > 1:
        raise PrereqError(
            f"stage=ask: one process answers, and {ranks.world_size()} were started; start it without "
            "accelerate launch, torchrun or srun"
        )
    experiments = asked(config)
    mine = experiments[0]
    known = known_of(mine)
    first = None if config.question is None else known.question(config.question)
    for specs in (one for one in experiments if one.skill):
        epoch_of(specs, scores_of(specs))  # raises where nothing says which is the best
    if any(missing(one) for specs in experiments for one in answering(specs)):
        dry_run.show([need for need in dry_run.needs(config) if need.state == "to make"])
    prepare.check(experiments)
    base, skills = base_model(mine), [evaluation.skill_adapter(specs) for specs in experiments]
    variants = [
        variant
        for specs, skill in zip(experiments, skills, strict=True)
        for variant in _variants(specs, skill)
    ]
    say("loading", "transformers and PEFT")
    with signals.imports():
        from prereq.evaluation.engines import engine
        from prereq.model.loading import load_tokenizer

    tokenizer = load_tokenizer(base.path, config.model)
    generate = engine(config.eval, mine.config.model, config.stage.engine, base.path, tokenizer)

    def answer(question: str) -> None:
        ids = prompt_ids(tokenizer, _row(question), config.dataset.prompt)
        lost = [word for word in question.split() if _unknown(tokenizer, word)]
        if lost:
            say("noted", answers.plain(f"the model has no tokens for {', '.join(lost)}"))
        shown = answers.Table([variant.name for variant in variants])
        shown.head(question, known.says(question))
        for variant in variants:
            with shown.answering(variant.name) as show:
                found = _streamed(generate, tokenizer, ids, variant, show)
                said = recorded(found, question, (variant.folders or [base.path])[0])
                verdict = known.verdict(question, found.text, variant.version)
                show(found.text, found.ended, said["confidence"], verdict)

    if first is not None:
        answer(first)
    else:
        for text in prompt.questions(known, mine.root):
            try:
                answer(known.question(text))
            except PrereqError as error:  # of this question; the next may be another
                say("refused", answers.plain(error))
    answers.legend(mine.name, config.epoch, config.eval.max_new_tokens)
    return [skill for skill in skills if skill]


def _row(question: str) -> SkillRow:
    return SkillRow(question, "", False, None, 0, "")


def _unknown(tokenizer, word: str) -> bool:
    unknown = tokenizer.unk_token_id
    return unknown is not None and unknown in tokenizer(word, add_special_tokens=False).input_ids


def _variants(specs: Specs, skill: Artifact | None) -> Iterator[Variant]:
    """The skill alone (or the base model), then with each knowledge LoRA beside it."""
    folders = [evaluation.adapter_of(specs, skill)] if skill else []
    yield Variant(specs.name, folders)
    sources = choices.plugged(specs.config)
    for source, plug in zip(sources, cpt.knowledge_adapters(specs, sources), strict=True):
        yield Variant(f"+ {source.name}", [*folders, Path(plug.path)], source.version)


def _streamed(
    generate: Callable, tokenizer, ids: list[int], variant: Variant, show: answers.Row
) -> Generation:
    """The greedy answer of one variant, shown while its tokens come."""
    from prereq.evaluation.sampling import greedy

    chosen: list[int] = []

    def choose(logits, places: Sequence = ()):
        signals.look()
        tokens, log_probabilities = greedy(logits, places)
        chosen.append(int(tokens[0]))
        show.text(lambda: tokenizer.decode(chosen, skip_special_tokens=True).strip())
        return tokens, log_probabilities

    (generation,) = generate(variant.folders, [ids], lambda rows: None, choose)
    return generation
