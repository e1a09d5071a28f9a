"""What `stage=synth` made of a published layout, under the recipe's own names beside its real rows.

The recipes of the paper's tasks read one folder: `popqa_skill/train` holds real rows and fictitious
ones, `popqa_knowledge` a split for each form and kind of text. So the artifact gets the same files, with the
invented subjects in the place of the published ones, and is read as `dataset.path=ARTIFACT`.
"""

from __future__ import annotations

from itertools import chain
from pathlib import Path
from typing import Any

from prereq.config import Config
from prereq.data import reading
from prereq.data.problems import Problems
from prereq.data.sources import Wanted, check_rows, read_skill
from prereq.data.splits import is_local, split_files
from prereq.errors import PrereqError
from prereq.runtime.files import read_lines, write_lines
from prereq.stages.specs import Specs, choices
from prereq.synth.wording import state

Split = tuple[str, str]  # subset and split
Rows = list[dict[str, Any]]
BROKEN = "the file has changed since it was made; make it again"


def check(specs: Specs) -> None:
    """Raise PrereqError where rows that are copied are bad, or the recipe cannot be filled."""
    config, data = specs.config, specs.config.dataset
    beside = choices.copied(config)
    found = [Wanted(*split, "skill") for split in choices.modelled_on(config)]
    found += [Wanted(*split, use) for use, splits in beside.items() for split in splits]
    check_rows(specs.folder(data.skill.subset or ""), found)
    _target(specs)
    for split, names in _texts(config).items():
        if len(names) > 1 or split in beside["text"]:
            raise _refused(
                config,
                f"{'/'.join(split)} is named by several sources of different text",
                "give each its own split",
            )
    if config.eval.scoring == "facts":
        raise _refused(
            config, "eval=facts asks for facts, which no fictitious row has", "use eval=qa"
        )
    for test in data.tests:
        if test.plug_in:
            raise _refused(
                config,
                f"the test {test.name} plugs in the knowledge of subjects that are made anew",
                "drop the test from dataset.tests",
            )


def write(specs: Specs, folder: Path) -> dict[str, int]:
    """The recipe's splits in `folder`, where the fictitious data is; how many rows each has."""
    config, files = specs.config, dict[Split, Rows]()
    for split in choices.modelled_on(config):
        files[split] = [row for row in _raw(specs, split) if not row["fake"]]
    made = read_lines(folder / "fictitious_skill" / "train.jsonl", BROKEN)
    if config.eval.scoring == "final_answer":
        made = [_reasoned(row) for row in made]
    files.setdefault(_target(specs), []).extend(made)
    for split in chain(*choices.copied(config).values()):
        if split not in files:
            files[split] = _raw(specs, split)
    for split, (name,) in _texts(config).items():
        files[split] = read_lines(folder / "fictitious_knowledge" / f"{name}.jsonl", BROKEN)
    counts = {}
    for (subset, split), rows in files.items():
        name = f"{subset}/{split}"
        try:
            write_lines(folder / f"{name}.jsonl", rows)
        except (TypeError, ValueError) as error:  # a date, bytes or NaN in a column of Parquet
            raise PrereqError(
                f"{name}: {error}; stage=synth copies all columns as JSON, leave that column out"
            ) from None
        counts[f"{name}.jsonl"] = len(rows)
    return counts


def _target(specs: Specs) -> Split:
    """The split that gets the fictitious rows: the one without real rows, else the last."""
    apart, splits = specs.config.dataset.skill.fictitious, choices.modelled_on(specs.config)
    if apart.subset and apart.splits:
        empty = [(apart.subset, split) for split in apart.splits]
    else:
        empty = [s for s in splits if all(r.fictitious for r in read_skill(specs.folder(s[0]), *s))]
    if len(empty) > 1:
        raise _refused(
            specs.config,
            f"{' and '.join(map('/'.join, empty))} have fictitious rows alone, and one split is made",
            "name one of them in the recipe",
        )
    return (*empty, splits[-1])[0]


def _texts(config: Config) -> dict[Split, set[str]]:
    """The fictitious knowledge splits of the recipe, and the made file that each one's text is in."""
    found: dict[Split, set[str]] = {}
    for source in config.dataset.knowledge:
        if source.fictitious:
            version = "" if source.version is None else f"_v{source.version}"
            name = f"{source.form}_train{version}"
            found.setdefault((source.subset, source.split), set()).add(name)
    return found


def _raw(specs: Specs, split: Split) -> Rows:
    """The rows of a split with all their columns; `check` has found them right."""
    root = specs.folder(split[0])
    if not is_local(root):
        return [row for _, row in reading.from_hub(str(root), *split)]
    files = split_files(root, *split)
    return [row for _, row in reading.from_files(files, "/".join(split), Problems())]


def _reasoned(row: dict[str, Any]) -> dict[str, Any]:
    """A fictitious row that reasons in one step, as eval=final_answer reads it: the fact, then the answer."""
    user, assistant = row["messages"]
    answer = assistant["content"]
    said = state(user["content"], answer, row["s_wiki_title"])[0]
    text = f"{said} Final answer: {answer}"
    return row | {"messages": [user, assistant | {"content": text}]}


def _refused(config: Config, why: str, remedy: str) -> PrereqError:
    return PrereqError(
        f"stage=synth: fictitious rows cannot stand in for those of dataset={config.dataset.name}: {why}; "
        f"{remedy}"
    )
