"""How texts are judged against a knowledge source: who splits them into facts, who judges those.

With the settings stands what makes sense of them (`problems`).
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING

from omegaconf import MISSING

from prereq.config.schema.model import ModelConfig
from prereq.config.schema.synth import Server
from prereq.config.shape import no_twice, one_of

if TYPE_CHECKING:
    from prereq.config.schema import Config

WHO = ("exact", "openai", "local")
TEXTS = ("facts", "long_form")  # kinds of scoring whose answers are texts, not short answers
CLAIMS = ("table1", "figure3")  # experiments that count the claims of texts
ACCURACY = ("forms", "figure4")  # and those that compare accuracy alone


@dataclass
class Judge:
    name: str = MISSING
    splitter: str = "exact"  # who splits sentences into facts: exact | openai | local
    verdicts: str = "exact"  # who judges the facts: the same choices
    server: Server = field(default_factory=Server)  # that openai asks
    splitter_server: Server = field(default_factory=Server)  # another one for the facts
    model: ModelConfig = field(default_factory=lambda: ModelConfig(name="judge"))  # of local
    max_tokens: int = 512  # of a reply
    tokens_per_batch: int = 8192  # that local generates at once
    prompts: str | None = None  # a YAML file of your own prompts; None: those of the package
    knowledge: str | None = None  # passages: a file or Hub data set with title and text
    passages: int = 5  # that a fact is judged by, at most
    passage_words: int = 200  # a passage at most; longer texts are cut between sentences
    penalised_below: float = 10.0  # facts; γ of the length penalty exp(1 - γ/n)
    splits: list[str] | None = None  # judge only these test splits
    items: int | None = None  # judge only the first so many answers of a split
    # A text whose first sentence holds one of these is not an answer.
    abstentions: list[str] = field(
        default_factory=lambda: [
            "i don't know",
            "i do not know",
            "i don't have",
            "i do not have",
            "i'm sorry",
            "i am sorry",
            "i'm not sure",
            "i am not sure",
            "i couldn't find",
            "i could not find",
            "as an ai",
        ]
    )
    validate: str | None = (
        None  # a file of facts that people judged: compare with them, nothing else
    )


def judges(config: Config) -> bool:
    """Whether the command has answers judged: stage=judge does, and an experiment whose texts nothing else
    scores, or whose claims it counts."""
    shows, scoring = config.experiment.shows, config.eval.scoring
    if config.stage.name != "pipeline" or shows is None:
        return config.stage.name == "judge"
    return scoring in TEXTS if shows in CLAIMS else scoring == "long_form" and shows in ACCURACY


def problems(config: Config) -> list[str]:
    """What is wrong with the keys of the judge, one line each. A server: see `config.values`."""
    judge, data = config.judge, config.dataset
    found = one_of("judge.splitter", judge.splitter, WHO)
    found += one_of("judge.verdicts", judge.verdicts, WHO)
    found += one_of("judge.model.source", judge.model.source, ("hub", "smollm2"))
    found += no_twice("judge.splits", judge.splits)
    if not judges(config):
        return found
    if "local" in (judge.splitter, judge.verdicts):
        if judge.model.source == "hub" and not judge.model.path:
            found.append(
                "judge.model.path: empty; judge=local asks a model of its own: name a Hub id or a local "
                "folder"
            )
        if judge.model.quantize:
            found.append(
                f"judge.model.quantize={judge.model.quantize}: the model that judges has plain weights; "
                "leave it out"
            )
    if judge.validate:
        return found  # answers and knowledge have no part in it
    if config.eval.scoring not in TEXTS:
        found.append(
            f"eval.scoring={config.eval.scoring}: stage=judge judges texts about topics, and these are "
            "short answers, which stage=eval scores; use eval=long_form"
        )
    exact = [f"judge.{key}" for key in ("splitter", "verdicts") if getattr(judge, key) == "exact"]
    if exact and config.eval.scoring != "facts":
        found.append(
            f"{exact[0]}=exact: reads nothing but facts of listed values (eval=facts), as those of "
            f"dataset=world; for dataset={data.name} choose judge=openai or judge=local"
        )
    if not judge.knowledge and data.source != "world":
        found.append(
            "judge.knowledge: missing; name the passages to judge by, a file (JSON lines, CSV or "
            "Parquet) or Hub data set with the columns title and text"
        )
    if judge.splits is not None and not judge.splits:
        found.append("judge.splits=[]: names no split; leave it out to judge all of them")
    return found


def splitter_server(judge: Judge) -> Server:
    """The server that splits: `judge.server`, unless `judge.splitter_server` names something else."""
    own = {f.name: getattr(judge.splitter_server, f.name) for f in fields(Server)}
    changed = {name: value for name, value in own.items() if value != getattr(Server(), name)}
    return Server(**{f.name: getattr(judge.server, f.name) for f in fields(Server)} | changed)
