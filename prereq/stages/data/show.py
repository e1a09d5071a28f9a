"""`stage=data`: make the data set, count its splits, and show rows token by token."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prereq.artifacts.spec import Artifact
from prereq.config import Config, KnowledgeSource
from prereq.data.sources import Wanted, read_skill
from prereq.data.tokens import Cut, TokenRow, fitted, prompt_ids, skill_row
from prereq.errors import PrereqError
from prereq.report.rows import Counted, show
from prereq.stages import prepare, pretrain
from prereq.stages.data.sets import data_sets
from prereq.stages.data.tokens import told
from prereq.stages.specs import Specs, choices

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def run(config: Config) -> list[Artifact]:
    """Make or find the data set, and show what its rows become with the model's tokenizer."""
    specs = Specs(config)
    used = _splits(config)
    made = data_sets(specs, [subset for _, subset, _ in used])
    kinds = [("skill" if isinstance(use, str) else "text") for use, _, _ in used]
    prepare.read(specs, [Wanted(*split[1:], kind) for split, kind in zip(used, kinds, strict=True)])
    tokenizer = pretrain.tokenizer_of(specs)
    show([_counted(specs, tokenizer, *split) for split in used], tokenizer, config.show)
    return made


def _splits(config: Config) -> list[tuple[KnowledgeSource | str, str, str]]:
    """What the recipe reads: (a knowledge source, `skill` or `test`; subset, split).

    Fictitious rows that stand apart are another artifact's.
    """
    data = config.dataset
    apart = data.skill.fictitious.subset
    sources = [s for s in data.knowledge if not (apart and s.fictitious)]
    found = [("skill", data.skill.subset, split) for split in data.skill.splits]
    found += [(source, source.subset, source.split) for source in sources]
    return found + [("test", test.subset, test.split) for test in data.tests]


def _counted(
    specs: Specs,
    tokenizer: PreTrainedTokenizerBase,
    use: KnowledgeSource | str,
    subset: str,
    split: str,
) -> Counted:
    """A split as it is trained on: cut or dropped where the recipe says so."""
    data, name, root = specs.config.dataset, f"{subset}/{split}", specs.folder(subset)
    if isinstance(use, KnowledgeSource):
        found = told(root, use, tokenizer)
        max_length = choices.knowledge_training(specs.config, use).max_length
        name = f"{name} ({use.name})"
    elif use == "skill":
        read = read_skill(root, subset, split)
        found = [skill_row(tokenizer, row, data.prompt) for row in read]
        max_length = choices.skill_training(specs.config).max_length
    else:
        read = read_skill(root, subset, split)
        prompts = [prompt_ids(tokenizer, row, data.prompt) for row in read]
        found = [
            TokenRow(ids, len(ids), row.number) for ids, row in zip(prompts, read, strict=True)
        ]
        max_length, name = None, f"{name} (test)"
    longest = max(len(row.ids) for row in found)
    try:
        groups, cut = fitted([[row] for row in found], max_length or longest, data.overlong, name)
    except PrereqError as error:  # training would stop here
        return Counted(name, found, Cut(), str(error))
    return Counted(name, [row for group in groups for row in group], cut)
