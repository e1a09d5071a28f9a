"""`stage=report`: one HTML page, tables, CSV files, LaTeX and pictures of everything that was scored."""

from collections.abc import Sequence
from pathlib import Path

from rich.markup import escape

from prereq.artifacts import store
from prereq.artifacts.spec import Spec
from prereq.config import Config
from prereq.config.schema.experiment import reported
from prereq.config.schema.judge import TEXTS, judges
from prereq.errors import PrereqError
from prereq.report import certainty, collect, comparisons, familiarity, picture, tables, written
from prereq.report.collect import Line
from prereq.report.page import write
from prereq.report.published import figures, shown
from prereq.report.published import kept as published
from prereq.report.published.beside import Setting, beside
from prereq.report.published.kept import Kept, Run
from prereq.runtime.console import say
from prereq.stages.data import rows
from prereq.stages.specs import Specs, choices, judged
from prereq.tracking import obtain


def run(config: Config, experiments: Sequence[Specs] = ()) -> Path:
    """Everything scored under `output_dir`; returns the path of `scores.csv`.

    With `experiment=…` (of whose runs these are the specs), its table beside the paper's as well.
    """
    root = Path(config.output_dir).resolve()
    lines = collect.lines(familiarity.told(root, collect.read(root)))
    if not lines:
        raise PrereqError(f"{root}: no scores yet; make some: python -m prereq stage=pipeline")
    folder = root / "report"
    kept = _kept(experiments) if config.experiment.shows and experiments else None
    if kept:
        published.write(kept, folder)
    found = [score for line in lines for score in line.shown()]
    collect.write_csv(found, collect.Score, folder / "scores.csv")
    pairs = comparisons.every(lines)
    collect.write_csv(pairs, comparisons.Comparison, folder / "comparisons.csv")
    told, lacking = written.answers_told(lines)
    written.answers(lines, told, folder / "answers.csv")
    written.coverage(lines, folder / "coverage.csv")
    written.latex(lines, pairs, folder / "tables.tex")
    drawn, left_out = picture.curves(lines, folder / "accuracy.png")
    sure = picture.coverage(lines, folder / "coverage.png")
    by_told = certainty.of_lines(lines)
    by_times = certainty.picture(by_told, folder / "certainty.png")
    known = familiarity.write(lines, folder / "familiarity.csv")
    viewed = picture.popularity(lines, folder / "popularity.png")
    tables.comparison(lines, pairs)
    familiarity.show(lines)
    certainty.shown(by_told)
    page = write.page(lines, pairs, told, root, folder / "index.html")
    named = {score.artifact for score in found}
    scores = [a for a in store.every(root, "scores") if Path(a.path).name in named]
    content = {"scores": sorted(artifact.manifest["key"] for artifact in scores)}
    spec = Spec(root, config.dataset.name, config.model.name, "report", "report", content)
    pictures = filter(None, (drawn, sure, viewed, by_times))
    sent = [folder / "scores.csv", folder / "comparisons.csv", *pictures]
    obtain.report(choices.recorded(config), spec, scores, sent)
    say("wrote", str(folder / "scores.csv"))
    say("wrote", escape(f"{folder}/comparisons.csv, coverage.csv, tables.tex"))
    without = f"(without {', '.join(lacking)}: scored before; run it again)" if lacking else ""
    say("wrote", str(folder / "answers.csv"), escape(without))
    if drawn:
        without = f"(without {', '.join(left_out)})" if left_out else ""
        say("wrote", str(drawn), escape(without))
    for file in filter(None, (sure, known, viewed, by_times)):
        say("wrote", str(file))
    say("wrote", escape(str(page)), "(the whole report: open it in a browser)")
    if kept:
        _beside_published(kept, lines, folder)
    return folder / "scores.csv"


def _beside_published(kept: Kept, lines: Sequence[Line], folder: Path) -> None:
    """The table or figure of the paper that `experiment=…` shows, with these runs beside it."""
    ran, file = kept.ran(lines), folder / f"{kept.name}.csv"
    table = beside(kept.setting, ran)
    shown.show(table, kept.setting, ran)
    shown.csv(table, kept.setting, ran, file)
    say("wrote", escape(str(file)))
    for drawn in figures.draw(table, kept.setting, ran, file):
        say("wrote", escape(str(drawn)))


def _kept(experiments: Sequence[Specs]) -> Kept:
    """What is compared, of which runs."""
    runs = []
    for specs in experiments:
        data, who = specs.config.dataset, specs.scores.labels["who"]
        runs.append(Run(specs.config.method.name, data.fictitious_entities, specs.name, who))
    return Kept(_setting(experiments), runs)


def _setting(experiments: Sequence[Specs]) -> Setting:
    config, tests = experiments[0].config, choices.tests(experiments[0].config)
    grows = config.experiment.shows == "figure4"
    return Setting(
        shows=config.experiment.shows,
        dataset=config.dataset.name,
        model=config.model.name,
        long=config.eval.scoring in TEXTS,
        split=reported(config),
        judge=judged.label(experiments[0], config.judge.verdicts) if judges(config) else None,
        plug_in=next((test.name for test in tests if test.plug_in), None),
        invented=next((test.name for test in tests if test.role == "fictitious"), None),
        versions=judged.versions([s for s in config.dataset.knowledge if s.fictitious]),
        subjects=rows.fictitious_subjects(experiments) if grows else 0,
    )
