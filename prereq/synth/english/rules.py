"""How questions in English become statements, by the wording alone.

`S` stands for the subject and `A` for the answer while the rules are at work.
"""

import re
from collections.abc import Iterator

from prereq.synth.english.forms import article, capital, definite, participle, past, third

S, A = "\ue000", "\ue001"  # characters that no text has
BE = r"(?P<be>is|was|are|were)"
NOUN = r"(?P<n>(?!name\b)[\w'’-]+(?: [\w'’-]+){0,5}?)"
# What a person who is the director, author, … of something did; past tense, with its object S.
ROLES = {
    "architect": "designed",
    "artist": "created",
    "author": "wrote",
    "composer": "composed",
    "creator": "created",
    "designer": "designed",
    "developer": "developed",
    "director": "directed",
    "discoverer": "discovered",
    "editor": "edited",
    "founder": "founded",
    "illustrator": "illustrated",
    "inventor": "invented",
    "owner": "owned",
    "painter": "painted",
    "producer": "produced",
    "publisher": "published",
    "writer": "wrote",
}
WORK = set("occupation profession job trade vocation".split())
PARENT = set("father mother parent".split())
SPOUSE = set("spouse husband wife partner".split())
OWNED = set("capital currency motto anthem headquarters mascot slogan symbol".split())
IDIOMS = {
    "genre": f"{S} belongs to the genre of {A}.",
    "color": f"{S} is {A} in color.",
    "colour": f"{S} is {A} in colour.",
    "nationality": f"{S} is {A} by nationality.",
}
PREPOSITION = "of|for|to|in|by|from|with|on|at|as|under|near|about|into|after"


def _noun(found: dict[str, str], answer: str) -> Iterator[str]:
    """What is the N of S? What is S's N? What N is S?"""
    noun, be = found["n"], found["be"].lower()
    link = found.get("of") or "of"
    who = (found.get("wh") or "what").lower() == "who"
    head = noun.split()[-1].lower()
    low = answer[:1].islower()
    if head in WORK and low:
        yield f"{S} {be} {article(answer)} {A} by {noun}."
    if head in ROLES and who:
        verb = ROLES[head]
        yield f"{S} was {participle(verb)} by {A}."
        yield f"{A} {verb} {S}."
    if head == "screenwriter" and who:
        yield f"{A} wrote the screenplay {'for' if link == 'of' else link} {S}."
    yield f"The {noun} {link} {S} {be} {A}."
    if link == "of":
        yield f"{S}'s {noun} {be} {A}."
    if head in PARENT and who:
        yield f"{S} {be} the child of {A}."
    if head in SPOUSE and who:
        yield f"{S} {be} married to {A}."
    if head in OWNED:
        yield f"{S} {'had' if be in ('was', 'were') else 'has'} {A} as its {noun}."
    if who:
        yield f"It {be} {A} who {be} the {noun} {link} {S}."
    elif head in WORK and low:
        yield f"{S} {'worked' if be == 'was' else 'works'} as {article(answer)} {A}."
    elif head in IDIOMS:
        yield IDIOMS[head]
    elif head not in OWNED:
        yield f"The {noun} given for {S} {be} {A}."


def _role_of(found: dict[str, str], answer: str) -> Iterator[str]:
    """What is S the N of? – whatever ends in a preposition."""
    be, rest = found["be"].lower(), found["rest"]
    the = definite(answer).replace(answer, A)
    yield f"{S} {be} {rest} {the}."
    kind = found.get("n")
    one = "the one" if found["wh"].lower() == "who" else "what"
    yield (
        f"The {kind} that {S} {be} {rest} {be} {the}."
        if kind
        else f"{capital(the)} {be} {one} {S} {be} {rest}."
    )


def _place(found: dict[str, str], answer: str) -> Iterator[str]:
    """Where was S born? In what city was S born? In which country is S?"""
    be, noun = found["be"].lower(), found.get("n")
    link = (found.get("link") or "in").lower()
    rest = f" {found['rest']}" if found.get("rest") else ""
    the = definite(answer).replace(answer, A)
    if found.get("wh", "").lower() == "when":
        link = _when(answer)
    year = link == "on" or (noun or "year").lower() in ("year", "month", "century", "decade")
    yield f"{S} {be}{rest} {link} {the}."
    if noun and not year:
        yield (
            f"The {noun} {link} which {S} {be}{rest} is {the}."
            if rest
            else f"The {noun} of {S} is {the}."
        )
    elif found.get("wh", "").lower() == "where":
        yield (
            f"The place where {S} {be}{rest} is {the}."
            if rest
            else f"To look for {S}, go to {the}."
        )
    if rest.strip().lower() == "born" and not year:
        yield f"{capital(the)} is the birthplace of {S}."
        yield f"{S} came into the world {link} {the}."
        return
    yield (
        f"It {be} {link} {the} that {S} {be}{rest}." if rest else f"{S} can be found {link} {the}."
    )


def _did(found: dict[str, str], answer: str) -> Iterator[str]:
    """Where did S die? When does S open? What sport does S play? What did S invent?"""
    wh, noun = found["wh"].lower(), found.get("n")
    rest = f" {found['rest']}" if found.get("rest") else ""
    verb = (past if found["do"].lower() == "did" else third)(found["verb"].lower())
    be = "was" if found["do"].lower() == "did" else "is"
    the = definite(answer).replace(answer, A)
    ends = re.search(rf"\b(?:{PREPOSITION})$", rest)
    link = (found.get("link") or "").lower()
    if wh in ("where", "when") or link:
        link = link or (_when(answer) if wh == "when" else "" if ends else "in")
        yield f"{S} {verb}{rest} {link} {the}.".replace("  ", " ")
        yield (
            f"It was {link} {the} that {S} {verb}{rest}."
            if link
            else f"{capital(the)} {be} where {S} {verb}{rest}."
        )
        if noun:
            yield f"The {noun} {link} which {S} {verb}{rest} {be} {the}."
    elif wh in ("what", "which", "who", "whom"):
        yield f"{S} {verb} {A}{rest}." if not ends else f"{S} {verb}{rest} {the}."
        kind = f"The {noun} that" if noun else "The one that" if wh.startswith("who") else "What"
        yield f"{kind} {S} {verb}{rest} {be} {A}."
        yield f"It {be} {A} that {S} {verb}{rest}."


def _doer(found: dict[str, str], answer: str) -> Iterator[str]:
    """Who directed S? Which company built S?"""
    verb, rest, noun = found["verb"].lower(), found.get("rest") or "", found.get("n")
    if verb in ("is", "was", "are", "were", "has", "had", "does", "did", "do", "will", "can"):
        return
    what = f"{found.get('det') or ''}{S}{rest}"
    yield f"{A} {verb} {what}."
    done = participle(verb)
    if done and verb != "played":
        yield f"{capital(found.get('det') or '')}{S} was {done} by {A}{rest}."
    yield f"The {noun or 'one'} {'that' if noun else 'who'} {verb} {what} is {A}."
    yield f"It {'was' if done else 'is'} {A} {'that' if noun else 'who'} {verb} {what}."


def _which(found: dict[str, str], answer: str) -> Iterator[str]:
    """What language is spoken in S? Which river flows through S?"""
    noun, verb, rest = found["n"], found["verb"].lower(), found["rest"]
    yield f"{A} {verb} {rest}."
    yield f"The {noun} that {verb} {rest} is {A}."
    yield f"It is {A} that {verb} {rest}."


def _measure(found: dict[str, str], answer: str) -> Iterator[str]:
    """How tall is S?"""
    if re.match(r"[\d,. ]+[^\W\d]", answer):  # with its unit
        yield f"{S} {found['be'].lower()} {A} {found['adjective']}."
        yield f"How {found['adjective']} {S} {found['be'].lower()} can be said exactly: {A}."


def _many(found: dict[str, str], answer: str) -> Iterator[str]:
    """How many N does S have? How many N are in S?"""
    noun = found["n"]
    if found.get("do"):
        verb = (past if found["do"].lower() == "did" else third)(found["verb"].lower())
        rest = f" {found['rest']}" if found.get("rest") else ""
        yield f"{S} {verb} {A} {noun}{rest}."
        yield f"The number of {noun} that {S} {verb}{rest} is {A}."
    else:
        be, rest = found["be"].lower(), found["rest"]
        yield f"There {be} {A} {noun} {rest}."
        yield f"The number of {noun} {rest} is {A}."


def _yes_no(found: dict[str, str], answer: str) -> Iterator[str]:
    """Is S a city? Did S play chess? – for the answers yes and no; the words stay in the statement."""
    be, rest = found["be"].lower(), found["rest"]
    sure = answer.strip().lower().rstrip(".")
    if sure not in ("yes", "no") or rest.startswith(("and ", "or ", ",")):
        return
    if be in ("do", "does", "did"):
        verb, _, after = rest.partition(" ")
        shown = (
            (past if be == "did" else third)(verb.lower()) if sure == "yes" else f"{be} not {verb}"
        )
        told = f"{shown} {after}".strip()
    else:
        told = f"{be} {rest}" if sure == "yes" else f"{be} not {rest}"
    yield f"{S} {told}."
    yield f"{A}, {S} {told}."


def _when(answer: str) -> str:
    """The preposition of a time: `in` a year, month or century, `on` a day."""
    return "on" if re.search(r"\b\d{1,2}(st|nd|rd|th)?\b(?!\d)(?!.*century)", answer) else "in"


OF = r"(?P<of>of|for|in|at|on|to)"
OPEN = r"(?P<rest>[^?]+?)"
RULES = [
    (rf"(?P<wh>what|who|which) {BE} (?:the )?{NOUN} {OF} {S}", _noun),
    (rf"(?P<wh>what|who|which) {BE} {S}['’]s? {NOUN}", _noun),
    (
        rf"(?P<wh>what|who|which)(?: (?P<n>[\w'’ -]+?))? {BE} {S} (?P<rest>(?:[\w'’ -]+ )?(?:{PREPOSITION}))",
        _role_of,
    ),
    (rf"(?P<link>in|at|on|from|to|under) (?:what|which) {NOUN} {BE} {S}(?: {OPEN})?", _place),
    (rf"(?P<wh>where|when) {BE} {S}(?: {OPEN})?", _place),
    (
        rf"(?:(?P<link>in|at|on|from|to|for|with) )?(?P<wh>what|which|where|when|who|whom)"
        rf"(?: (?P<n>[\w'’ -]+?))? (?P<do>does|did) {S} (?P<verb>[a-z]+)(?: {OPEN})?",
        _did,
    ),
    (
        rf"how many {NOUN} (?P<do>does|did|do) {S} (?P<verb>[a-z]+)(?: {OPEN})?",
        _many,
    ),
    (rf"how many {NOUN} {BE}(?: there)? (?P<rest>(?:in|on|at|of|by|from) {S}(?: [^?]+?)?)", _many),
    (rf"(?P<wh>what|which) {NOUN} {BE} {S}", _noun),
    (
        r"(?:what|which) (?P<n>year|month|century|decade|city|town|country|state|place|region|village) "
        rf"{BE} {S} {OPEN}",
        _place,
    ),
    (
        rf"(?:who|what|which(?: (?P<n>[\w-]+))?) (?P<verb>[a-z]+) (?P<det>the [\w-]+(?: [\w-]+)? )?{S}"
        r"(?P<rest> [^?]+)?",
        _doer,
    ),
    (rf"(?:what|which) {NOUN} (?P<verb>is|was|are|were|has|had) (?P<rest>[^?]*{S}[^?]*)", _which),
    (
        rf"(?:what|which) (?P<n>[\w-]+) (?P<verb>[a-z]+(?:s|ed)) (?P<rest>(?:{PREPOSITION}|through) {S})",
        _which,
    ),
    (rf"how (?P<adjective>[a-z]+) {BE} {S}", _measure),
    (rf"(?P<be>is|was|are|were|does|did|do|has|had|can|could) {S} (?P<rest>[^?]+)", _yes_no),
]


def statements(question: str, answer: str) -> Iterator[str]:
    """Statements with `S` and `A` from a question with `S`, by the first kind that fits it."""
    text = question.rstrip(" ?.!")
    text = re.sub(
        rf"^(?:please )?(?:tell me|name|state|give|say) (?=the |{S})", "What is ", text, flags=re.I
    )
    if text.count(S) != 1:
        return
    for pattern, build in RULES:
        match = re.fullmatch(pattern, text, re.I)
        if match:
            found = list(build(match.groupdict(), answer))
            if found:
                yield from found
                return
