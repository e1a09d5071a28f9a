"""What `stage=ask` asks, and who answers beside the skill. `problems` makes sense of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from prereq.config.shape import no_twice, shown

if TYPE_CHECKING:
    from prereq.config.schema import Config

EPOCHS = ("last", "best")  # or the number of an epoch whose adapter was kept


@dataclass
class Ask:
    against: list[str] = field(default_factory=lambda: ["sft", "base"])  # methods that answer too
    epoch: str = "last"  # last | best (as stage=eval chose it) | a number: whose adapters answer


def problems(config: Config) -> list[str]:
    """What is wrong with the question and with who is to answer."""
    asks, found = config.stage.name == "ask", []
    if not asks:
        if config.question is not None:
            found.append(
                f"question: only stage=ask answers one, not stage={config.stage.name}; add stage=ask"
            )
        return found
    found += no_twice("ask.against", config.ask.against)
    if config.ask.epoch not in EPOCHS and not config.ask.epoch.isdecimal():
        found.append(
            f"ask.epoch={shown(config.ask.epoch)}: must be last, best or the number of an epoch"
        )
    if config.eval.engine == "server":
        found.append(
            "eval.engine=server: stage=ask switches adapters in a model that it holds itself; use "
            "eval.engine=batches, or ask the server as docs/serving.md shows"
        )
    return found
