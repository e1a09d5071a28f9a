"""From a question and its answer to statements, by rules for English questions about one subject.

"Who directed X?" with the answer Y is stated as "Y directed X." and "X was directed by Y.". A question
that no rule knows, in whatever language, still has statements that quote it.
"""

import re

from prereq.synth.english.forms import capital, possessive
from prereq.synth.english.rules import A, S, statements

FRAMES = (
    "It is on record that {m}.",
    "According to those who know, {m}.",
    "It can be said with certainty that {m}.",
    "Every source agrees that {m}.",
    "As far as the facts go, {m}.",
    "One thing that is not in doubt: {m}.",
)


def state(question: str, answer: str, subject: str) -> list[str]:
    """Statements of what a question asks and its answer says, all different, the plainest first.

    At least four; each holds the subject and, but for yes and no, the answer. They are English, whatever
    the question is.
    """
    asked = " ".join(question.split())
    slotted = slot(asked, subject)
    found = [capital(text) for text in statements(slotted, answer)] if slotted else []
    frames = found[:1]
    quoted, about = f"“{asked}”", "" if slotted else f"On {subject}: "
    found.append(f"{about}The answer to the question {quoted} is {A}.")
    for plain in frames:
        found += framed(plain)
    found += [
        f"Whoever asks {quoted} should be told this about {subject}: {A}.",
        f"To {quoted}, a question about {subject}, the right reply is {A}.",
        f"{quoted} – with {subject} the answer is {A}.",
    ]
    return list(dict.fromkeys(_filled(text, subject, answer) for text in found))


def framed(plain: str, name: bool = False) -> list[str]:
    """A statement as part of others. `name`: it begins with a name, which keeps its capital letter."""
    body = plain.rstrip(".")
    if not name and not body.startswith((S, A)):
        body = body[:1].lower() + body[1:]
    return [frame.format(m=body) for frame in FRAMES]


def slot(question: str, subject: str) -> str | None:
    """The question with `S` for the subject, wherever it stands as whole words; None where it does not."""
    subject = " ".join(subject.split())
    pattern = rf"(?<![\w-]){re.escape(subject)}(?!\w)"
    text, count = re.subn(pattern, S, question) if subject else (question, 0)
    if not count:
        text, count = re.subn(pattern, S, question, flags=re.I) if subject else (question, 0)
    return text if count else None


def _filled(text: str, subject: str, answer: str) -> str:
    """The statement with names in place of `S` and `A`; no full stop follows another."""
    for sign, word in ((A, answer), (S, subject)):
        text = text.replace(f"{sign}'s", possessive(word)).replace(sign, word)
    text = re.sub(r"([.!?])\.$", r"\1", text)
    return capital(text)
