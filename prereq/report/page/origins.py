"""What every number comes from: the artifacts under an output folder, and the commands that make them."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import yaml

from prereq.artifacts import audit, store
from prereq.artifacts.spec import Artifact
from prereq.config import EvalConfig
from prereq.config.identity import SHORT
from prereq.config.shape import spelt
from prereq.errors import PrereqError
from prereq.report.collect import Line, Scored

# In the order in which they are made.
KINDS = "data base probe knowledge pairs skill generations facts evidence verdicts scores".split()
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
KEY = re.compile(r"[0-9a-f]{10}")
# Where a user's rows are: no setting that tells experiments apart, but a command needs them.
ROWS = ("rows", "passages", "development", "test", "path")
JUDGE = ("judge.splits", "judge.knowledge", "judge.server.url", "judge.server.model")


@dataclass(frozen=True)
class Origin:
    """An artifact as the page shows it."""

    artifact: Artifact
    anchor: str
    link: str  # its folder, from the page
    made_from: list[str]  # keys of artifacts that are here

    @property
    def manifest(self) -> dict[str, Any]:
        return self.artifact.manifest

    @property
    def folder(self) -> str:
        return Path(self.artifact.path).name

    @property
    def took(self) -> str:
        return duration(self.manifest.get("seconds"))

    @property
    def code(self) -> str:
        """The version of the code, with its git commit (`+`: changed since) where that is known."""
        commit = self.manifest.get("commit")
        return f"{self.manifest.get('version', '?')}" + (f" · {commit}" if commit else "")


@dataclass
class Origins:
    """All artifacts under `root`, by their keys."""

    root: Path
    found: dict[str, Origin] = field(default_factory=dict)
    configs: dict[Path, dict] = field(default_factory=dict)

    def of(self, kind: str, dataset: str, model: str | None) -> list[Origin]:
        return [
            one
            for one in self.found.values()
            if (one.manifest["kind"], one.manifest["dataset"]) == (kind, dataset)
            and one.manifest["model"] in (model, None)
        ]

    def chain(self, key: str) -> list[Origin]:
        """The artifact and all that it rests on and that is here, each once."""
        keys, waiting = [], [key]
        while waiting:
            key = waiting.pop(0)
            if key in self.found and key not in keys:
                keys.append(key)
                waiting += self.found[key].made_from
        return sorted((self.found[k] for k in keys), key=lambda o: KINDS.index(o.manifest["kind"]))

    def config(self, folder: Path) -> dict:
        """The configuration that an artifact was made with. Raises PrereqError where it is altered."""
        if folder not in self.configs:
            file = audit.verified_file(
                Artifact(folder, "", audit.read_manifest(folder)), "config.yaml"
            )
            try:
                self.configs[folder] = yaml.load(file.read_text("utf-8"), LOADER) or {}
            except yaml.YAMLError as error:
                raise PrereqError(f"{file}: not YAML ({error}); remove its folder") from None
        return self.configs[folder]

    def command(self, line: Line, seed: int, run: Scored, stage: str = "") -> str:
        """The command that makes a run's scores, and what they lack."""
        stage = stage or ("judge" if run.verdicts else "eval")
        words = [f"stage={stage}", f"dataset={line.dataset}", f"model={line.model}"]
        words += [f"method={line.method}", f"seed={seed}"]
        return typed(*words, *settings(self.config(run.folder), line.changes, stage))


def read(root: Path) -> Origins:
    """Every artifact that scores can rest on, by its manifest alone."""
    origins = Origins(root)
    every = [a for kind in KINDS for a in store.every(root, kind)]
    keys = {artifact.manifest["key"] for artifact in every}
    for artifact in every:
        key = artifact.manifest["key"]
        made_from = [k for k in dict.fromkeys(_keys(artifact.manifest["content"])) if k in keys]
        link = quote(f"../{Path(artifact.path).relative_to(root).as_posix()}/")
        origins.found[key] = Origin(artifact, f"a-{key}", link, [k for k in made_from if k != key])
    return origins


def duration(seconds: float | None) -> str:
    if seconds is None:
        return "?"
    if seconds < 90:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def _keys(value: Any) -> Iterator[str]:
    """Every text in a manifest's content that may be the key of an artifact."""
    if isinstance(value, str):
        if KEY.fullmatch(value):
            yield value
    elif isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _keys(part)


def typed(*words: str) -> str:
    """A command as it is typed in a shell."""
    return shlex.join(["python", "-m", "prereq", *words])


def settings(config: dict, changes: dict[str, Any], stage: str) -> list[str]:
    """The words that set what differs from the recipe, and where a user's rows are."""
    full = {SHORT.sub("", key): key for key, _ in _flat(config)}
    words = [spelt({full.get(name, name): value}) for name, value in changes.items()]
    data = config.get("dataset", {})
    words += [f"dataset.{key}={data[key]}" for key in ROWS if data.get(key)]
    bootstrap = config.get("eval", {}).get("bootstrap", EvalConfig.bootstrap)
    if bootstrap != EvalConfig.bootstrap:
        words.append(f"eval.bootstrap={bootstrap}")
    if stage == "judge" and (judge := config.get("judge")):
        words.append(f"judge={judge.get('name')}")
        given = dict(_flat(judge, "judge"))
        words += [spelt({key: given[key]}) for key in JUDGE if given.get(key)]
    return words


def _flat(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """(dotted key, value) of every setting; lists of mappings by position."""
    parts = value.items() if isinstance(value, dict) else ()
    if isinstance(value, list) and any(isinstance(part, dict) for part in value):
        parts = enumerate(value)
    elif not isinstance(value, dict):
        yield key, value
    for name, part in parts:
        yield from _flat(part, f"{key}.{name}" if key else str(name))
