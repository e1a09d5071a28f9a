"""A folder published on the Hub, by `huggingface_hub`: what goes is said first."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from huggingface_hub import CommitOperationAdd, HfApi, constants, get_token
from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id

from prereq.errors import PrereqError
from prereq.runtime.console import say

# Ours, not theirs: they name paths of the machine that made the artifact.
LEFT_OUT = ("manifest.json", "config.yaml", "metrics.jsonl")


def check(repo: str) -> None:
    """Raise PrereqError where nothing can be published: before anything is made."""
    try:
        validate_repo_id(repo)
    except HFValidationError:
        raise PrereqError(
            f"push_to_hub={repo}: no id of a repository; it is like NAME or ORGANISATION/NAME, of letters, "
            "digits, '-', '_' and '.', 96 at most"
        ) from None
    if constants.HF_HUB_OFFLINE:
        raise PrereqError(f"push_to_hub={repo}: HF_HUB_OFFLINE is set; unset it to publish")
    if not get_token():
        raise PrereqError(
            f"push_to_hub={repo}: no token; run `hf auth login`, or set HF_TOKEN to one that may write"
        )


def files(folder: Path, card: str) -> dict[str, Path | bytes]:
    """What goes: path in the repository → file, the card as README.md in place of an older one."""
    found: dict[str, Path | bytes] = {
        str(file.relative_to(folder)): file
        for file in sorted(folder.rglob("*"))
        if file.is_file() and file.name not in LEFT_OUT
    }
    return found | {"README.md": card.encode()}


def push(folder: Path, card: str, repo: str, kind: str, private: bool) -> str:
    """Publish in one commit, in a new repository or on top of one; its URL. `kind`: model | dataset."""
    going = files(folder, card)
    for name, content in going.items():
        size = len(content) if isinstance(content, bytes) else content.stat().st_size
        say("sends", f"{name}: {size:,} bytes")
    operations = [CommitOperationAdd(name, content) for name, content in going.items()]
    api = HfApi()
    try:
        api.create_repo(repo, repo_type=kind, private=private, exist_ok=True)
        done = api.create_commit(
            repo, _sorted(operations), commit_message="Publish with prereq", repo_type=kind
        )
    except Exception as error:  # of the network, or what the server says
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise PrereqError(
            f"push_to_hub={repo}: not published ({reason}). {folder} is whole: the same command tries "
            "again"
        ) from None
    return str(done.repo_url if hasattr(done, "repo_url") else done)


def _sorted(operations: Sequence[CommitOperationAdd]) -> list[CommitOperationAdd]:
    return sorted(operations, key=lambda operation: operation.path_in_repo)
