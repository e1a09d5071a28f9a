"""Everything that a command will read, read and checked before anything is trained or loaded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from prereq.artifacts import audit, store
from prereq.artifacts.spec import Artifact, Spec
from prereq.config import KnowledgeSource, TestSplit
from prereq.config.checks import asks_topics
from prereq.data import custom
from prereq.data.sources import Wanted, check_rows, read_topics
from prereq.data.tokens import prompt_ids
from prereq.errors import PrereqError
from prereq.evaluation.requests import Item, items_of
from prereq.runtime import ranks
from prereq.stages import pretrain
from prereq.stages.data import rows, taught, tokens
from prereq.stages.data.sets import data_sets
from prereq.stages.specs import Specs, choices, missing, preferred, probed

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedTokenizerBase


def check(experiments: Sequence[Specs]) -> None:
    """Raise one PrereqError for bad rows of any split that these experiments still need, rows that
    are too long, and methods that the rows do not fit. The experiments differ in their method only."""
    first = experiments[0]
    if not any(
        generates(s) or trains_skill(s) or missing_knowledge(s) or missing_probes(s)
        for s in experiments
    ):
        return
    data_sets(first, [each.subset for specs in experiments for each in wanted(specs)])
    with ThreadPoolExecutor(1) as beside:
        beside.submit(_read_through, first.base)
        pretrain.libraries()
    tokenizer, shape = pretrain.tokenizer_of(first), _shape(first)
    ranks.on_main_process(lambda: _check(experiments, tokenizer, shape))


def _read_through(base: Spec | Artifact) -> None:
    """Read the base model's files, as verifying it does, while the libraries are imported.

    What is wrong with them is said by whoever uses them: their digests are kept for the process.
    """
    artifact = store.find(base) if isinstance(base, Spec) else None
    if artifact and ranks.is_main():
        audit.verify(artifact)


def _check(
    experiments: Sequence[Specs],
    tokenizer: PreTrainedTokenizerBase,
    shape: PretrainedConfig,
) -> None:
    training = [specs for specs in experiments if trains_skill(specs)]
    testing = [specs for specs in experiments if generates(specs)]
    sources = {s.name: (specs, s) for specs in experiments for s in missing_knowledge(specs)}
    read(experiments[0], [each for specs in experiments for each in wanted(specs)])

    problems = []
    for problem in _too_long(list(sources.values()), training, testing, tokenizer, shape):
        problems.append(problem)
    if problems:
        raise PrereqError("\n".join(dict.fromkeys(problems)))


def wanted(specs: Specs) -> list[Wanted]:
    """Every split that the command still has to read."""
    found = [Wanted(s.subset, s.split, "text") for s in missing_knowledge(specs)]
    if trains_skill(specs):
        versions = rows.skill_versions(specs)
        splits = choices.skill_splits(specs.config)
        found += [Wanted(*split, "skill", None, versions) for split in splits]
    scoring = specs.config.eval.scoring
    if trains_skill(specs) and specs.config.method.dpo:  # answers to them are scored
        found += [Wanted(*split, "test", scoring) for split in splits]
        selects = preferred.selects(specs) and missing(preferred.fine_tuned(specs).generations)
        found += tests(preferred.fine_tuned(specs)) if selects else []
    found += [Wanted(*split, "test", scoring) for split in missing_probes(specs)]
    return found + (tests(specs) if generates(specs) else [])


def read(specs: Specs, found: Sequence[Wanted]) -> dict[str, dict[str, int]]:
    """Check these splits, those of each data set together; what `check_rows` says of them."""
    counts: dict[str, dict[str, int]] = {}
    for folder in dict.fromkeys(specs.folder(each.subset) for each in found):
        counts |= check_rows(folder, [e for e in found if specs.folder(e.subset) == folder])
    return counts


def trains_skill(specs: Specs) -> bool:
    """Whether the command still has to train the skill LoRA."""
    stage = specs.config.stage.name
    needed = stage in ("sft", "ask", "export") or (
        stage in ("eval", "judge", "pipeline") and generates(specs)
    )
    return needed and missing(specs.skill)


def generates(specs: Specs) -> bool:
    """Whether the command still has to generate or score answers."""
    if specs.config.stage.name == "judge":
        return missing(specs.generations)
    return specs.config.stage.name in ("eval", "pipeline") and missing(specs.scores)


def missing_knowledge(specs: Specs) -> list[KnowledgeSource]:
    """The knowledge LoRAs that the command still has to train."""
    if specs.config.stage.name == "cpt":
        needed = choices.needed(specs.config)
    else:
        needed = list(choices.beside(specs.config)) if trains_skill(specs) else []
        plugs = specs.config.stage.name == "ask"
        plugs = plugs or (generates(specs) and missing(specs.generations))
        more = choices.plugged(specs.config) if plugs else choices.merged(specs.config)
        needed += [s for s in more if s not in needed]
    return [source for source in needed if missing(specs.knowledge(source))]


def missing_probes(specs: Specs) -> list[tuple[str, str]]:
    """The (subset, split) pairs that the base model still has to be asked about."""
    config = specs.config
    if config.stage.name == "probe":
        asked = probed.splits(config)
    else:
        learns = trains_skill(specs) and probed.training(specs)
        asked = choices.modelled_on(config) if learns else []
    return [split for split in asked if missing(probed.probe(specs, *split))]


def tests(specs: Specs) -> list[Wanted]:
    """The test splits, and what each of their rows must have to be scored."""
    scoring = specs.config.eval.scoring
    if asks_topics(specs.config.dataset, scoring):
        read_topics(specs.config.dataset.topics)
        return []
    if specs.config.dataset.source == "custom" and scoring != "long_form":
        custom.check_answers(specs.config.dataset, scoring)
    plugged = frozenset(s.version for s in choices.plugged(specs.config) if s.version is not None)
    return [
        Wanted(t.subset, t.split, "test", scoring, plugged if t.plug_in else frozenset())
        for t in choices.tests(specs.config)
    ]


def _too_long(
    sources: Sequence[tuple[Specs, KnowledgeSource]],
    training: Sequence[Specs],
    testing: Sequence[Specs],
    tokenizer: PreTrainedTokenizerBase,
    shape: PretrainedConfig,
) -> Iterator[str]:
    """Rows that do not fit `max_length`, and sequences that do not fit the model's positions."""
    from prereq.model.self_check import check_length

    checks = [lambda s=s, k=k: taught.read(s, k, tokenizer) for s, k in sources]
    checks += [
        lambda s=s: [r for one in tokens.subjects(s, tokenizer)[0] for r in one.rows.values()]
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
            try:
                asked = items(specs, test)
                how = specs.config.dataset.prompt
                longest = max(len(prompt_ids(tokenizer, item.rows[0], how)) for item in asked)
                what = f"test {test.name}: prompts with their answers"
                check_length(shape, longest + new, what, "eval.max_new_tokens")
            except PrereqError as error:
                yield str(error)


def items(specs: Specs, test: TestSplit) -> list[Item]:
    """The prompts of a test split."""
    config, topics = specs.config, asks_topics(specs.config.dataset, specs.config.eval.scoring)
    folder = "" if topics else specs.folder(test.subset)
    return items_of(config.dataset, config.eval.scoring, folder, test)


def _shape(specs: Specs) -> PretrainedConfig:
    """The base model's configuration."""
    first = pretrain.given_model(specs)
    if first is None:
        words = pretrain.world_tokenizer(specs.config)
        return pretrain.shape_of(specs.config.model.architecture, words)
    from prereq.model.loading import load_shape

    return load_shape(first.path, specs.config.model)
