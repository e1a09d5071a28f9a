"""What is shown outside: a model, in which format and where it is published, and runs on a dashboard.

With the keys of the configuration stands what makes sense of them (`problems`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from prereq.config.shape import no_twice, one_of, shown

if TYPE_CHECKING:
    from prereq.config.schema import Config

FORMATS = ("merged", "adapter")
EPOCHS = ("last", "best")  # or the number of one that was kept
PUBLISHES = ("export", "synth")  # stages
# A name on the Hub: https://huggingface.co/docs/hub/repositories-getting-started
HUB_ID = re.compile(r"(?=[^/]+/[\w.-]{1,96}$)(?!.*(--|\.\.|\.git$))\w[\w.-]*/\w([\w.-]*\w)?", re.A)
GGUF = (
    "format=gguf: no package brings llama.cpp's converter, which makes such a file of a merged model. Make "
    "that with format=merged, then: git clone https://github.com/ggml-org/llama.cpp; pip install -r "
    "llama.cpp/requirements.txt; python llama.cpp/convert_hf_to_gguf.py FOLDER --outfile model.gguf "
    "(stage=export prints this command with its folder)"
)


@dataclass
class TrackerConfig:
    """Where runs are shown, besides each artifact's own `metrics.jsonl`."""

    name: str = "none"  # none | wandb | offline | trackio
    project: str = "prereq"
    entity: str | None = None
    group: str | None = None  # None: the dataset's and the model's name
    upload: bool = True  # adapters, answers and scores whole; False: their manifests alone


def problems(config: Config) -> list[str]:
    """What is wrong with what is exported, published and tracked."""
    return [*_export(config), *_publish(config), *_tracked(config.tracker)]


def _tracked(tracker: TrackerConfig) -> Iterator[str]:
    yield from one_of("tracker.name", tracker.name, ("none", "wandb", "offline", "trackio"))
    if tracker.name != "trackio":
        return
    if find_spec("trackio") is None:
        yield "tracker=trackio needs the package trackio: pip install 'prereq[trackio]'"
    if tracker.entity is not None:
        yield (
            f"tracker.entity={tracker.entity}: Trackio keeps runs on this disk, where nobody owns them; "
            "leave it out, or use tracker=wandb"
        )
    if not tracker.upload:
        yield "tracker.upload=false: tracker=trackio uploads nothing; leave it out"


def _export(config: Config) -> Iterator[str]:
    stage = config.stage.name
    if config.format == "gguf":
        yield GGUF
    else:
        yield from one_of("format", config.format, FORMATS)
    if config.epoch not in EPOCHS and not re.fullmatch(r"[1-9][0-9]{0,5}", config.epoch):
        yield f"epoch={shown(config.epoch)}: must be last, best or the number of a kept epoch, from 1"
    if stage != "export":
        if config.format != "merged":
            yield f"format={shown(config.format)}: only stage=export takes it, not stage={stage}"
        if stage == "ask":
            yield from _epoch(config)
        elif config.epoch != "last":
            yield f"epoch={shown(config.epoch)}: only stage=ask and export take it, not stage={stage}"
        return
    if not config.method.trains and not config.skill:
        yield (
            f"method={config.method.name}: trains nothing, so there is nothing to export but the base model "
            "as it is; choose a method that trains, or give an adapter, skill=FOLDER"
        )
    if config.model.quantize:
        yield (
            f"model.quantize={config.model.quantize}: stage=export writes and checks whole weights; the "
            "skill's own folder is a PEFT folder that loads on a base quantized the same way"
        )
    if config.format == "adapter" and config.knowledge:
        yield (
            "format=adapter: holds the skill alone, and knowledge=[…] is merged into a model; use "
            "format=merged, or serve the knowledge adapters' own folders beside it (stage=cpt names them)"
        )
    if config.knowledge is not None:
        yield from no_twice("knowledge", config.knowledge)
    yield from _epoch(config)


def _epoch(config: Config) -> Iterator[str]:
    """That an epoch is asked for which no adapter is kept of."""
    recipe = config.dataset.skill
    if config.epoch != "last" and not config.skill:
        epochs = config.stage.epochs or recipe.training.epochs or 1
        if not recipe.keep_epochs:
            yield (
                f"epoch={config.epoch}: dataset={config.dataset.name} keeps the last epoch's adapter alone; "
                "leave it out, or train with dataset.skill.keep_epochs=true"
            )
        elif config.epoch.isdigit() and int(config.epoch) > epochs:
            yield f"epoch={config.epoch}: the skill trains for {epochs}; name one of them"


def _publish(config: Config) -> Iterator[str]:
    name, stage = config.push_to_hub, config.stage.name
    if name is None:
        if not config.private:
            yield "private=false: says how push_to_hub=OWNER/NAME publishes; add that, or leave it out"
        return
    if stage not in PUBLISHES:
        yield (
            f"push_to_hub={shown(name)}: only stage=export (a model) and stage=synth (data) publish, not "
            f"stage={stage}"
        )
    if not HUB_ID.fullmatch(name):
        yield (
            f"push_to_hub={shown(name)}: must be OWNER/NAME of the Hub: letters, digits, '-', '_' and '.', "
            "no '--' or '..', a NAME of 96 characters at most that does not end in .git"
        )
    own_base = config.model.source != "hub" or Path(config.model.path or "").is_dir()
    if stage == "export" and config.format == "adapter" and own_base:
        yield (
            f"push_to_hub={shown(name)}: an adapter is of use with its base model alone, and that of "
            f"model={config.model.name} is not on the Hub; publish the whole model by format=merged"
        )
