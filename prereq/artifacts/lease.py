"""One maker an artifact: a lease file beside it, refreshed while it is made, holds the others off.

It works on every node that sees the folder. filelock tells a dead maker from a live one, and takes
over what a dead one left; a file in the lease's place that is no lease at all is removed here.
"""

import os
import stat
import time
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Any

from filelock import LeaseSettingsMismatch, SoftFileLease
from rich.markup import escape

from prereq.errors import Preempted, PrereqError
from prereq.runtime.console import console, say

# Seconds without a sign of life after which a maker on another node is taken for dead (one on the
# same node is known to be). Longer than the minute that NFS may show an old time of change.
LEASE = 120
HEARTBEAT = 10
FOREIGN = (
    10  # seconds that a file which is no lease may stand; a real one is written within moments
)
POLL = 0.5


class Busy(PrereqError):
    """Raised by `take` where it would have to wait for another process."""


def beside(folder: Path) -> SoftFileLease:
    """The lease on making the artifact of a folder, not yet taken."""
    return SoftFileLease(
        folder.with_name(f".{folder.name}.lock"),
        lease_duration=LEASE,
        heartbeat_interval=HEARTBEAT,
        on_compromise=_leave,
    )


def take(lease: SoftFileLease, what: str, wait: bool) -> None:
    """Take the lease as soon as nobody else has it; `what` names the artifact in messages.

    Raises Busy where that would mean to wait and `wait` is off, PrereqError where the lock file
    cannot be written.
    """
    place = Path(lease.lock_file)
    watched, since, waiting = None, 0.0, False
    while True:
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            foreign = _foreign(lease)
            if foreign is None:
                lease.acquire(timeout=0)
                return
            if foreign != watched:
                watched, since = foreign, time.monotonic()
            elif time.monotonic() - since >= FOREIGN:
                _remove(place, foreign)
                say("removed", escape(f"{place}: no lease, and unchanged for {FOREIGN} s"))
                continue
        except TimeoutError:
            pass  # somebody has it
        except LeaseSettingsMismatch:
            raise PrereqError(
                f"{place}: held by another version of prereq, with a lease of other length; wait until "
                "that process ends, or remove the file if there is none"
            ) from None
        except OSError as error:
            raise PrereqError(
                f"{place}: cannot be written ({error.strerror or error}); free that place or choose "
                "another output_dir"
            ) from None
        if not wait:
            raise Busy(what)
        if not waiting:
            waiting = True
            say("waiting", f"another process is making {what}")
        time.sleep(POLL)


def _foreign(lease: SoftFileLease) -> tuple[int, ...] | None:
    """What tells a lock file that holds no lease from any other; None where it does, or is absent."""
    try:
        status = os.lstat(lease.lock_file)
    except FileNotFoundError:
        return None
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(None, "a folder stands there", lease.lock_file)
    owner = lease.owner
    if owner is not None and owner.mode == "lease":
        return None
    return _identity(status)


def _identity(status: os.stat_result) -> tuple[int, ...]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _remove(place: Path, foreign: tuple[int, ...]) -> None:
    """Remove the lock file if it is the one that was watched, and not another process's new lease."""
    aside = place.with_name(f"{place.name}.{uuid.uuid4().hex}")
    with suppress(FileNotFoundError):  # another process was faster
        os.rename(place, aside)
        if _identity(os.lstat(aside)) != foreign:
            with suppress(FileExistsError):
                os.link(aside, place)
        os.unlink(aside)


def _leave(lost: Any) -> None:
    """The end of a maker whose lease another process took: both would write the same scratch folder."""
    console.print(
        f"stopped: the lease {lost.lock_file} is lost ({lost.reason}), as happens to a process that "
        "was halted for minutes; whoever has it goes on from the last checkpoint",
        markup=False,
    )
    os._exit(Preempted.CODE)
