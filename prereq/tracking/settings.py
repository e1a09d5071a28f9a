"""What is recorded with an artifact."""

from dataclasses import dataclass
from typing import Any

from prereq.config import TrackerConfig


@dataclass(frozen=True)
class Settings:
    """The whole configuration, and where the making of artifacts is tracked."""

    config: dict[str, Any]  # plain values, for `config.yaml` and W&B
    tracker: TrackerConfig
