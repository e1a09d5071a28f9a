"""Artifacts found, or made once and published: whole or not at all.

A finished artifact has a manifest, which is written last: no manifest, no artifact. Two jobs that
need the same one make it once: `artifacts.lease` holds the others off. What is found is verified
before it is used: `artifacts.audit`.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from contextvars import ContextVar
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from prereq.artifacts import audit, lease
from prereq.artifacts.publish import CHECKPOINTS, publish, remove
from prereq.artifacts.spec import Artifact, Spec
from prereq.errors import PrereqError
from prereq.runtime import ranks
from prereq.runtime.console import making, say

T = TypeVar("T")

_not_waiting: ContextVar[bool] = ContextVar("not_waiting", default=False)


def find(spec: Spec) -> Artifact | None:
    """The artifact, if it was finished; its payload not yet verified. Raises for a damaged manifest."""
    if not (spec.path / audit.MANIFEST).exists():
        return None
    return Artifact(spec.path, spec.key, audit.read_manifest(spec.path))


def found(spec: Spec) -> Artifact | None:
    """The artifact, if it was finished; says so. In every process.

    Its payload is verified, and that of whatever it rests on and is still there.
    """

    def verified() -> Artifact | None:
        artifact = find(spec)
        if artifact:
            for there in filter(None, map(find, sorted(spec.inputs, key=lambda s: s.path))):
                audit.verify(there)
            audit.verify(artifact)
        return artifact

    artifact = ranks.on_main_process(verified)
    if artifact:
        say("found", _describe(spec))
    return artifact


def every(root: Path, kind: str) -> list[Artifact]:
    """All finished artifacts of a kind under `root`, oldest first; their payloads not yet verified.

    Those in the format of another version are left out, with a word.
    """
    folders = [m.parent for m in sorted(Path(root).glob(f"*/**/{kind}/*/{audit.MANIFEST}"))]
    found, others = [], 0
    for folder in (f for f in folders if not f.name.startswith(".")):  # not a scratch folder
        try:
            found.append(Artifact(folder, folder.name, audit.read_manifest(folder)))
        except audit.OtherFormat:
            others += 1
    if others:
        say("left out", f"{others} {kind} that another version of prereq made")
    return sorted(found, key=lambda artifact: artifact.manifest["made"])


def obtain(
    spec: Spec,
    config: dict[str, Any],
    make: Callable[[Path], dict[str, Any] | None],
    collective: bool = False,
) -> Artifact:
    """The artifact of `spec`: found, or made by `make(folder)` and published.

    `make` writes the payload into a scratch folder, and returns what the manifest shall say beyond
    the usual. Of several processes the first looks, locks and publishes, and makes, unless making is
    `collective`: training and generation, in which all take part. The scratch folder is empty, except
    that training finds in it what an interrupted run left with a checkpoint, and goes on from there.
    """
    return obtain_all([spec], config, lambda missing: [make(missing[spec])], collective)[0]


def obtain_all(
    specs: Sequence[Spec],
    config: dict[str, Any],
    make: Callable[[dict[Spec, Path]], Sequence[dict[str, Any] | None]],
    collective: bool = False,
) -> list[Artifact]:
    """The artifacts of several specs, those that are missing made in one go: see `obtain`.

    A run that makes several keeps its checkpoint in the scratch folder of the first.
    """
    missing = _missing(specs)
    if missing:
        with ExitStack() as leases:
            # In the order given, which is the same everywhere: nobody waits in a circle.
            for spec in missing:
                held = lease.beside(spec.path)
                leases.callback(held.release)
                wait = not _not_waiting.get()
                ranks.on_main_process(partial(lease.take, held, _describe(spec), wait))
            missing = _missing(missing)  # another process may have made some meanwhile
            if missing:
                _make(missing, config, make, collective)
    for spec in specs:
        say("found", _describe(spec))  # unless it was spoken of before
    return ranks.on_main_process(lambda: [audit.verify(find(spec)) for spec in specs])


def in_any_order(jobs: Sequence[Callable[[], T]]) -> list[T]:
    """What every job obtains, in their order; what another process is just making comes last."""
    done: dict[int, T] = {}
    token = _not_waiting.set(True)
    try:
        for number, job in enumerate(jobs):
            with suppress(lease.Busy):
                done[number] = job()
    finally:
        _not_waiting.reset(token)
    return [done[number] if number in done else job() for number, job in enumerate(jobs)]


def _missing(specs: Sequence[Spec]) -> list[Spec]:
    return ranks.on_main_process(lambda: [spec for spec in specs if find(spec) is None])


def _make(
    missing: Sequence[Spec],
    config: dict[str, Any],
    make: Callable[[dict[Spec, Path]], Sequence[dict[str, Any] | None]],
    collective: bool,
) -> None:
    """Make and publish what is missing, its leases held."""
    making(", ".join(map(_describe, missing)))
    started = time.time()
    scratch = ranks.on_main_process(
        lambda: {s: _scratch(s, collective and s is missing[0]) for s in missing}
    )
    try:
        extra = make(scratch) if collective else ranks.on_main_process(lambda: make(scratch))
    except BaseException:
        for folder in scratch.values() if ranks.is_main() else ():
            if not any(folder.glob(CHECKPOINTS)):  # nothing that a later run could go on from
                remove(folder)
        raise
    seconds = time.time() - started
    for spec, more in zip(missing, extra, strict=True):
        ranks.on_main_process(partial(publish, spec, config, scratch[spec], more, seconds))
        say("made", _describe(spec), f"in {_duration(seconds)}")


def _scratch(spec: Spec, resumes: bool) -> Path:
    """The folder to make an artifact in, emptied but for a run that `resumes` from a checkpoint in it."""
    scratch = spec.path.with_name(f".{spec.path.name}.partial")
    for place in (scratch, spec.path):
        if place.is_symlink() or (place.exists() and not place.is_dir()):
            raise PrereqError(
                f"{place}: not a folder, but an artifact's folder belongs there; remove it and run the "
                "same command again"
            )
    if scratch.exists() and not (resumes and any(scratch.glob(CHECKPOINTS))):
        remove(scratch)
    scratch.mkdir(exist_ok=True)
    return scratch


def _describe(spec: Spec) -> str:
    where = f"{spec.dataset}/{spec.model}" if spec.model else spec.dataset
    return f"[cyan]{spec.kind}[/cyan] {where} {spec.name}-{spec.key}"


def _duration(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 60 else f"{seconds // 60:.0f} min {seconds % 60:.0f} s"
