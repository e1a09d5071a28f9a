"""A little English: verb forms and articles.

Verbs are inflected because a question hides them behind "did" and "does", and "Where did X die?" is
stated as "X died in Y". No library that is kept up does this without a model.
"""

import re

IRREGULAR = {  # past tense, and the participle where it differs
    "be": ("was", "been"),
    "bear": ("bore", "borne"),
    "become": ("became", "become"),
    "begin": ("began", "begun"),
    "bring": ("brought",),
    "build": ("built",),
    "buy": ("bought",),
    "come": ("came", "come"),
    "do": ("did", "done"),
    "draw": ("drew", "drawn"),
    "drive": ("drove", "driven"),
    "fall": ("fell", "fallen"),
    "fight": ("fought",),
    "find": ("found",),
    "fly": ("flew", "flown"),
    "get": ("got",),
    "give": ("gave", "given"),
    "go": ("went", "gone"),
    "grow": ("grew", "grown"),
    "have": ("had",),
    "hold": ("held",),
    "keep": ("kept",),
    "lead": ("led",),
    "leave": ("left",),
    "lie": ("lay", "lain"),
    "lose": ("lost",),
    "make": ("made",),
    "marry": ("married",),
    "meet": ("met",),
    "receive": ("received",),
    "rise": ("rose", "risen"),
    "run": ("ran", "run"),
    "say": ("said",),
    "see": ("saw", "seen"),
    "sell": ("sold",),
    "serve": ("served",),
    "sing": ("sang", "sung"),
    "sit": ("sat",),
    "speak": ("spoke", "spoken"),
    "spend": ("spent",),
    "stand": ("stood",),
    "swim": ("swam", "swum"),
    "take": ("took", "taken"),
    "teach": ("taught",),
    "tell": ("told",),
    "think": ("thought",),
    "win": ("won",),
    "write": ("wrote", "written"),
}
PAST = {form[0]: form[-1] for form in IRREGULAR.values()}  # the participle of a past tense
DOUBLED = set("begin stop plan star win drop ship step transfer refer occur".split())
LIKE_A_CONSONANT = re.compile(r"(?i)(uni([^nm]|t)|eu|one\b|once|uk|us[aeu]|ur[aeiou]|ut[aeiou])")
SILENT_H = re.compile(r"(?i)(hour|honest|honou?r|heir)")
WITH_THE = re.compile(
    r"(United |Netherlands|Philippines|Bahamas|Maldives|Gambia|Soviet Union|Czech Republic|"
    r"Dominican Republic|Central African|Ottoman|Democratic|People's Republic|Republic of|Kingdom of)"
)


def past(verb: str) -> str:
    """The past tense of a verb: `die` → `died`."""
    if verb in IRREGULAR:
        return IRREGULAR[verb][0]
    if verb.endswith("e"):
        return f"{verb}d"
    if re.search(r"[^aeiou]y$", verb):
        return f"{verb[:-1]}ied"
    return f"{verb}{verb[-1]}ed" if verb in DOUBLED else f"{verb}ed"


def third(verb: str) -> str:
    """The third person singular: `play` → `plays`."""
    if verb in ("have", "be"):
        return {"have": "has", "be": "is"}[verb]
    if re.search(r"(s|x|z|ch|sh|o)$", verb):
        return f"{verb}es"
    return f"{verb[:-1]}ies" if re.search(r"[^aeiou]y$", verb) else f"{verb}s"


def participle(past_tense: str) -> str | None:
    """The participle of a past tense: `wrote` → `written`; None for a word that is none."""
    if past_tense in PAST:
        return PAST[past_tense]
    return past_tense if past_tense.endswith("ed") else None


def article(noun: str) -> str:
    """`a` or `an`, as the sound of the first letters asks."""
    if LIKE_A_CONSONANT.match(noun):
        return "a"
    return "an" if noun[:1].casefold() in "aeiou" or SILENT_H.match(noun) else "a"


def agree(text: str, *words: str) -> str:
    """The text with `a` and `an` put right before these words, which were filled into it."""
    for word in words:
        right = article(word)
        pattern = rf"\b([Aa])n?(?= {re.escape(word)})"
        text = re.sub(pattern, lambda m, right=right: m[1] + right[1:], text)
    return text


def definite(name: str) -> str:
    """A name as it stands in a sentence: `the United Kingdom`, but `France`."""
    return f"the {name}" if WITH_THE.match(name) else name


def possessive(name: str) -> str:
    """`Anna's`."""
    return f"{name}'" if name.endswith(("s'", "’s", "'s")) else f"{name}'s"


def capital(text: str) -> str:
    return text[:1].upper() + text[1:]
