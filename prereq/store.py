"""Where an artifact lives, what its key is, and how it is published: whole or not at all.

An artifact is a folder `outputs/<dataset>/<model>/<kind>/<name>-<key>/` that holds a payload and,
written last, `manifest.json`. The key is a hash of exactly those values, and keys of inputs, that
determine the content; no manifest, no artifact. Two jobs that need the same one make it once: a lease
file beside it, refreshed by whoever makes it, holds the others off, on any node that sees the folder.
"""

import hashlib
import importlib.metadata
import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from contextvars import ContextVar
from dataclasses import asdict, dataclass, field, is_dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from filelock import SoftFileLease
from omegaconf import OmegaConf

from prereq import __version__, ranks
from prereq.console import console, say
from prereq.errors import Preempted, PrereqError

T = TypeVar("T")
FORMAT = 1  # raised when old artifacts must not be taken for new ones
PACKAGES = ("torch", "transformers", "peft", "accelerate", "datasets", "hydra-core")
# Seconds without a sign of life after which a maker on another node is taken for dead (one on the
# same node is known to be). Longer than the minute that NFS may show an old time of change.
LEASE = 120
HEARTBEAT = 10

_looking_only: ContextVar[bool] = ContextVar("looking_only", default=False)
_not_waiting: ContextVar[bool] = ContextVar("not_waiting", default=False)


class Missing(Exception):
    """Raised by `obtain` under `looking_only` where it would have to make something."""


class _Busy(PrereqError):
    """Raised by `obtain` under `_not_waiting` where it would have to wait for another process."""


@contextmanager
def looking_only() -> Iterator[None]:
    """Within it `obtain` finds what there is and makes nothing."""
    token = _looking_only.set(True)
    try:
        yield
    finally:
        _looking_only.reset(token)


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


def find(spec: Spec) -> Artifact | None:
    """The artifact, if it was finished."""
    manifest = spec.path / "manifest.json"
    if not manifest.exists():
        return None
    return Artifact(spec.path, spec.key, json.loads(manifest.read_text("utf-8")))


def obtain(
    spec: Spec,
    config: Any,
    make: Callable[[Path], dict[str, Any] | None],
    collective: bool = False,
) -> Artifact:
    """The artifact of `spec`: found, or made by `make(folder)` and published.

    `make` writes the payload into a scratch folder that survives an interruption, so that it can
    resume from what it finds there, and returns what the manifest shall say beyond the usual. Of
    several processes the first looks, locks and publishes, and makes, unless making is `collective`.
    """
    return obtain_all([spec], config, lambda missing: [make(missing[spec])], collective)[0]


def obtain_all(
    specs: Sequence[Spec],
    config: Any,
    make: Callable[[dict[Spec, Path]], Sequence[dict[str, Any] | None]],
    collective: bool = False,
) -> list[Artifact]:
    """The artifacts of several specs, those that are missing made in one go: see `obtain`."""
    missing = _missing(specs)
    if missing:
        if _looking_only.get():
            raise Missing(_describe(missing[0]))
        with ExitStack() as locks:
            # In the order given, which is the same everywhere: nobody waits in a circle.
            for spec in missing:
                lock = SoftFileLease(
                    spec.path.with_name(f".{spec.path.name}.lock"),
                    lease_duration=LEASE,
                    heartbeat_interval=HEARTBEAT,
                    on_compromise=_leave,
                )
                ranks.by_first(lambda lock=lock, spec=spec: _acquire(lock, spec))
                locks.callback(lock.release)
            missing = _missing(missing)  # another process may have made some meanwhile
            started = time.time()
            scratch = {s: s.path.with_name(f".{s.path.name}.partial") for s in missing}
            ranks.by_first(lambda: [folder.mkdir(exist_ok=True) for folder in scratch.values()])
            if missing:
                extra = make(scratch) if collective else ranks.by_first(lambda: make(scratch))
                seconds = time.time() - started
                for spec, more in zip(missing, extra, strict=True):
                    publish = partial(_publish, spec, config, scratch[spec], more, seconds)
                    ranks.by_first(publish)
                    say("made", _describe(spec), f"in {_duration(seconds)}")
    for spec in specs:
        say("found", _describe(spec))  # unless it was spoken of before
    return ranks.by_first(lambda: [find(spec) for spec in specs])


def _missing(specs: Sequence[Spec]) -> list[Spec]:
    return ranks.by_first(lambda: [spec for spec in specs if find(spec) is None])


def _acquire(lock: SoftFileLease, spec: Spec) -> None:
    spec.path.parent.mkdir(parents=True, exist_ok=True)
    try:
        lock.acquire(timeout=0)
    except TimeoutError:
        if _not_waiting.get():
            raise _Busy from None
        say("waiting", f"another process is making {_describe(spec)}")
        lock.acquire(poll_interval=0.5)


def in_any_order(jobs: Sequence[Callable[[], T]]) -> list[T]:
    """What every job obtains, in their order; what another process is just making comes last."""
    done: dict[int, T] = {}
    token = _not_waiting.set(True)
    try:
        for number, job in enumerate(jobs):
            with suppress(_Busy):
                done[number] = job()
    finally:
        _not_waiting.reset(token)
    return [done[number] if number in done else job() for number, job in enumerate(jobs)]


def _leave(lost: Any) -> None:
    """The end of a maker whose lease another process took: both would write the same scratch folder."""
    console.print(
        f"stopped: the lease {lost.lock_file} is lost ({lost.reason}), as happens to a process that "
        "was halted for minutes; whoever has it goes on from the last checkpoint",
        markup=False,
    )
    os._exit(Preempted.CODE)


def _publish(spec: Spec, config: Any, scratch: Path, extra: dict | None, seconds: float) -> None:
    shutil.rmtree(scratch / "checkpoint", ignore_errors=True)
    OmegaConf.save(OmegaConf.create(plain(config)), scratch / "config.yaml")
    files = sorted(p for p in scratch.rglob("*") if p.is_file())
    manifest = {
        "kind": spec.kind,
        "name": spec.name,
        "dataset": spec.dataset,
        "model": spec.model,
        "key": spec.key,
        "content": plain(spec.content),
        "labels": plain(spec.labels),
        "made": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "seconds": round(seconds, 1),
        "version": __version__,
        "commit": _commit(),
        "packages": {name: _package_version(name) for name in PACKAGES},
        "files": {p.relative_to(scratch).as_posix(): _fingerprint(p) for p in files},
    } | plain(extra or {})
    temporary = scratch / "manifest.json.tmp"
    temporary.write_text(json.dumps(manifest, indent=1, ensure_ascii=False), "utf-8")
    os.replace(temporary, scratch / "manifest.json")
    if spec.path.exists():  # the remains of something that was never finished
        shutil.rmtree(spec.path)
    os.rename(scratch, spec.path)


def every(root: Path, kind: str) -> list[Artifact]:
    """All finished artifacts of a kind under `root`, oldest first."""
    manifests = sorted(Path(root).glob(f"*/**/{kind}/*/manifest.json"))
    found = []
    for file in manifests:
        if file.parent.name.startswith("."):
            continue
        try:
            found.append(
                Artifact(file.parent, file.parent.name, json.loads(file.read_text("utf-8")))
            )
        except json.JSONDecodeError as error:
            raise PrereqError(f"{file}: not JSON ({error}); remove {file.parent}") from None
    return sorted(found, key=lambda artifact: artifact.manifest["made"])


def _describe(spec: Spec) -> str:
    where = f"{spec.dataset}/{spec.model}" if spec.model else spec.dataset
    return f"[cyan]{spec.kind}[/cyan] {where} {spec.name}-{spec.key}"


def _duration(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 60 else f"{seconds // 60:.0f} min {seconds % 60:.0f} s"


def _fingerprint(file: Path) -> dict[str, Any]:
    with open(file, "rb") as stream:
        digest = hashlib.file_digest(stream, "sha256") if hasattr(hashlib, "file_digest") else None
        if digest is None:  # Python 3.10
            digest = hashlib.sha256(stream.read())
    return {"bytes": file.stat().st_size, "sha256": digest.hexdigest()}


def _package_version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _commit() -> str | None:
    """The git commit of the code, with a `+` where the working tree differs from it."""
    here = Path(__file__).parent
    command = [
        "git",
        "-C",
        str(here),
        "describe",
        "--always",
        "--abbrev=12",
        "--dirty=+",
        "--exclude=*",
    ]
    try:
        return (
            subprocess.run(command, capture_output=True, text=True, timeout=10).stdout.strip()
            or None
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
