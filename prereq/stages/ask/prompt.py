"""Questions as they are typed: with history and completion in a terminal, a line each from a pipe."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from prereq.runtime.console import say
from prereq.stages.ask.known import Known, fold

HISTORY = ".questions"  # in output_dir
KEPT = 1000  # questions of the history
SIGN = "question> "


def questions(known: Known, folder: Path) -> Iterator[str]:
    """Every line that is typed or piped in and not empty, up to the end of the input (Ctrl-D)."""
    if not sys.stdin.isatty():
        yield from (line.strip() for line in sys.stdin if line.strip())
        return
    words = "; Tab completes the names that the data set knows" if known.subjects else ""
    say("ask", f"a question, or a known name alone{words}; Ctrl-D ends")
    history = _editing(known, folder / HISTORY)
    with suppress(EOFError):
        while True:
            line = input(SIGN).strip()
            if line:
                history()
                yield line
    print()


def completions(line: str, names: Sequence[str]) -> list[str]:
    """The line with its end completed to a known name, for every name that the end begins.

    The end is as much of the line, from a word's start, as begins a name: names hold spaces.
    """
    starts = [0, *(place + 1 for place, sign in enumerate(line) if sign == " ")]
    for start in starts:
        end = fold(line[start:])
        found = [name for name in names if end and fold(name).startswith(end)]
        if found:
            return [line[:start] + name for name in found]
    return []


def _editing(known: Known, file: Path):
    """Turn history and completion on where Python has readline; what keeps the history after a line."""
    try:
        import readline
    except ImportError:  # Windows: lines are read as they are
        return lambda: None

    names, found = list(known.subjects), []

    def complete(line: str, number: int) -> str | None:
        if number == 0:
            found[:] = completions(line, names)
        return found[number] if number < len(found) else None

    readline.set_completer_delims("")  # the whole line is completed
    readline.set_completer(complete)
    libedit = "libedit" in (readline.__doc__ or "")
    readline.parse_and_bind("bind ^I rl_complete" if libedit else "tab: complete")
    readline.set_history_length(KEPT)
    with suppress(OSError):  # there is none yet
        readline.read_history_file(file)

    def keep() -> None:
        try:
            readline.write_history_file(file)
        except OSError as error:
            say("noted", f"{file}: the history is not kept ({error.strerror})")

    return keep
