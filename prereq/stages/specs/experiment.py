"""What each artifact of an experiment is, and what it is made from: all from the configuration.

Nothing is made, locked or loaded here; files from elsewhere are read for their digest alone. So what a
command needs, and what of it is missing, is known before anything is done.
"""

from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from prereq.artifacts import external, store
from prereq.artifacts.spec import Artifact, Spec, experiment_of
from prereq.config import Config, KnowledgeSource, LoraSettings, TestSplit, identity
from prereq.config.checks import asks_topics
from prereq.data.prompts import PLAIN
from prereq.data.sources import split_files
from prereq.data.splits import check_root, is_local
from prereq.errors import PrereqError
from prereq.evaluation.scoring import METRICS, RULES
from prereq.model.numerics import attention_for, device_type, dtype_of, product_dtype
from prereq.stages.specs import bases, choices, preferred, probed
from prereq.tracking.settings import Settings

FICTITIOUS = ("fictitious_skill", "fictitious_knowledge")  # subsets that `stage=synth` makes
# Of a knowledge source: what the objective draws by. Its order in the list matters as well.
DRAWN_BY = ("name", "form", "fictitious", "version")


class Specs:
    """The specs of one experiment, each computed once."""

    def __init__(self, config: Config):
        self.config = choices.pinned(config)
        self.root = Path(config.output_dir).resolve()
        # Where rows stand that are counted and not kept, by the folder that they would have.
        self.lent: dict[Path | str, Path] = {}

    @cached_property
    def settings(self) -> Settings:
        return choices.recorded(self.config)

    # What comes first: rows and the base model.

    @cached_property
    def data(self) -> Spec | Artifact:
        """The data set: a folder or Hub id, or made here of a user's rows or from the seed."""
        data, labels = self.config.dataset, {"seed": self.config.seed}
        if data.source == "hub":
            check_root(data.path)
            if is_local(data.path):
                return Artifact(Path(data.path), "files", kind="data")  # by content: see `rows`
            pinned = f"{data.path}@{data.revision}"
            return Artifact(pinned, pinned, kind="data")
        content = choices.rows_made_here(self.config)
        return Spec(self.root, data.name, None, "data", data.source, content, labels)

    @cached_property
    def synth(self) -> Spec:
        """Fictitious data made of the training rows."""
        data, writer = self.config.dataset, self.config.synth.writer
        rows = [self.rows(*split) for split in choices.invented_from(self.config)]
        content = {"real": rows} | choices.invented(self.config)
        if writer == "local":
            content |= {"base": self.base} | self.computed()
        seed = {"seed": self.config.seed}
        return Spec(self.root, data.name, None, "synth", writer, content, seed)

    def place(self, subset: str) -> Spec | Artifact:
        """The data set that holds a subset."""
        made_up = self.config.dataset.source == "custom" and subset in FICTITIOUS
        return self.synth if made_up else self.data

    def folder(self, subset: str) -> Path | str:
        """The folder or Hub id that the rows of a subset are read from, once they are there."""
        place = self.place(subset).path
        return self.lent.get(place, place)

    def rows(self, subset: str, split: str) -> dict[str, Any]:
        """The rows of a split: those of a local folder by the content of their files."""
        place = self.place(subset)
        if isinstance(place, Artifact) and is_local(place.path):
            found = split_files(place.path, subset, split)
            digest = external.digest(found, Path(place.path) / subset)
            return {"split": f"{subset}/{split}", "files": digest}
        return {"split": f"{subset}/{split}", "data": place}

    @cached_property
    def given(self) -> Spec | Artifact | None:
        """What `model` names, before any training here."""
        return bases.given(self)

    @cached_property
    def base(self) -> Spec | Artifact:
        """The base model that adapters stand on."""
        return bases.base(self)

    # The adapters.

    def knowledge(self, source: KnowledgeSource) -> Spec:
        """The knowledge LoRA of a source."""
        lora = self.config.adapter.knowledge
        content = (
            {
                "base": self.base,
                "data": self.rows(source.subset, source.split),
                "training": choices.knowledge_training(self.config, source),
                "seed": self.config.seed,
            }
            | self._trained(lora)
            | choices.familiarity(source)
            | choices.teacher(self.config)
        )
        if lora.dropout and self.config.stage.together:  # what is dropped depends on the others
            content["together"] = [s.name for s in choices.trained_jointly(self.config, source)]
        labels = {"seed": self.config.seed, "form": source.form, "fictitious": source.fictitious}
        return self._spec("knowledge", source.name, content, labels | {"version": source.version})

    @cached_property
    def skill(self) -> Spec | Artifact | None:
        """The skill LoRA of the method, or the adapter that is given; None where nothing is trained."""
        config, recipe, method = self.config, self.config.dataset.skill, self.config.method
        if config.skill:
            folder = external.adapter_folder(config.skill)
            digest = external.digest(external.adapter_files(folder), folder)
            return Artifact(folder, digest, kind="skill")
        if not method.trains:
            return None
        if method.dpo:
            return preferred.skill(self)
        objective: dict[str, Any] = {"draw_group": choices.draw_group(config)}
        beside = choices.beside(config)
        if beside:  # without knowledge there is nothing to alternate and no skill-only loss to add
            objective |= {"alternate": recipe.alternate, "real_weight": choices.real_weight(config)}
            if config.adapter.frozen_dropout:
                objective["frozen_dropout"] = config.adapter.knowledge.dropout
        knowledge = [
            {"adapter": self.knowledge(s)} | {key: getattr(s, key) for key in DRAWN_BY}
            for s in beside
        ]
        content = {
            "base": self.base,
            "data": [self.rows(*split) for split in choices.skill_splits(config)],
            "rows": probed.rows(self),
            "knowledge": knowledge,
            "objective": objective,
            "training": choices.skill_training(config),
            "keep_epochs": recipe.keep_epochs,
            "seed": config.seed,
        } | self._trained(choices.skill_lora(config))
        content |= self.prompt()
        labels = {"method": method.name, "seed": config.seed, "changes": identity.changes(config)}
        return self._spec("skill", method.name, content, labels)

    # Evaluation.

    @cached_property
    def generations(self) -> Spec:
        """What the skill answers to every test prompt."""
        content = {
            "skill": self.skill,
            "base": self.base,
            "plugs": {s.name: self.knowledge(s) for s in choices.plugged(self.config)},
            "tests": [{"test": t, "rows": self._asked(t)} for t in choices.tests(self.config)],
        } | self._answering()
        return self._spec("generations", self.name, content, self.labels())

    @cached_property
    def scores(self) -> Spec:
        """The scores of these answers."""
        asked, content = self.config.eval, {"generations": self.generations, "metrics": METRICS}
        content |= {"bootstrap": asked.bootstrap, "abstentions": asked.abstentions}
        content |= {"hedges": asked.hedges} if asked.hedges else {}
        content |= self.scoring()
        # What a report needs to compare like with like: who answered and how, and each split's rows.
        who = {"skill": self.skill, "base": self.base} | self._answering()
        splits = {
            test.name: experiment_of({"test": test, "rows": self._asked(test)})
            for test in choices.tests(self.config)
        }
        base = self.base.path if isinstance(self.base, Artifact) else self.base.path.name
        labels = self.labels() | {
            "who": experiment_of(who),
            "base": str(base),
            "base_experiment": getattr(self.base, "experiment", None) or self.base.reference,
            "splits": splits,
            "roles": {test.name: test.role for test in choices.tests(self.config)},
            "family": choices.family(self.config),
            "colour": self.config.method.colour,
        }
        return self._spec("scores", self.name, content, labels)

    @property
    def name(self) -> str:
        """What answers and scores are called: after the method, or the adapter that is given."""
        if not isinstance(self.skill, Artifact):
            return self.config.method.name
        return identity.safe(Path(self.skill.path).name)

    def _spec(self, kind: str, name: str, content: dict, labels: dict | None = None) -> Spec:
        data, model = self.config.dataset.name, self.config.model.name
        return Spec(self.root, data, model, kind, name, content, labels or {})

    def computed(self) -> dict[str, Any]:
        """In which numbers the base is held and multiplied; the padded engine, where it is used."""
        config = self.config
        dtype = dtype_of(config.model)
        products = product_dtype(device_type(), getattr(torch, dtype))
        found: dict[str, Any] = {"dtype": dtype, "products": str(products).removeprefix("torch.")}
        if config.model.quantize:
            found["quantize"] = config.model.quantize
        if config.stage.engine != "packed":
            found["engine"] = config.stage.engine
        return found

    def _trained(self, lora: LoraSettings) -> dict[str, Any]:
        """How an adapter is trained, beyond its rows and training values."""
        found = self.computed() | {"lora": lora, "overlong": self.config.dataset.overlong}
        if lora.dropout or self.config.adapter.frozen_dropout:  # is drawn a pack
            stage, model = self.config.stage, self.config.model
            attention = attention_for(model, stage.engine)
            found["packs"] = {"tokens": stage.tokens_per_forward, "attention": attention}
        return found

    def prompt(self) -> dict[str, Any]:
        """How a row is asked, where it is not as the paper does."""
        prompt = self.config.dataset.prompt
        return {} if prompt == PLAIN else {"prompt": prompt}

    def scoring(self) -> dict[str, Any]:
        """How answers are scored."""
        found: dict[str, Any] = {"scoring": self.config.eval.scoring, "rules": RULES}
        if found["scoring"] == "facts":
            place = self.place(choices.tests(self.config)[0].subset)
            file = Path(place.path) / "values.json"
            there = isinstance(place, Artifact) and is_local(place.path) and file.exists()
            found["values"] = external.digest([file], file.parent) if there else ""
        return found

    def _answering(self) -> dict[str, Any]:
        """How answers are generated, and by which rows the epoch that answers is chosen."""
        config = self.config
        content = {"max_new_tokens": config.eval.max_new_tokens} | self.scoring()
        content |= self.prompt()
        content["selection"] = [
            self._asked(t) for t in choices.tests(self.config) if t.role == "selection"
        ]
        if config.eval.engine == "server":
            return content | {"server": [config.eval.server, config.eval.served_as]}
        computed = self.computed()
        if computed["products"] != "float32":
            computed["merged"] = "rounded by draws"
        return content | computed

    def _asked(self, test: TestSplit) -> Any:
        if not asks_topics(self.config.dataset, self.config.eval.scoring):
            return self.rows(test.subset, test.split)
        file = Path(self.config.dataset.topics or "")
        digest = external.digest([file], file.parent) if file.is_file() else ""
        return {"prompt": self.config.dataset.topic_prompt, "topics": digest}

    def labels(self) -> dict[str, Any]:
        """What reports call a skill and what is made from it."""
        changes = identity.changes(self.config)
        return {"method": self.name, "seed": self.config.seed, "changes": changes}


def of_method(config: Config, method: Any) -> Specs:
    """The same experiment by another method."""
    return Specs(replace(config, method=method))


def missing(spec: Spec | Artifact | None) -> bool:
    """Whether it still has to be made. What is given by hand is not."""
    return isinstance(spec, Spec) and store.find(spec) is None


def require(config: Config, spec: Spec, command: str) -> None:
    """With `stage.prerequisites=require`, a missing input is an error that names the command."""
    if config.stage.prerequisites == "require":
        raise PrereqError(
            f"{spec.kind} {spec.name}-{spec.key} is missing and stage.prerequisites=require; make it: "
            f"python -m prereq {command}"
        )
