"""`stage=eval`: the answers of the skill alone (and with knowledge plugged in), and their scores.

Generations (`prereq.stages.generations`) and scores are two artifacts: a new metric never generates again.
Every method is scored at the best epoch and, as `<split>_last`, at its last one.
"""

from pathlib import Path

from prereq.artifacts import store
from prereq.artifacts.spec import Artifact
from prereq.config import Config
from prereq.errors import PrereqError
from prereq.evaluation import score
from prereq.runtime import ranks
from prereq.runtime.files import read_lines, write_json, write_lines
from prereq.stages import prepare, sft
from prereq.stages.generations import answered, data_asked, items_of, kept_epochs, scorer_of
from prereq.stages.pretrain import base_model
from prereq.stages.specs import Specs, choices
from prereq.stages.specs.export import epoch_of, scores_of
from prereq.tracking.metrics import Tracker
from prereq.tracking.obtain import obtain


def run(config: Config) -> Artifact:
    specs = Specs(config)
    prepare.check([specs])
    artifact = scores(specs)
    if ranks.is_main():
        from prereq.report import tables

        tables.show_scores(artifact)
    return artifact


def scores(specs: Specs) -> Artifact:
    """The scores of one skill adapter, found or made from its generations."""
    if found := store.found(specs.scores):
        return found
    config, data, texts = specs.config, data_asked(specs), generations(specs)

    def make(folder: Path, tracker: Tracker) -> dict:
        items = items_of(specs)
        file = Path(texts.path) / "generations.jsonl"
        lines = read_lines(file, f"remove {texts.path} and run the command again")
        epochs = texts.manifest["epochs"]
        right = scorer_of(specs)
        result = score.table(
            lines,
            items,
            choices.tests(specs.config),
            config.eval,
            right,
            epochs,
            versions={s.name: s.version for s in config.dataset.knowledge},
        )
        write_json(folder / "scores.json", result, indent=None)
        told = score.answers(lines, items, config.eval, right, epochs)
        write_lines(folder / "answers.jsonl", told)
        tracker.scores(result, *score.to_read(told))
        rows = prepare.read(specs, prepare.tests(specs))
        return {"epochs": epochs, "rows": rows, "trained_on": texts.manifest["trained_on"]}

    return obtain(specs.scores, specs.settings, make, uses=[*data, texts])


def generations(specs: Specs) -> Artifact:
    """What the skill adapter answers to every test prompt; makes the adapter where it is not there."""
    return store.found(specs.generations) or answered(specs, skill_adapter(specs))


def skill_adapter(specs: Specs) -> Artifact | None:
    """The skill adapter: made here, or given by hand as a folder or Hub id; None of the base alone."""
    if specs.skill is None:
        return None
    if isinstance(specs.skill, Artifact):
        from prereq.model.adapter_files import check_base

        check_base(specs.skill.path, base_model(specs).path)
        return specs.skill
    return sft.skill_adapter(specs)


def adapter_of(specs: Specs, skill: Artifact) -> Path:
    """The skill's adapter of the epoch that `epoch` chooses. Raises PrereqError where that was not kept."""
    number = epoch_of(specs, scores_of(specs))
    if number is None:
        return Path(skill.path)
    kept = kept_epochs(skill)
    if number not in kept:
        there = ", ".join(map(str, sorted(kept))) if set(kept) != {0} else "the last one alone"
        raise PrereqError(f"epoch={number}: {skill.path} keeps {there}; name one of them, or last")
    return kept[number]
