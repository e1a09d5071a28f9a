"""What is wrong with rows: collected split by split, shown in short, raised as one error."""

import reprlib
from collections import Counter
from collections.abc import Iterable
from itertools import islice, zip_longest
from pathlib import Path

from prereq.errors import PrereqError

SHOWN = 10  # problems in one message


class BadRows(PrereqError):
    """Rows that cannot be used: at most ten problems, and how many there are."""


class Unreadable(Exception):
    """A split whose rows cannot be read at all. The text names the file and the remedy."""


class Problems:
    """The problems of one split, of which as many are kept as one message can show."""

    def __init__(self):
        self.count = 0
        self._found: dict[str, list[str]] = {}  # places by what is wrong there
        self._counts: Counter[str] = Counter()

    def add(self, place: str, text: str) -> None:
        self.count += 1
        if text in self._found or len(self._found) < SHOWN:
            self._counts[text] += 1
            places = self._found.setdefault(text, [])
            if len(places) < SHOWN:
                places.append(place)

    def lines(self) -> list[tuple[int, str]]:
        """What to show: how many problems a line stands for, and the line."""
        lines = []
        for text, places in self._found.items():
            count = self._counts[text]
            if count > SHOWN:  # the same in many rows
                lines.append((count, f"{places[0]} and {count - 1:,} more: {text}"))
            else:
                lines += [(1, f"{place}: {text}") for place in places]
        return [(count, _printable(line)) for count, line in lines]


def bad_rows(whose: Path | str, found: Iterable[Problems], of: str = "rows") -> BadRows:
    """One error for the problems of several splits, in which each split has its share of lines."""
    found = [problems for problems in found if problems.count]
    by_turns = zip_longest(*(enumerate(problems.lines()) for problems in found))
    turns = ((split, *each) for turn in by_turns for split, each in enumerate(turn) if each)
    chosen = [line for _, _, line in sorted(islice(turns, SHOWN))]
    count = sum(problems.count for problems in found)
    many = "one problem" if count == 1 else f"{count:,} problems"
    more = ", among them" if count > sum(n for n, _ in chosen) else ""
    lines = [f"  - {line}" for _, line in chosen]
    return BadRows("\n".join([f"{whose}: {many} in the {of}{more}:", *lines]))


def _printable(line: str) -> str:
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in line)


class _Short(reprlib.Repr):
    def __init__(self):
        super().__init__()
        self.maxstring = self.maxother = 60
        self.maxlist = self.maxtuple = 3
        self.maxdict, self.maxlevel = 3, 3


_short = _Short()


def shown(value: object) -> str:
    """A value on one short line, control characters escaped."""
    return "null" if value is None else _short.repr(value)
