"""`stage.dry_run=true`: what a command needs, found or to be made, and how much work that is.

Nothing is made. Rows are counted as the stages would lay them out; a data set that is not made yet is
written into a temporary folder for it.
"""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from prereq.artifacts import store
from prereq.artifacts.spec import Artifact, Spec
from prereq.config import Config
from prereq.config.schema import probe as settings
from prereq.data.sources import read_skill
from prereq.errors import PrereqError
from prereq.evaluation import requests
from prereq.runtime.console import progress, say
from prereq.stages import cpt, dpo, prepare, pretrain, sft
from prereq.stages.data.questions import recalls
from prereq.stages.data.sets import obtained, write
from prereq.stages.export import publish
from prereq.stages.generations import kept_epochs
from prereq.stages.specs import (
    FICTITIOUS,
    Specs,
    answering,
    asked,
    choices,
    judged,
    missing,
    preferred,
    probed,
)
from prereq.stages.specs.compared import compared, results
from prereq.stages.specs.export import export_of
from prereq.training.plan import Plan

Count = Callable[[], tuple[int, int | None, int]]  # rows, steps and tokens: see `Need`


@dataclass(frozen=True)
class Need:
    """An artifact that a command needs. Numbers are None where there is nothing to count."""

    what: Spec | Artifact  # an Artifact is given from elsewhere
    state: str  # given | found | to make
    rows: int | None = None  # rows to train on, subjects of a skill, prompts to answer
    steps: int | None = None
    tokens: int | None = None  # that training sees in all steps, or that answers have at most

    @property
    def label(self) -> str:
        if isinstance(self.what, Artifact):
            return f"{self.what.kind} {self.what.path}"
        return f"{self.what.kind} {self.what.name}-{self.what.key}"


def run(config: Config) -> str:
    """Print the table of what the command needs."""
    show(needs(config))
    if config.push_to_hub:
        specs = Specs(config)
        (target,) = _targets(specs)
        if made := store.find(target):
            publish.show(config, made)
        else:
            say("to the Hub", f"{config.push_to_hub}: what would go is listed once it is made")
    return ""


def needs(config: Config) -> list[Need]:
    """All that the command needs, in the order in which it is made."""
    if config.stage.name == "report":
        raise PrereqError("stage=report makes no artifact, so stage.dry_run has nothing to show")
    experiments = asked(config) if config.stage.name == "ask" else compared(config)
    experiments = experiments or [Specs(config)]
    wanted: dict[str, tuple[Spec | Artifact, Count | None]] = {}
    if isinstance(experiments[0].data, Artifact):
        wanted[str(experiments[0].data.path)] = experiments[0].data, None
    for specs in experiments:
        counts = _counts(specs)
        for what in (one for target in _targets(specs) for one in _walk(target)):
            wanted.setdefault(str(what.path), (what, counts.get(str(what.path))))
    found = []
    with _rows(experiments), progress("count", len(wanted)) as advance:
        for what, count in wanted.values():
            found.append(_need(what, count))
            advance(1)
    return found


def show(found: list[Need]) -> None:
    """The table: one line an artifact, and the sum of what is to be made."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    table.add_column("artifact", overflow="fold")
    table.add_column("state")
    for heading in ("rows", "steps", "tokens"):
        table.add_column(heading, justify="right", no_wrap=True)
    colours = {"to make": "yellow", "found": "green", "given": "cyan"}
    for need in found:
        numbers = ("" if n is None else f"{n:,}" for n in (need.rows, need.steps, need.tokens))
        state = f"[{colours[need.state]}]{need.state}[/]"
        table.add_row(escape(need.label), state, *numbers)
    trained = [need for need in found if need.steps]
    if trained:
        steps, tokens = (sum(getattr(n, name) for n in trained) for name in ("steps", "tokens"))
        table.add_section()
        table.add_row("to train, in all", "", "", f"{steps:,}", f"{tokens:,}")
    out = Console(highlight=False)
    out.print(table)
    legend = (
        "rows: of a skill its subjects, of generations the prompts; tokens: of all training steps, of "
        "generations the most that answers can have"
    )
    if any(need.state == "to make" and need.label.startswith("base smollm2") for need in found):
        legend += "; what is trained on it is counted once it is unpacked, by stage=pretrain"
    out.print(legend, style="dim")


def _targets(specs: Specs) -> list[Spec | Artifact]:
    """What the stage itself makes."""
    name = specs.config.stage.name
    if name == "cpt":
        return [specs.knowledge(source) for source in choices.needed(specs.config)]
    if name in ("data", "synth", "pretrain"):
        return [{"data": specs.data, "synth": specs.synth, "pretrain": specs.base}[name]]
    if name == "probe":
        return [probed.probe(specs, *split) for split in probed.splits(specs.config)]
    if name == "ask":
        return answering(specs)
    if name == "export":
        return [export_of(specs)]
    if name == "judge":
        validates = specs.config.judge.validate
        return [judged.agreement(specs) if validates else judged.judged(specs)]
    return [specs.skill] if name == "sft" else results(specs)


def _walk(what: Spec | Artifact) -> Iterator[Spec | Artifact]:
    """What must be there first, then `what`. What is found needs nothing more."""
    if missing(what):
        for first in what.direct:
            yield from _walk(first)
    yield what


def _counts(specs: Specs) -> dict[str, Count]:
    """How to count what an artifact is made from, by the artifact's path."""
    config, stage = specs.config, specs.config.stage.name
    if config.model.source == "smollm2" and missing(specs.given):
        return {}  # its tokenizer is in the package's one file, with the weights
    if config.synth.writer != "template" and missing(specs.synth):
        return {}  # a model would have to write first

    def planned(plan: Callable[..., tuple[Plan, dict]], *more: object, of: Specs = specs) -> Count:
        def count() -> tuple[int, int, int]:
            laid_out, rows = plan(of, *more, pretrain.tokenizer_of(of))
            return rows.get("subjects", rows.get("rows")), laid_out.steps, laid_out.tokens

        return count

    found = {}
    for source in choices.needed(config) if stage != "pretrain" else ():
        found[str(specs.knowledge(source).path)] = planned(cpt.planned, source)
    if specs.base != specs.given:
        found[str(specs.base.path)] = planned(pretrain.planned)
    asks = prepare.missing_probes(specs)  # what is trained on follows from answers not given yet
    trains = stage in ("sft", "ask", "export", "eval", "judge", "pipeline")
    if trains and isinstance(specs.skill, Spec) and not asks:
        first = specs
        if config.method.dpo:  # whose steps follow from answers not given yet
            first = preferred.fine_tuned(specs)
            found[str(preferred.pairs(specs).path)] = partial(_sampled, specs)
            if preferred.selects(specs):
                found[str(first.generations.path)] = partial(_asked, first)
        found[str(first.skill.path)] = planned(sft.planned, of=first)
    for split in asks:
        found[str(probed.probe(specs, *split).path)] = partial(_probed, specs, split)
    if stage in ("eval", "judge", "pipeline"):
        found[str(specs.generations.path)] = partial(_asked, specs)
    return found


def _probed(specs: Specs, split: tuple[str, str]) -> tuple[int, None, int]:
    """Prompts that ask the base model, and tokens of its answers, at most."""
    rows = [row for row in read_skill(specs.folder(split[0]), *split) if not row.fictitious]
    facts = sum(len(row.facts) if recalls(specs.config) else 1 for row in rows)
    prompts = facts * settings.prompts(specs.config) * (1 + specs.config.probe.samples)
    return prompts, None, prompts * probed.max_new_tokens(specs.config)


def _sampled(specs: Specs) -> tuple[int, None, int]:
    """Answers of the fine-tuned skill to training rows, and their tokens at most."""
    samples = specs.config.method.dpo.samples
    answers = samples * sum(1 for _ in dpo.real_rows(specs))
    return answers, None, answers * specs.config.eval.max_new_tokens


def _asked(specs: Specs) -> tuple[int, None, int]:
    """Prompts to answer and tokens of their answers, at most."""
    config = specs.config
    tests = choices.tests(config)
    items = {test.name: len(prepare.items(specs, test)) for test in tests}
    skill = store.find(specs.skill) if isinstance(specs.skill, Spec) else specs.skill
    if skill or not config.method.trains:
        kept = sorted(kept_epochs(skill))
    else:
        last = choices.skill_training(config).epochs
        kept = list(range(1, last + 1)) if config.dataset.skill.keep_epochs else [0]
    plugs = {source.name: None for source in choices.plugged(config)}
    wanted = requests.by_epoch(tests, kept)
    wanted += requests.at_the_end(tests, kept[0], kept[-1], plugs)  # the best may be the last
    prompts = sum(items[test.name] for request in wanted for test in request.tests)
    return prompts, None, prompts * config.eval.max_new_tokens


def _need(what: Spec | Artifact, count: Count | None) -> Need:
    if isinstance(what, Artifact):
        return Need(what, "given")
    if store.find(what):
        return Need(what, "found")
    return Need(what, "to make", *(count() if count else ()))


@contextmanager
def _rows(experiments: Sequence[Specs]) -> Iterator[None]:
    """Have rows that are not made yet in folders of their own for as long as they are counted.

    Those of a user's own rows are in `output_dir`: nothing of them is written elsewhere.
    """
    first = experiments[0]
    own = first.root if first.config.dataset.source == "custom" else None
    with ExitStack() as folders:
        for place in _places(experiments):
            if isinstance(place, Artifact) or not missing(place):
                obtained(first, place)
                continue
            if own:
                own.mkdir(parents=True, exist_ok=True)
            made = tempfile.TemporaryDirectory(prefix=".counted-", dir=own)
            folder = Path(folders.enter_context(made))
            write(first, place, folder)
            for specs in experiments:
                specs.lent[place.path] = folder
        yield


def _places(experiments: Sequence[Specs]) -> list[Spec | Artifact]:
    """The data sets that are counted: the real rows, then fictitious ones if any are needed."""
    first = experiments[0]
    wanted = {each.subset for specs in experiments for each in prepare.wanted(specs)}
    made_up = [first.place(subset) for subset in wanted & set(FICTITIOUS)]
    return [first.data, *dict.fromkeys(made_up)]
