"""What is recorded with an artifact, and what a dashboard is told of it."""

from dataclasses import dataclass
from typing import Any

from prereq.artifacts.spec import Spec, plain
from prereq.config import TrackerConfig

STAGES = {"base": "pretrain", "knowledge": "cpt", "skill": "sft", "generations": "eval"}
STAGES |= {"scores": "eval", "report": "report", "export": "export", "probe": "probe"}
STAGES |= {"pairs": "sft"}
STAGES |= dict.fromkeys(("facts", "evidence", "verdicts", "agreement"), "judge")


@dataclass(frozen=True)
class Settings:
    """The whole configuration, and where the making of artifacts is tracked."""

    config: dict[str, Any]  # plain values, for `config.yaml` and dashboards
    tracker: TrackerConfig


def job_type(spec: Spec) -> str:
    """The stage that makes such an artifact."""
    return STAGES[spec.kind]


def described(settings: Settings, spec: Spec) -> dict[str, Any]:
    """The whole configuration, what the artifact is, and the training values in force."""
    artifact = {"kind": spec.kind, "name": spec.name, "key": spec.key, "labels": spec.labels}
    found = settings.config | {"artifact": plain(artifact)}
    skills = [one for one in spec.inputs if one.kind == "skill"]  # scores have those of their skill
    for one in (spec, *skills):
        if "training" in one.content:
            return found | {"training": plain(one.content["training"])}
    return found
