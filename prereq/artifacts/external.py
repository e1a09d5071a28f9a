"""What comes from elsewhere, known by its content: folders by a digest, Hub ids by their commit.

So an adapter that was trained further in its folder, or a model that was replaced, is another input;
the same folder reached by another path is the same one.
"""

import hashlib
import importlib.metadata
import re
from collections.abc import Iterable
from pathlib import Path

from huggingface_hub import HfApi, snapshot_download
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

from prereq.errors import PrereqError
from prereq.runtime import files
from prereq.runtime.console import progress

COMMIT = re.compile(r"[0-9a-f]{40}")
# Of a model's folder: configuration, tokenizer, weights, and code that trust_remote_code would run.
MODEL_FILES = (".json", ".safetensors", ".model", ".txt", ".jinja", ".py")
ADAPTER_FILES = ("adapter_config.json", "adapter_model.safetensors")


def digest(found: Iterable[Path], root: Path, memory: Path | None = None) -> str:
    """16 hex digits that stand for the content and the names of files under `root`.

    `memory` is a file that remembers digests by size and time of change, from one process to the next.
    """
    found = sorted(found)
    remembered = files.read_json(memory, "remove it") if memory and memory.is_file() else {}
    status = {file: file.stat() for file in found}
    known = {}
    for file in found:
        entry = remembered.get(str(file), [None, None, ""])
        if entry[:2] == [status[file].st_size, status[file].st_mtime_ns]:
            known[file] = entry[2]
    new = [file for file in found if file not in known]
    size = sum(status[file].st_size for file in new)
    with progress(f"reading {root.name}, to know it by its content", max(size, 1)) as advance:
        for file in new:
            known[file] = files.sha256(file)
            advance(status[file].st_size)
    if memory and new:
        entries = {str(f): [status[f].st_size, status[f].st_mtime_ns, known[f]] for f in found}
        files.write_json(memory, remembered | entries)
    lines = [f"{file.relative_to(root).as_posix()} {known[file]}" for file in found]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def model_files(folder: Path) -> list[Path]:
    """The files that a model in this folder is read from."""
    return [p for p in folder.iterdir() if p.suffix in MODEL_FILES and p.name != "manifest.json"]


def adapter_folder(adapter: str) -> Path:
    """The folder of an adapter given as a folder or a Hub id. Raises PrereqError where there is none."""
    folder = Path(adapter)
    if not folder.exists():
        try:
            folder = Path(snapshot_download(adapter, allow_patterns=["adapter_*"]))
        except (OSError, ValueError) as error:
            reason = str(error).strip().splitlines()[0]
            raise PrereqError(
                f"skill={adapter}: neither a local folder nor an adapter on the Hub in reach ({reason}); "
                "give a folder in PEFT's format"
            ) from None
    lacking = [name for name in ADAPTER_FILES if not (folder / name).is_file()]
    if lacking:
        raise PrereqError(
            f"skill={adapter}: no {lacking[0]} in {folder}; give a folder in PEFT's format, with its "
            "weights as safetensors (prereq never reads pickle)"
        )
    return folder.resolve()


def adapter_files(folder: Path) -> list[Path]:
    """The files of an adapter, those of each kept epoch among them."""
    return [p for name in ADAPTER_FILES for p in (folder / name, *folder.glob(f"epochs/*/{name}"))]


def commit_of(name: str, revision: str | None, kind: str, key: str) -> str:
    """The commit that a Hub id stands for now; without a network, that of its copy in the cache.

    `kind`: model or dataset; `key`: its place in the configuration. Raises PrereqError where neither
    the Hub nor the cache has it.
    """
    if revision and COMMIT.fullmatch(revision):
        return revision
    try:
        return HfApi().repo_info(name, revision=revision, repo_type=kind, timeout=15).sha
    except Exception as error:  # of the network, of the server, each library in its own words
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
    try:
        cached = snapshot_download(name, repo_type=kind, revision=revision, local_files_only=True)
        return Path(cached).name
    except (OSError, ValueError, HfHubHTTPError, LocalEntryNotFoundError):
        raise PrereqError(
            f"{key}.path={name}: no local folder, and neither the Hub nor its cache here has it "
            f"({reason}). Give a folder ({key}.path=FOLDER), check the name, or download it where "
            "there is a network"
        ) from None


def package(name: str) -> str | None:
    """The version of a package that data or weights come in; None where there is none."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None  # whoever reads it says so
