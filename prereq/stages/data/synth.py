"""`stage=synth`: fictitious rows and knowledge, made of the training rows of a data set."""

from rich.markup import escape

from prereq.artifacts.spec import Artifact
from prereq.config import Config
from prereq.runtime.console import say
from prereq.stages.data.sets import obtained
from prereq.stages.export import publish
from prereq.stages.specs import Specs


def run(config: Config) -> Artifact:
    """Make or find the fictitious data, and say what there is."""
    publish.ready(config, "dataset")
    specs = Specs(config)
    made = obtained(specs, specs.synth)
    counts = made.manifest["synth"]
    rows = {file: told["rows"] for file, told in counts["files"].items()}
    for file, count in (rows | made.manifest.get("laid_out", {})).items():
        say("wrote", escape(f"{made.path}/{file}: {count:,} rows"))
    say("wrote", escape(f"{made.path}/card.md: what was made, dropped and why, with examples"))
    if made.manifest.get("laid_out"):
        name = config.dataset.name
        say("noted", escape(f"read by the recipe: dataset={name} dataset.path={made.path}"))
    publish.publish(config, made)
    return made
