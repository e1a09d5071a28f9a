"""Whether a finished artifact still is what was published: its manifest, and every file it lists."""

from pathlib import Path
from typing import Any

from prereq.artifacts.spec import FORMAT, Artifact
from prereq.errors import PrereqError
from prereq.runtime import files

MANIFEST = "manifest.json"
FIELDS: dict[str, type | tuple[type, ...]] = {
    "kind": str,
    "name": str,
    "dataset": str,
    "model": (str, type(None)),
    "key": str,
    "experiment": str,
    "content": dict,
    "labels": dict,
    "made": str,
    "files": dict,
    "checksum": str,
}


class OtherFormat(PrereqError):
    """An artifact that another version of prereq made, in another format."""


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a finished folder. Raises PrereqError where it is damaged or of another one."""
    file = folder / MANIFEST
    manifest = files.read_json(file, _remedy(folder))
    made_by_prereq = isinstance(manifest, dict) and {"key", "version"} <= set(manifest)
    if made_by_prereq and manifest.get("format") != FORMAT:
        raise OtherFormat(f"{file}: of prereq {manifest['version']}; {_remedy(folder)}")
    problem = _problem(manifest, folder.name)
    if problem:
        raise PrereqError(f"{file}: {problem}; {_remedy(folder)}")
    return manifest


def _problem(manifest: Any, folder: str) -> str | None:
    if not isinstance(manifest, dict):
        return f"holds a {type(manifest).__name__}, not an object"
    missing = [field for field in FIELDS if field not in manifest]
    if missing:
        return f"lacks {', '.join(missing)}"
    for field, wanted in FIELDS.items():
        if not isinstance(manifest[field], wanted):
            return f"{field} is {manifest[field]!r}, not what a manifest has there"
    if folder != f"{manifest['name']}-{manifest['key']}":
        return f"belongs to {manifest['name']}-{manifest['key']}, not to this folder"
    if files.checksum(manifest) != manifest["checksum"]:
        return "was altered: its content does not fit its checksum"
    return None


def payload(folder: Path) -> dict[str, dict[str, Any]]:
    """Size and digest of every file in a folder, by its path in it; the manifest's own is left out."""
    return {
        file.relative_to(folder).as_posix(): {
            "bytes": file.stat().st_size,
            "sha256": files.sha256(file),
        }
        for file in sorted(folder.rglob("*"))
        if file.is_file() and file != folder / MANIFEST
    }


def verify(artifact: Artifact) -> Artifact:
    """The artifact, after a look at every file of its manifest. One given by hand has none.

    A file's content is read once a process, and again only if its size or times change: see
    `files.sha256`. Files that are not in the manifest are nobody's concern. Raises PrereqError that
    names the first file that is missing, cut or altered.
    """
    folder = Path(artifact.path)
    for name, known in artifact.manifest.get("files", {}).items():
        problem = _damage(folder / name, known)
        if problem:
            raise PrereqError(f"{folder / name}: {problem}; {_remedy(folder)}")
    return artifact


def verified_file(artifact: Artifact, name: str) -> Path:
    """One file of an artifact, verified alone: the weights beside it are not read."""
    file, known = Path(artifact.path) / name, artifact.manifest["files"].get(name)
    problem = _damage(file, known) if known else "is not in its manifest"
    if problem:
        raise PrereqError(f"{file}: {problem}; {_remedy(file.parent)}")
    return file


def _damage(file: Path, known: dict[str, Any]) -> str | None:
    try:
        size = file.stat().st_size
        if size != known["bytes"]:
            return f"has {size:,} bytes, and {known['bytes']:,} by its manifest"
        if files.sha256(file) != known["sha256"]:
            return "was altered: its content does not fit the checksum in its manifest"
    except OSError as error:
        return f"cannot be read ({error.strerror}), though its manifest lists it"
    return None


def _remedy(folder: Path) -> str:
    return f"remove the folder {folder}, and the same command makes it anew"
