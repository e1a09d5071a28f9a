"""`stage=pipeline`: all that an experiment needs, in order, for every method it compares."""

from prereq.config import Config, with_method
from prereq.stages import eval as evaluation
from prereq.stages import report
from prereq.store import Artifact


def run(config: Config) -> list[Artifact]:
    """Each method's scores (which make base model, knowledge and skill on the way), then a report."""
    scores = [evaluation.scores(with_method(config, method)) for method in config.compare]
    report.run(config)
    return scores
