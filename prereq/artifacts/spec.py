"""What an artifact is: its key, its folder, and what a finished one is known by.

An artifact is a folder `outputs/<dataset>/<model>/<kind>/<name>-<key>/`. The key is a hash of exactly
those values, and keys of inputs, that determine the content.
"""

import hashlib
import json
from dataclasses import asdict, dataclass, field, is_dataclass
from pathlib import Path
from typing import Any

FORMAT = 1  # raised when old artifacts must not be taken for new ones


@dataclass(frozen=True, eq=False)
class Spec:
    """What an artifact is, before it exists."""

    root: Path
    dataset: str
    model: str | None  # None: the artifact does not depend on a model
    kind: str  # base | data | knowledge | skill | generations | scores
    name: str
    content: dict[str, Any]  # everything that determines the payload
    labels: dict[str, Any] = field(default_factory=dict)  # for reports; not part of the key

    @property
    def key(self) -> str:
        text = json.dumps(
            {"format": FORMAT, "kind": self.kind} | plain(self.content), sort_keys=True
        )
        return hashlib.sha256(text.encode()).hexdigest()[:10]

    @property
    def path(self) -> Path:
        parent = self.root / self.dataset / self.model if self.model else self.root / self.dataset
        return parent / self.kind / f"{self.name}-{self.key}"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Spec) and self.path == other.path

    def __hash__(self) -> int:
        return hash(self.path)


@dataclass(frozen=True)
class Artifact:
    """A finished folder: made here, or given by hand (then its reference is its path or Hub id)."""

    path: Path | str
    reference: str  # stands for the content in the keys of whatever is made from it
    manifest: dict[str, Any] = field(default_factory=dict)


def plain(value: Any) -> Any:
    """Dataclasses, paths and tuples as plain JSON values."""
    if is_dataclass(value) and not isinstance(value, type):
        return plain(asdict(value))
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    return str(value) if isinstance(value, Path) else value
