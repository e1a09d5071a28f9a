"""What leaves this project: in which format, and to which repository of the Hub."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prereq.config.shape import one_of, shown

if TYPE_CHECKING:
    from prereq.config.schema import Config

FORMATS = ("merged", "adapter", "gguf")
EPOCHS = ("last", "best")
PUSHES = ("export", "synth")  # stages whose artifact can be published


def problems(config: Config) -> list[str]:
    """What is wrong with the keys of stage=export, one line each."""
    stage, found = config.stage.name, []
    found += one_of("format", config.format, FORMATS)
    found += one_of("epoch", config.epoch, EPOCHS)
    if config.push_to_hub is not None and stage not in PUSHES:
        found.append(
            f"push_to_hub={shown(config.push_to_hub)}: stage={stage} publishes nothing; use it with "
            "stage=export, or with stage=synth for data"
        )
    if stage != "export":
        return found
    if not config.method.trains and not config.skill:
        found.append(
            f"method={config.method.name}: trains nothing, so there is no skill to export; the base "
            "model is already a folder that transformers loads"
        )
    if config.knowledge and config.format == "adapter":
        found.append(
            f"knowledge={shown(config.knowledge)}: format=adapter holds the skill alone; "
            "format=merged adds the knowledge to the weights"
        )
    if config.model.quantize:
        found.append(
            f"model.quantize={config.model.quantize}: adapters are not merged into quantized weights, "
            "and what is exported is checked against plain ones; leave it out"
        )
    return found
