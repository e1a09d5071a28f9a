"""`stage=pipeline`: all that an experiment needs, in order, for every method it compares."""

from functools import partial

from prereq import ranks, workers
from prereq.artifacts.spec import Artifact
from prereq.config import Config, with_method
from prereq.stages import cpt, inputs, report
from prereq.stages import eval as evaluation


def run(config: Config) -> list[Artifact]:
    """Each method's scores (which make base model, knowledge and skill on the way), then a report."""
    methods = [with_method(config, method) for method in config.compare]
    count = workers.processes(config)
    if count > 1:
        # What several methods share comes first, so that no worker waits for another.
        for each in methods:
            evaluation.prompts(each, inputs.data_set(each))
        inputs.base_model(config)
        shared = {s.name: s for each in methods for s in evaluation.knowledge_for(each)}
        jobs = [partial(cpt.knowledge_adapters, config, [source]) for source in shared.values()]
        workers.side_by_side(jobs + [partial(evaluation.scores, m) for m in methods], count)
    scores = [evaluation.scores(each) for each in methods]
    ranks.by_first(lambda: report.run(config))
    return scores
