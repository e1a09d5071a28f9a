"""Publishing a folder on the Hub: what would go, whether it may, and the upload as one commit.

The token is found as huggingface_hub finds it (the variable HF_TOKEN, or `hf auth login`); it is never
read from the configuration.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from huggingface_hub import CommitOperationAdd, HfApi, constants, get_token
from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled, RepositoryNotFoundError
from rich.markup import escape

from prereq.errors import PrereqError
from prereq.runtime.console import say

# Of an artifact: places on this machine stand in these, and the card says what others need.
KEPT = ("manifest.json", "config.yaml", "metrics.jsonl", "card.md")


def files(folder: Path) -> dict[str, Path]:
    """What would go: the path in the repository of every file of an artifact that others need."""
    found = {
        path.relative_to(folder).as_posix(): path
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    return {name: path for name, path in found.items() if name not in KEPT}


def show(name: str, kind: str, private: bool, found: Mapping[str, Path | bytes]) -> None:
    """Say what would go where. `kind`: model | dataset."""
    sizes = {
        path: len(c) if isinstance(c, bytes) else c.stat().st_size for path, c in found.items()
    }
    who = "private" if private else "PUBLIC"
    total = f"{len(sizes)} files, {_size(sum(sizes.values()))}"
    say("to the Hub", escape(f"{who} {kind} {name}: {total}"))
    for path, size in sizes.items():
        say("", escape(f"  {path} ({_size(size)})"))


def ready(name: str, kind: str, private: bool) -> None:
    """Whether the Hub would take it, before anything is made for it. Raises PrereqError.

    There must be a token whose user may write there. A repository that is there already must be as
    private as is asked: an upload changes that for nobody unseen.
    """
    api = _api(name)
    try:
        who = api.whoami()
        owners = {who["name"], *(org["name"] for org in who.get("orgs", []))}
        owner = name.partition("/")[0]
        if owner.lower() not in {own.lower() for own in owners}:
            raise PrereqError(
                f"push_to_hub={name}: the token is that of {who['name']}, who is not {owner} and in no "
                f"organisation of that name; write to one of {', '.join(sorted(owners))}"
            )
        try:
            there = api.repo_info(name, repo_type=kind)
        except RepositoryNotFoundError:
            return
    except PrereqError:
        raise
    except Exception as error:
        raise _refused(name, error) from None
    if bool(there.private) != private:
        is_now, wanted = ("private", "public") if there.private else ("public", "private")
        raise PrereqError(
            f"push_to_hub={name}: that {kind} exists and is {is_now}, and private={str(private).lower()} "
            f"asks for a {wanted} one; add private={str(bool(there.private)).lower()}, or choose another name"
        )


def push(name: str, kind: str, private: bool, found: Mapping[str, Path | bytes], what: str) -> str:
    """Upload the files as one commit; the URL. Raises PrereqError, and then nothing was changed there.

    A repository that holds other files than these is refused: what they were left from cannot be known.
    """
    ready(name, kind, private)
    api = _api(name)
    try:
        api.create_repo(name, repo_type=kind, private=private, exist_ok=True)
        there = {file.rfilename for file in api.repo_info(name, repo_type=kind).siblings or ()}
        others = sorted(there - set(found) - {".gitattributes"})
        if others:
            raise PrereqError(
                f"push_to_hub={name}: holds {len(others)} other files ({', '.join(others[:3])}), beside "
                "which these would not be what was checked; choose another name, or delete them there"
            )
        additions = [
            CommitOperationAdd(path_in_repo=path, path_or_fileobj=content)
            for path, content in found.items()
        ]
        done = api.create_commit(
            name, additions, commit_message=f"Upload {what} of prereq", repo_type=kind
        )
    except PrereqError:
        raise
    except Exception as error:
        raise _refused(name, error) from None
    prefix = "datasets/" if kind == "dataset" else ""
    url = f"{constants.ENDPOINT}/{prefix}{name}"
    say("published", escape(f"{url} (commit {done.oid[:12]})"))
    return url


def _api(name: str) -> HfApi:
    if not get_token():
        raise PrereqError(
            f"push_to_hub={name}: no token for the Hub; set the environment variable HF_TOKEN (a token that "
            "may write: https://huggingface.co/settings/tokens) or run: hf auth login"
        )
    return HfApi()


def _refused(name: str, error: Exception) -> PrereqError:
    """Whatever the network, the Hub or its client says, in one message."""
    if isinstance(error, OfflineModeIsEnabled) or constants.is_offline_mode():
        reason, way = "HF_HUB_OFFLINE is set", "unset it"
    elif isinstance(error, HfHubHTTPError) and error.response is not None:
        status = error.response.status_code
        said = (error.server_message or str(error)).strip().partition("\n")[0]
        reason = f"the Hub answers {status}: {said[:200]}"
        ways = {401: "give a valid token", 403: "give a token that may write there"}
        way = ways.get(status, "the same command tries again")
    else:
        said = str(error).strip().partition("\n")[0] or type(error).__name__
        reason = f"the Hub at {constants.ENDPOINT} is not in reach ({said[:200]})"
        way = "the same command tries again where there is a network"
    return PrereqError(f"push_to_hub={name}: {reason}; {way}. What was made here is kept")


def _size(count: int) -> str:
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count} bytes"
