"""What an artifact is: its key, its folder, and what a finished one is known by.

An artifact is a folder `outputs/<dataset>/<model>/<kind>/<name>-<key>/`. The key is a hash of exactly
those values, and keys of inputs, that determine the content.
"""

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields, is_dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

FORMAT = 3  # raised when old artifacts must not be taken for new ones


@dataclass(frozen=True)
class Artifact:
    """A finished folder: made here, or from elsewhere (then its reference says what is in it)."""

    path: Path | str
    reference: str  # stands for the content in the keys of whatever is made from it
    manifest: dict[str, Any] = field(default_factory=dict)
    kind: str = ""  # of what is from elsewhere: data | base | skill


@dataclass(frozen=True, eq=False)
class Spec:
    """What an artifact is, before it exists.

    `content` is everything that determines the payload, the specs of its inputs among it.
    """

    root: Path
    dataset: str
    model: str | None  # None: the artifact does not depend on a model
    kind: str  # base | data | knowledge | skill | generations | scores
    name: str
    content: dict[str, Any]
    labels: dict[str, Any] = field(default_factory=dict)  # for reports; not part of the key

    @cached_property
    def key(self) -> str:
        return _digest({"format": FORMAT, "kind": self.kind} | plain(self.content))

    @cached_property
    def experiment(self) -> str:
        """What runs that differ in their seed alone have in common."""
        return experiment_of({"kind": self.kind} | self.content)

    @property
    def direct(self) -> "list[Spec | Artifact]":
        """What this one is made from."""
        return list(_inputs_in(self.content))

    @property
    def inputs(self) -> "set[Spec]":
        """Every artifact that this one rests on, by way of others too, and that is made here."""
        direct = {one for one in self.direct if isinstance(one, Spec)}
        return direct.union(*(spec.inputs for spec in direct))

    @property
    def path(self) -> Path:
        parent = self.root / self.dataset / self.model if self.model else self.root / self.dataset
        return parent / self.kind / f"{self.name}-{self.key}"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Spec) and self.path == other.path

    def __hash__(self) -> int:
        return hash(self.path)


def _inputs_in(value: Any) -> "Iterator[Spec | Artifact]":
    if isinstance(value, Spec | Artifact):
        yield value
    elif isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _inputs_in(part)


def experiment_of(content: dict[str, Any]) -> str:
    """A digest of everything but the seed, here and in the specs of inputs."""
    content = {name: value for name, value in content.items() if name != "seed"}
    return _digest(plain(content, lambda spec: spec.experiment))


def plain(value: Any, of_spec: Callable[[Spec], str] = lambda spec: spec.key) -> Any:
    """Dataclasses, paths and tuples as plain JSON values; an input as what stands for it."""
    if isinstance(value, Spec):
        return of_spec(value)
    if isinstance(value, Artifact):
        return value.reference
    if is_dataclass(value) and not isinstance(value, type):
        return plain({f.name: getattr(value, f.name) for f in fields(value)}, of_spec)
    if isinstance(value, dict):
        return {str(k): plain(v, of_spec) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v, of_spec) for v in value]
    return str(value) if isinstance(value, Path) else value


def _digest(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:10]
