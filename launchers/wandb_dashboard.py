"""The project's saved views in Weights & Biases: a workspace and a report.

    pip install -e '.[dashboard]'
    python launchers/wandb_dashboard.py --print                    what would be saved, as JSON
    python launchers/wandb_dashboard.py --entity TEAM              save both (needs a network)
    python launchers/wandb_dashboard.py --entity TEAM --group popqa/llama3_8b --split test

Both show the same panels: the methods compared, a sweep in parallel coordinates, and training
curves by knowledge source. Panels only name what `prereq.tracking.wandb` logs (docs/dashboards.md).
"""

import argparse
import json
import sys
from dataclasses import dataclass
from typing import Any

import wandb
import wandb_workspaces.reports.v2 as wr
import wandb_workspaces.workspaces as ws

METHOD = wr.Config("method.name")
NAME = wr.Config("artifact.name")  # of a knowledge adapter: its source
SWEPT = ("training.learning_rate", "training.epochs", "training.batch_size", "adapter.skill.r")
LOSSES = ("loss", "loss/fictitious", "loss/real", "loss/plain")


@dataclass(frozen=True)
class Part:
    """One section of the workspace, one chapter of the report."""

    title: str
    says: str
    stage: str  # whose runs it shows: their job type
    panels: list[Any]


def parts(split: str) -> list[Part]:
    """What there is to see, with the scores of one test split."""
    score = f"{split}/accuracy"
    swept = [wr.ParallelCoordinatesPlotColumn(wr.Config(name)) for name in SWEPT]
    swept[0].log = True
    return [
        Part(
            "Methods",
            "Accuracy in percent, the mean over seeds; the interval of each is in scores.csv.",
            "eval",
            [
                wr.BarPlot(title=score, metrics=[score], **_by(METHOD)),
                wr.BarPlot(
                    title=f"{score}, last epoch",
                    metrics=[f"{split}_last/accuracy"],
                    **_by(METHOD),
                ),
                wr.LinePlot(
                    title=f"{score} by epoch of skill training",
                    x="Step",
                    y=[f"{split}/accuracy_by_epoch"],
                    title_x="epoch",
                    **_by(METHOD),
                ),
                wr.WeavePanelSummaryTable(table_name="answers"),
            ],
        ),
        Part(
            "Sweep",
            "Each line is one skill adapter: what it was trained with, and how right it is.",
            "eval",
            [
                wr.ParallelCoordinatesPlot(
                    title=f"training values and {score}",
                    columns=[*swept, wr.ParallelCoordinatesPlotColumn(wr.SummaryMetric(score))],
                )
            ],
        ),
        Part(
            "Knowledge",
            "Training curves of the knowledge LoRAs, by source.",
            "cpt",
            [_curve("loss", NAME), _curve("grad_norm", NAME), _curve("learning_rate", NAME)],
        ),
        Part(
            "Skill",
            "Training curves of the skill LoRAs, by method; the loss and its parts.",
            "sft",
            [_curve(loss, METHOD) for loss in LOSSES],
        ),
        Part(
            "Engine",
            "Useful tokens a second, the share of padding in attention, memory in GiB.",
            "sft",
            [_curve(name, METHOD) for name in ("tokens_per_second", "padding", "memory_gib")],
        ),
        Part(
            "Report",
            "The picture of stage=report.",
            "report",
            [wr.MediaBrowser(title="accuracy by epoch", media_keys=["report/accuracy"])],
        ),
    ]


def workspace(entity: str, project: str, group: str | None, split: str) -> ws.Workspace:
    """Every part as a section. The run list filters once for all, so it holds every kind."""
    return ws.Workspace(
        entity=entity,
        project=project,
        name=f"prereq {group}" if group else "prereq",
        sections=[
            ws.Section(name=part.title, panels=part.panels, is_open=True) for part in parts(split)
        ],
        runset_settings=ws.RunsetSettings(
            filters=f"Group = '{group}'" if group else "",
            pinned_columns=["run:jobType", "config:method.value.name", f"summary:{split}/accuracy"],
        ),
    )


def report(entity: str, project: str, group: str | None, split: str) -> wr.Report:
    """Every part as a chapter with its own list of runs."""
    blocks: list[Any] = []
    for part in parts(split):
        wanted = f"JobType = '{part.stage}'"
        wanted += f" and Group = '{group}'" if group else ""
        runs = wr.Runset(entity=entity, project=project, name=part.title, filters=wanted)
        grid = wr.PanelGrid(runsets=[runs], panels=part.panels)
        blocks += [wr.H1(part.title), wr.P(part.says), grid]
    return wr.Report(
        entity=entity,
        project=project,
        title=f"Prereq-Tune {group}" if group else "Prereq-Tune",
        description="Learn the knowledge first, then the skill: methods, sweep, training curves.",
        width="fluid",
        blocks=blocks,
    )


def specifications(project: str, group: str | None, split: str) -> dict[str, Any]:
    """Both as W&B stores them. Without an entity nothing is looked up, so this needs no network."""
    views = {f.__name__: f("", project, group, split) for f in (workspace, report)}
    return {
        name: view._to_model().spec.model_dump(by_alias=True, exclude_none=True)
        for name, view in views.items()
    }


def _by(key: wr.Config) -> dict[str, Any]:
    return {"groupby": key, "groupby_aggfunc": "mean", "groupby_rangefunc": "minmax"}


def _curve(metric: str, key: wr.Config) -> wr.LinePlot:
    return wr.LinePlot(title=metric, x="Step", y=[metric], **_by(key))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--entity", help="user or team that owns the project")
    parser.add_argument("--project", default="prereq", help="as in tracker.project")
    parser.add_argument("--group", help="one experiment only, as in tracker.group: world/tiny")
    parser.add_argument("--split", default="held_out", help="test split to compare methods on")
    parser.add_argument(
        "--print", action="store_true", help="show what would be saved; save nothing"
    )
    chosen = parser.parse_args()
    if chosen.print:
        specification = specifications(chosen.project, chosen.group, chosen.split)
        json.dump(specification, sys.stdout, indent=1, default=str)
        return
    if not chosen.entity:
        parser.error("--entity: name the user or team that owns the project (or add --print)")
    where = (chosen.entity, chosen.project, chosen.group, chosen.split)
    try:
        for view in (workspace(*where), report(*where)):
            view.save()  # says where
    except (wandb.errors.Error, ValueError) as error:  # no key, no network, no such project
        sys.exit(f"not saved: {error}\nLog some runs first (tracker=wandb, or `wandb sync`).")


if __name__ == "__main__":
    main()
