"""`stage=pipeline`: all that an experiment needs, in order, for every method it compares.

With `experiment=table1` and the like, its table is printed at the end beside the one that the paper printed.
"""

from functools import partial

from prereq.artifacts.spec import Artifact
from prereq.config import Config
from prereq.config.schema.judge import judges
from prereq.model.numerics import device_type
from prereq.runtime import ranks, workers
from prereq.stages import cpt, prepare, probe, report
from prereq.stages import eval as evaluation
from prereq.stages.judge import judges as judging
from prereq.stages.judge import run as judge
from prereq.stages.pretrain import base_model
from prereq.stages.specs import Specs, missing, probed
from prereq.stages.specs.compared import compared

MEMORY = {"tiny": 1.0, "smollm2": 3.0}  # GiB that a process takes on a CPU, by the model's source


def run(config: Config) -> list[Artifact]:
    """Each method's scores (which make base model, knowledge and skill on the way), then a report."""
    experiments = compared(config)
    prepare.check(experiments)
    if judges(config):
        for specs in experiments:
            ranks.on_main_process(partial(judging.check, specs))
    memory = MEMORY.get(config.model.source) if device_type() == "cpu" else None
    count = workers.processes(config.stage.processes, memory)
    if count > 1:
        shared = {
            specs.knowledge(source): partial(_knowledge, specs.config, source.name)
            for specs in experiments
            for source in prepare.missing_knowledge(specs)
        }
        shared |= {
            probed.probe(specs, *split): partial(probe.job, specs.config, split)
            for specs in experiments
            for split in prepare.missing_probes(specs)
        }
        jobs = [*shared.values()]
        jobs += [partial(_scores, s.config) for s in experiments if missing(s.scores)]
        if jobs:
            base_model(experiments[0])  # which all of them need
            workers.parallel(jobs, count)
    scores = [evaluation.scores(specs) for specs in experiments]
    if judges(config):
        scores += [judge.scores(specs) for specs in experiments]
    ranks.on_main_process(lambda: report.run(config, experiments))
    return scores


def _knowledge(config: Config, name: str) -> None:
    """The job of a worker: one knowledge LoRA."""
    specs = Specs(config)
    cpt.knowledge_adapters(specs, [s for s in config.dataset.knowledge if s.name == name])


def _scores(config: Config) -> None:
    """The job of a worker: the scores of one method."""
    evaluation.scores(Specs(config))
