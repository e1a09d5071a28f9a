"""Replies that were paid for, in an SQLite file: each is on the disk before it is used.

A run that was killed, and any later one, asks only what is missing. Neither the server's address nor
its key stands in the file. Its journal is SQLite's older one, because the newer kind (WAL) needs memory
that processes share, which a network file system does not give.
"""

import hashlib
import json
import os
import sqlite3
import threading
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from rich.markup import escape

from prereq.clients.usage import Given
from prereq.errors import PrereqError
from prereq.runtime.console import say

FORMAT = 1
WAIT = 60  # seconds for another process that writes


@dataclass
class Replies:
    """An open file of replies; its functions may be called from any thread."""

    file: Path
    connection: sqlite3.Connection
    lock: threading.Lock = field(default_factory=threading.Lock)

    def get(self, key: str) -> Given | None:
        """The reply of this key; None where there is none, or one that was damaged since."""
        row = self._run("SELECT reply, checksum FROM replies WHERE key = ?", key)
        if row is None or row[1] != _checksum(key, row[0]):
            return None
        return Given(**json.loads(row[0]))

    def put(self, key: str, given: Given) -> None:
        """Store a reply, flushed to the disk when this returns."""
        reply = json.dumps(asdict(given))
        self._run(
            "INSERT OR REPLACE INTO replies VALUES (?, ?, ?)", key, reply, _checksum(key, reply)
        )

    def close(self) -> None:
        with self.lock:
            self.connection.close()

    def _run(self, statement: str, *values: str) -> tuple | None:
        try:
            with self.lock:
                return self.connection.execute(statement, values).fetchone()
        except sqlite3.Error as error:
            raise _error(self.file, error) from None


def open_replies(file: Path) -> Replies:
    """The replies in a file, which is made where there is none; a damaged one is set aside.

    Raises PrereqError where it cannot be read or written, or is a database of something else.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            return Replies(file, _connect(file))
        except sqlite3.OperationalError:  # not damaged: locked, no space, no permission
            raise
        except sqlite3.DatabaseError as error:
            _set_aside(file, error)
            return Replies(file, _connect(file))
    except (sqlite3.Error, OSError) as error:
        raise _error(file, error) from None


def _connect(file: Path) -> sqlite3.Connection:
    # Autocommit: a reply is on the disk when its INSERT returns. One lock serves all threads.
    connection = sqlite3.connect(file, timeout=WAIT, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA journal_mode = DELETE")
        connection.execute("PRAGMA synchronous = FULL")
        (found,) = connection.execute("PRAGMA quick_check").fetchone()
        if found != "ok":
            raise sqlite3.DatabaseError(found)
        (number,) = connection.execute("PRAGMA user_version").fetchone()
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if tables and number != FORMAT:
            raise PrereqError(
                f"{file}: an SQLite database of something else (user_version {number}, replies have "
                f"{FORMAT}); name another file for replies, or move this one away"
            )
        connection.executescript(
            "BEGIN IMMEDIATE;"
            "CREATE TABLE IF NOT EXISTS replies (key TEXT PRIMARY KEY, reply TEXT, checksum TEXT);"
            f"PRAGMA user_version = {FORMAT};"
            "COMMIT;"
        )
    except BaseException:
        connection.close()
        raise
    return connection


def _set_aside(file: Path, error: Exception) -> None:
    aside = file.with_name(f"{file.name}.damaged")
    os.replace(file, aside)
    with suppress(FileNotFoundError):  # else SQLite would apply it to the new file
        os.replace(f"{file}-journal", f"{aside}-journal")
    say(
        "set aside",
        escape(f"{file}: damaged ({error}); kept as {aside.name}, replies are asked anew"),
    )


def _error(file: Path, error: Exception) -> PrereqError:
    return PrereqError(
        f"{file}: replies cannot be stored or read there ({error}); see that the disk has room, that the "
        "folder can be written and that no other command uses the file, then run the command again"
    )


def _checksum(key: str, reply: str) -> str:
    return hashlib.sha256(f"{key} {reply}".encode()).hexdigest()
