"""What `stage=ask` asks, and who answers beside the skill. `problems` makes sense of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from prereq.config.shape import no_twice

if TYPE_CHECKING:
    from prereq.config.schema import Config


@dataclass
class Ask:
    against: list[str] = field(default_factory=lambda: ["sft", "base"])  # methods that answer too


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
    if config.eval.engine == "server":
        found.append(
            "eval.engine=server: stage=ask switches adapters in a model that it holds itself; use "
            "eval.engine=batches, or ask the server as docs/serving.md shows"
        )
    return found
