"""Which table or figure of the paper a run is printed beside, and what the data set needs to show it.

Beside the settings stands what makes sense of them (`problems`), and what follows from the choice alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from prereq.config.schema.judge import ACCURACY, CLAIMS, TEXTS
from prereq.config.shape import no_twice, one_of

if TYPE_CHECKING:
    from prereq.config.schema import Config

SHOWS = ("table1", "table2", "table3", "forms", "figure3", "figure4")
FORMS = {"passage", "statement"}


@dataclass
class Experiment:
    """What stage=pipeline prints at its end, beside what the paper printed."""

    shows: str | None = None  # table1 | table2 | table3 | forms | figure3 | figure4


def sizes(config: Config) -> list[int | None]:
    """How many fictitious subjects the skill is learnt from, run by run; None: all that there are."""
    return [
        None,
        *(config.dataset.fictitious_sizes if config.experiment.shows == "figure4" else ()),
    ]


def reported(config: Config) -> str | None:
    """The test split whose accuracy is compared: of known facts, else the first without a role."""
    data = config.dataset
    if config.eval.scoring == "long_form" and (data.topics or not data.tests):
        return "topics"
    found = [test for role in ("known", None) for test in data.tests if test.role == role]
    return next((test.name for test in found if not test.plug_in), None)


def problems(config: Config) -> list[str]:
    """Why the data set and methods cannot show what is asked for, one line each, with what can."""
    shows = config.experiment.shows
    if shows is None:
        return []
    if found := one_of("experiment.shows", shows, SHOWS):
        return found
    if config.stage.name != "pipeline":
        return [
            f"experiment={shows}: compares methods, which stage=pipeline runs; leave "
            f"stage={config.stage.name} out"
        ]
    own = {"table2": _table2, "table3": _table3, "forms": _forms}
    own |= {"figure3": _figure3, "figure4": _figure4}
    found = list(own[shows](config)) if shows in own else []
    if shows in (*ACCURACY, *CLAIMS) and not reported(config):
        found.append(
            f"experiment={shows}: compares accuracy on a test of known facts or one without a role, and "
            f"dataset={config.dataset.name} has none; add one to dataset.tests"
        )
    return found


def _table2(config: Config) -> Iterator[str]:
    start, data = "experiment=table2: plugs contradictory versions of knowledge in", config.dataset
    there = "dataset=world, world_qa and cities have"
    if config.eval.scoring == "long_form" or not any(test.plug_in for test in data.tests):
        yield (
            f"{start}, and no test of dataset={data.name} that is scored without a judge has plug_in: true; "
            f"{there} one, or add one to dataset.tests (fictitious rows in no training, a row a version)"
        )
    if len({s.version for s in data.knowledge if s.fictitious} - {None}) < 2:
        yield (
            f"{start}, and the fictitious knowledge of dataset={data.name} has fewer than two; {there} two, "
            "or add sources with a version to dataset.knowledge"
        )
    if not any(m.knowledge for m in config.compare or [config.method]):
        yield f"{start}, and no method here is trained beside knowledge; add prereq_tune to dataset.methods"


def _table3(config: Config) -> Iterator[str]:
    roles = {test.role for test in config.dataset.tests}
    if config.eval.scoring == "long_form" or "fictitious" not in roles:
        yield (
            "experiment=table3: asks for fictitious facts that were trained on, and no test of dataset="
            f"{config.dataset.name} that is scored without a judge has role: fictitious; dataset=world, "
            "world_qa and cities have one, or add one to dataset.tests (the fictitious training rows as a "
            "split of their own)"
        )


def _forms(config: Config) -> Iterator[str]:
    data = config.dataset
    for fictitious in sorted({source.fictitious for source in data.knowledge}):
        forms = {s.form for s in data.knowledge if s.fictitious == fictitious}
        if forms != FORMS:
            kind, own = "fictitious" if fictitious else "real", " and ".join(forms)
            yield (
                f"experiment=forms: compares statements, passages and both, and the {kind} knowledge of "
                f"dataset={data.name} has the form {own} alone; dataset=world, world_qa, popqa, hotpotqa, "
                "bio and medical have both, or add sources of the other form to dataset.other_form"
            )


def _figure3(config: Config) -> Iterator[str]:
    if config.eval.scoring not in TEXTS:
        yield (
            "experiment=figure3: counts the claims of long answers, and those of "
            f"dataset={config.dataset.name} are short (eval.scoring={config.eval.scoring}); choose "
            "dataset=world, bio, medical or custom_long"
        )


def _figure4(config: Config) -> Iterator[str]:
    data = config.dataset
    if not data.fictitious_sizes:
        yield (
            f"dataset.fictitious_sizes: empty; experiment=figure4 trains on so many fictitious subjects of "
            f"dataset={data.name}, then on all: give numbers, for example dataset.fictitious_sizes=[50,100]"
        )
    if any(size < 1 for size in data.fictitious_sizes):
        yield "dataset.fictitious_sizes: must be whole numbers from 1; all of them come by themselves"
    yield from no_twice("dataset.fictitious_sizes", [str(size) for size in data.fictitious_sizes])
    if data.fictitious_entities is not None:
        yield (
            f"dataset.fictitious_entities={data.fictitious_entities}: experiment=figure4 sets it, by "
            "dataset.fictitious_sizes; leave it out"
        )
    if not any(method.fictitious for method in config.compare or [config.method]):
        yield (
            "experiment=figure4: no method here learns from fictitious rows; add sft_fictitious and "
            "prereq_tune to dataset.methods"
        )
