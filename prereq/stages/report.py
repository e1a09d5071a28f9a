"""`stage=report`: tables, `scores.csv` and the picture, from the scores artifacts alone."""

from pathlib import Path

from rich.markup import escape

from prereq.artifacts import store
from prereq.artifacts.spec import Spec
from prereq.config import Config
from prereq.errors import PrereqError
from prereq.report import collect, comparisons, picture, tables
from prereq.runtime.console import say
from prereq.stages.specs import choices
from prereq.tracking import obtain


def run(config: Config) -> Path:
    """Everything scored under `output_dir`; returns the path of `scores.csv`."""
    root = Path(config.output_dir).resolve()
    lines = collect.lines(collect.read(root))
    if not lines:
        raise PrereqError(f"{root}: no scores yet; make some: python -m prereq stage=pipeline")
    shown = [score for line in lines for score in line.shown()]
    file = root / "report" / "scores.csv"
    collect.write_csv(shown, collect.Score, file)
    pairs = root / "report" / "comparisons.csv"
    collect.write_csv(comparisons.every(lines), comparisons.Comparison, pairs)
    drawn, left_out = picture.curves(lines, root / "report" / "accuracy.png")
    tables.comparison(lines)
    named = {score.artifact for score in shown}
    scores = [a for a in store.every(root, "scores") if Path(a.path).name in named]
    content = {"scores": sorted(artifact.manifest["key"] for artifact in scores)}
    spec = Spec(root, config.dataset.name, config.model.name, "report", "report", content)
    written = [file, pairs, *([drawn] if drawn else [])]
    obtain.report(choices.recorded(config), spec, scores, written)
    say("wrote", str(file))
    say("wrote", str(pairs))
    if drawn:
        without = f"(without {', '.join(left_out)})" if left_out else ""
        say("wrote", str(drawn), escape(without))
    return file
