"""What an export is: the epoch of the skill, what is merged beside it, in which format, with which card."""

from dataclasses import replace

from prereq.artifacts import store
from prereq.artifacts.spec import Artifact, Spec
from prereq.config import identity
from prereq.errors import PrereqError
from prereq.model.numerics import dtype_of
from prereq.stages.specs import choices
from prereq.stages.specs.experiment import Specs

EDITION = 1  # raised when the same choices give other files


def export_of(specs: Specs) -> Spec:
    """The skill on its way out, with the scores that its card tells (of another evaluation: another card)."""
    config = specs.config
    scores = scores_of(specs)
    content = {
        "skill": specs.skill,
        "epoch": epoch_of(specs, scores),
        "base": specs.base,
        "knowledge": [specs.knowledge(source) for source in choices.merged(config)],
        "format": config.format,
        "dtype": dtype_of(config.model),
        "engine": config.stage.engine,
        "prompt": config.dataset.prompt,
        "max_new_tokens": config.eval.max_new_tokens,
        "scores": scores.reference if scores else None,
        "edition": EDITION,
    }
    labels = {"method": specs.name, "seed": config.seed, "format": config.format}
    name = "-".join([specs.name, *(s.name for s in choices.merged(config))])
    name = f"{identity.safe(name)}-{config.format}"
    return Spec(specs.root, config.dataset.name, config.model.name, "export", name, content, labels)


def scores_of(specs: Specs) -> Artifact | None:
    """The scores of the skill, where `stage=eval` with the same words has made them."""
    config = specs.config
    if not config.dataset.tests and not config.dataset.topics:
        return None
    return store.find(evaluation_of(specs).scores)


def evaluation_of(specs: Specs) -> Specs:
    """The same words under `stage=eval`: what that plugs in is part of what its scores are."""
    config = specs.config
    return Specs(replace(config, stage=replace(config.stage, name="eval"), knowledge=None))


def epoch_of(specs: Specs, scores: Artifact | None) -> int | None:
    """The number of the epoch that is exported; None for the last one. Raises PrereqError."""
    wanted, config = specs.config.epoch, specs.config
    if wanted == "last":
        return None
    if scores is None and wanted == "best":
        raise PrereqError(
            f"epoch=best: which one that is follows from scores, and {specs.name} has none yet; make them: "
            f"python -m prereq stage=eval dataset={config.dataset.name} model={config.model.name} "
            f"method={config.method.name}, with the same other words"
        )
    number = int(wanted) if wanted != "best" else scores.manifest["epochs"]["best"]
    last = scores.manifest["epochs"]["last"] if scores else None
    return None if number == last else number
