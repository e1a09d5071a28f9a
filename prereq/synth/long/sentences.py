"""A sentence of a running text as statements that stand alone, in several wordings."""

from __future__ import annotations

import re

from prereq.synth.checks import holds
from prereq.synth.english.forms import possessive
from prereq.synth.english.words import BEGINNINGS, MONTHS
from prereq.synth.long.filling import Value
from prereq.synth.wording import framed

ABOUT = "About"  # begins a statement that names its subject nowhere else
PRONOUNS = {True: ("She", "Her"), False: ("He", "His"), None: ("It", "Its")}
DAY = rf"(?:\d{{1,2}} (?:{'|'.join(MONTHS)})|(?:{'|'.join(MONTHS)}) \d{{1,2}}),? \d{{4}}"
BORN = re.compile(r"(?P<n>.+?),? \(born (?P<b>[^()]+)\),? (?P<v>is|was) (?P<r>.+)\.")
TIME = rf"(?:{DAY}|(?:[A-Z][a-z]+ )?\d{{4}})"
LIVED = re.compile(rf"(?P<n>.+?),? \((?P<a>{TIME}) – (?P<b>{TIME})\),? (?P<v>is|was) (?P<r>.+)\.")
LATE = re.compile(
    r"(?P<m>[^,;]+) (?P<t>(?:in|on|since|until) (?:[A-Z][a-z]+ )?[\d]{4}| on " + DAY + r")\."
)
EARLY = re.compile(
    r"(?P<t>(?:In|On|Since|During|After|Before|Until|From) [^,]{3,50}), (?P<m>[^;]+)\."
)


def standalone(sentence: str, name: Value, female: bool | None) -> str:
    """The sentence with the subject's full name in place of a pronoun or of a part of the name."""
    text = " ".join(sentence.split())
    if holds(text, name.full):
        return text
    if name.last:
        # Not where it is a relative's name: "his brother Karel Berg".
        text, count = re.subn(rf"(?<![\w’'-]){re.escape(name.last)}\b", name.full, text, count=1)
        before = re.search(rf"(\w)[\w'’-]* {re.escape(name.full)}", text)
        if count and not (before and before[1].isupper()):
            return text
        text = " ".join(sentence.split())
    nominative, owned = PRONOUNS[female]
    for pattern, shown in (
        (rf"^{nominative}\b", name.full),
        (rf"^{owned}\b(?! (?:is|was)\b)", possessive(name.full)),
        (rf"(?<=[ (]){nominative.lower()}(?= )", name.full),
    ):
        if female is None and not pattern.startswith("^"):
            break
        text, count = re.subn(pattern, lambda _, shown=shown: shown, text, count=1)
        if count:
            return text
    return f"{ABOUT} {name.full}: {text}"


def wordings(text: str, name: Value, female: bool | None) -> tuple[list[str], list[str]]:
    """Wordings of a statement that say the same; and those of them that read well in running text."""
    he = PRONOUNS[female][0].lower()
    found = [text]
    born, lived, late, early = (p.fullmatch(text) for p in (BORN, LIVED, LATE, EARLY))
    if born:
        on = "on " if re.match(DAY, born["b"]) else "in " if re.match(TIME, born["b"]) else ""
        found.append(f"{born['n']} {born['v']} {born['r']}; {he} was born {on}{born['b']}.")
    if lived:
        life = f"whose life began on {lived['a']} and ended on {lived['b']}"
        if not (re.match(DAY, lived["a"]) and re.match(DAY, lived["b"])):
            life = f"who lived from {lived['a']} to {lived['b']}"
        found.append(f"{lived['n']}, {life}, {lived['v']} {lived['r']}.")
    if late and text.startswith(name.full):
        when = late["t"].strip()
        found.append(f"{when[:1].upper()}{when[1:]}, {late['m']}.")
    if early and early["m"].startswith(name.full):
        found.append(f"{early['m']} {early['t'][:1].lower()}{early['t'][1:]}.")
    first = text.split()[0]
    return [*found, *framed(text, name=first not in BEGINNINGS)], found
