"""Everything that a command will read, read and checked before anything is trained or loaded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from prereq.artifacts.spec import Artifact
from prereq.config import KnowledgeSource
from prereq.data.sources import Wanted, check_rows, read_topics
from prereq.data.tokens import prompt_ids
from prereq.errors import PrereqError
from prereq.evaluation.requests import items_of
from prereq.runtime import ranks
from prereq.stages import choices, data, pretrain
from prereq.stages.specs import Specs, missing

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedTokenizerBase


def check(experiments: Sequence[Specs]) -> None:
    """Raise one PrereqError for bad rows of any split that these experiments still need, rows that
    are too long, and methods that the rows do not fit. The experiments differ in their method only."""
    first = experiments[0]
    if not any(generates(s) or trains_skill(s) or missing_knowledge(s) for s in experiments):
        return
    rows = data.data_set(first)
    pretrain.libraries(first.base)
    tokenizer, shape = pretrain.tokenizer_of(first), _shape(first)
    ranks.on_main_process(lambda: _check(experiments, rows, tokenizer, shape))


def _check(
    experiments: Sequence[Specs],
    rows: Artifact,
    tokenizer: PreTrainedTokenizerBase,
    shape: PretrainedConfig,
) -> None:
    training = [specs for specs in experiments if trains_skill(specs)]
    testing = [specs for specs in experiments if generates(specs)]
    sources = {s.name: (specs, s) for specs in experiments for s in missing_knowledge(specs)}
    wanted = [Wanted(s.subset, s.split, "text") for _, s in sources.values()]
    for specs in training:
        recipe, versions = specs.config.dataset.skill, data.skill_versions(specs)
        wanted += [Wanted(recipe.subset, split, "skill", None, versions) for split in recipe.splits]
    for specs in testing:
        wanted += tests(specs)
    if wanted:
        check_rows(rows.path, wanted)

    problems = []
    for problem in _too_long(list(sources.values()), training, testing, rows, tokenizer, shape):
        problems.append(problem)
    if problems:
        raise PrereqError("\n".join(dict.fromkeys(problems)))


def trains_skill(specs: Specs) -> bool:
    """Whether the command still has to train the skill LoRA."""
    stage = specs.config.stage.name
    needed = stage == "sft" or (stage in ("eval", "pipeline") and generates(specs))
    return needed and missing(specs.skill)


def generates(specs: Specs) -> bool:
    """Whether the command still has to generate or score answers."""
    return specs.config.stage.name in ("eval", "pipeline") and missing(specs.scores)


def missing_knowledge(specs: Specs) -> list[KnowledgeSource]:
    """The knowledge LoRAs that the command still has to train."""
    if specs.config.stage.name == "cpt":
        needed = choices.needed(specs.config)
    else:
        needed = list(choices.beside(specs.config)) if trains_skill(specs) else []
        plugs = generates(specs) and missing(specs.generations)
        needed += [s for s in (choices.plugged(specs.config) if plugs else ()) if s not in needed]
    return [source for source in needed if missing(specs.knowledge(source))]


def tests(specs: Specs) -> list[Wanted]:
    """The test splits, and what each of their rows must have to be scored."""
    scoring = specs.config.eval.scoring
    if scoring == "long_form":
        read_topics(specs.config.dataset.topics)
        return []
    plugged = frozenset(s.version for s in choices.plugged(specs.config) if s.version is not None)
    return [
        Wanted(t.subset, t.split, "test", scoring, plugged if t.plug_in else frozenset())
        for t in choices.tests(specs.config)
    ]


def _too_long(
    sources: Sequence[tuple[Specs, KnowledgeSource]],
    training: Sequence[Specs],
    testing: Sequence[Specs],
    rows: Artifact,
    tokenizer: PreTrainedTokenizerBase,
    shape: PretrainedConfig,
) -> Iterator[str]:
    """Rows that do not fit `max_length`, and sequences that do not fit the model's positions."""
    from prereq.model.self_check import check_length

    checks = [lambda s=s, k=k: data.text(s, k, rows.path, tokenizer)[0] for s, k in sources]
    checks += [
        lambda s=s: [
            r for one in data.subjects(s, rows.path, tokenizer)[0] for r in one.rows.values()
        ]
        for s in training
    ]
    for find in checks:
        try:
            check_length(shape, max(len(row.ids) for row in find()), "training rows", "max_length")
        except PrereqError as error:
            yield str(error)
    for specs in testing:
        new = specs.config.eval.max_new_tokens
        for test in choices.tests(specs.config):
            asked = items_of(specs.config.dataset, specs.config.eval.scoring, rows.path, test)
            longest = max(len(prompt_ids(tokenizer, item.rows[0].prompt)) for item in asked)
            try:
                what = f"test {test.name}: prompts with their answers"
                check_length(shape, longest + new, what, "eval.max_new_tokens")
            except PrereqError as error:
                yield str(error)


def _shape(specs: Specs) -> PretrainedConfig:
    """The base model's configuration."""
    if specs.config.model.source == "tiny":
        return pretrain.shape_of(specs.config.model.architecture, pretrain.world_tokenizer())
    from prereq.model.loading import load_shape

    return load_shape(pretrain.base_model(specs).path, specs.config.model)
