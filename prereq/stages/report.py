"""`stage=report`: tables, `scores.csv` and the picture, from the scores artifacts alone."""

from pathlib import Path

from prereq import track
from prereq.artifacts import store
from prereq.config import Config
from prereq.console import say
from prereq.errors import PrereqError
from prereq.report import collect, picture, tables


def run(config: Config) -> Path:
    """Everything scored under `output_dir`; returns the path of `scores.csv`."""
    root = Path(config.output_dir).resolve()
    results = collect.collect(root)
    if not results:
        raise PrereqError(f"{root}: no scores yet; make some: python -m prereq stage=pipeline")
    file = root / "report" / "scores.csv"
    collect.write_csv([score for result in results for score in result.scores], file)
    drawn = picture.curves(results, root / "report" / "accuracy.png")
    tables.comparison(results)
    named = {score.artifact for result in results for score in result.scores}
    scores = [a for a in store.every(root, "scores") if Path(a.path).name in named]
    track.report(config, scores, [file, drawn] if drawn else [file])
    say("wrote", str(file))
    if drawn:
        say("wrote", str(drawn))
    return file
