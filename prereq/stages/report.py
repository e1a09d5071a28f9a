"""`stage=report`: one HTML page, tables, CSV files, LaTeX and pictures of everything that was scored."""

from pathlib import Path

from rich.markup import escape

from prereq.artifacts import store
from prereq.artifacts.spec import Spec
from prereq.config import Config
from prereq.errors import PrereqError
from prereq.report import collect, comparisons, picture, tables, written
from prereq.report.page import write
from prereq.runtime.console import say
from prereq.stages.specs import choices
from prereq.tracking import obtain


def run(config: Config) -> Path:
    """Everything scored under `output_dir`; returns the path of `scores.csv`."""
    root = Path(config.output_dir).resolve()
    lines = collect.lines(collect.read(root))
    if not lines:
        raise PrereqError(f"{root}: no scores yet; make some: python -m prereq stage=pipeline")
    folder = root / "report"
    shown = [score for line in lines for score in line.shown()]
    collect.write_csv(shown, collect.Score, folder / "scores.csv")
    pairs = comparisons.every(lines)
    collect.write_csv(pairs, comparisons.Comparison, folder / "comparisons.csv")
    lacking = written.answers(lines, folder / "answers.csv")
    written.coverage(lines, folder / "coverage.csv")
    written.latex(lines, folder / "tables.tex")
    drawn, left_out = picture.curves(lines, folder / "accuracy.png")
    sure = picture.coverage(lines, folder / "coverage.png")
    tables.comparison(lines)
    shown_whole = write.page(lines, root, folder / "index.html")
    named = {score.artifact for score in shown}
    scores = [a for a in store.every(root, "scores") if Path(a.path).name in named]
    content = {"scores": sorted(artifact.manifest["key"] for artifact in scores)}
    spec = Spec(root, config.dataset.name, config.model.name, "report", "report", content)
    sent = [folder / "scores.csv", folder / "comparisons.csv", *filter(None, (drawn, sure))]
    obtain.report(choices.recorded(config), spec, scores, sent)
    say("wrote", str(folder / "scores.csv"))
    say("wrote", escape(f"{folder}/comparisons.csv, coverage.csv, tables.tex"))
    without = f"(without {', '.join(lacking)}: scored before; run it again)" if lacking else ""
    say("wrote", str(folder / "answers.csv"), escape(without))
    if drawn:
        without = f"(without {', '.join(left_out)})" if left_out else ""
        say("wrote", str(drawn), escape(without))
    if sure:
        say("wrote", str(sure))
    say("wrote", str(shown_whole), "(the whole report: open it in a browser)")
    return folder / "scores.csv"
