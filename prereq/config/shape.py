"""The shape of the configuration: which keys there are and of which type, as the schema says.

Values are compared with the types before Hydra converts them, because a conversion may change them:
an unquoted 1e5 or 2024_01_01 would become another text.
"""

import difflib
import re
import string
from collections.abc import Iterable
from dataclasses import fields, is_dataclass
from functools import cache
from types import NoneType
from typing import Any, get_args, get_origin, get_type_hints

WANTED = {str: "a text", int: "a whole number", float: "a number", bool: "true or false"}
WANTED[int | str] = "a whole number or auto"
MISSING = "???"  # in YAML: to be set elsewhere
FILLED_IN = ("compare", "recipe")  # fields of the configuration that are nobody's to set


@cache
def kinds(schema: type) -> dict[str, Any]:
    """The type of every field of a dataclass that can be given."""
    hints = get_type_hints(schema)
    return {f.name: hints[f.name] for f in fields(schema) if f.name not in FILLED_IN}


def kind_of(schema: type, parts: Iterable[str]) -> Any:
    """The type of the value at a key that exists, for example of dataset.knowledge.0.name."""
    kind: Any = schema
    for part in parts:
        kind = without_none(kind)
        kind = get_args(kind)[0] if get_origin(kind) is list else kinds(kind)[part]
    return kind


def without_none(kind: Any) -> Any:
    """`X` of `X | None`."""
    options = get_args(kind)
    return next(k for k in options if k is not NoneType) if NoneType in options else kind


def mismatches(value: Any, kind: Any, key: str) -> list[str]:
    """Every unknown key and every value of a wrong type in plain data (of YAML or an override)."""
    if value == MISSING or (isinstance(value, str) and "${" in value):
        return []  # looked at when it is resolved
    optional, kind = NoneType in get_args(kind), without_none(kind)
    if value is None and optional:
        return []
    if is_dataclass(kind) and isinstance(value, dict):
        found = []
        for name, part in value.items():
            place = f"{key}.{name}" if key else str(name)
            if name in kinds(kind):
                found += mismatches(part, kinds(kind)[name], place)
            else:
                found.append(unknown(place, str(name), kinds(kind)))
        return found
    if get_origin(kind) is list and isinstance(value, list):
        part_kind = get_args(kind)[0]
        parts = enumerate(value)
        return [p for i, part in parts for p in mismatches(part, part_kind, f"{key}.{i}")]
    if get_origin(kind) is dict and isinstance(value, dict):
        part_kind = get_args(kind)[1]
        return [p for n, part in value.items() for p in mismatches(part, part_kind, f"{key}.{n}")]
    if _fits(value, kind):
        return []
    return [f"{key}={shown(value)}: must be {wanted(kind, key)}{' or null' if optional else ''}"]


def wanted(kind: Any, key: str) -> str:
    """In words, what a value of this type is."""
    if is_dataclass(kind):
        first = next(iter(kinds(kind)))
        return f"a group of values; set one of them, for example {key}.{first}=…"
    if get_origin(kind) is list:
        return f"a list, for example {key}=[…]"
    if get_origin(kind) is dict:
        return f"a mapping, for example {key}={{name: value}}"
    return WANTED[kind]


def _fits(value: Any, kind: Any) -> bool:
    if kind is bool:
        words = ("true", "false", "yes", "no", "on", "off")
        return value in (0, 1) or (isinstance(value, str) and value.lower() in words)
    if kind == int | str:
        return value == "auto" or _fits(value, int)
    if kind is int and isinstance(value, str):
        return re.fullmatch(r"[+-]?\d+", value) is not None
    if kind is float and isinstance(value, str):
        return (
            re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?inf|nan", value) is not None
        )
    allowed = {str: str, int: int, float: int | float}.get(kind, NoneType)
    return isinstance(value, allowed) and not isinstance(value, bool) and value is not None


def unknown(key: str, part: str, names: Iterable[str]) -> str:
    """That a part of the key does not exist. Its value is not shown: it may be a secret."""
    if re.search(r"key|token|secret|passw", part, re.I):
        return (
            f"{key}: no such key; a secret is read from the environment alone: export OPENAI_API_KEY=…, "
            "or name another variable by eval.api_key_env=NAME"
        )
    names = [str(name) for name in names]
    near = nearest(part, names)
    if near:
        parts = key.split(".")
        parts[parts.index(part)] = near
        return f"{key}: no such key; did you mean {'.'.join(parts)}?"
    there = f"; there is {', '.join(names)}" if names else ""
    return f"{key}: no such key ({part}){there}"


def nearest(name: str, names: Iterable[str]) -> str | None:
    """The name that is most like `name`, if one is."""
    return next(iter(difflib.get_close_matches(name, list(names), n=1, cutoff=0.5)), None)


def shown(value: Any) -> str:
    """A value as one types it, shortened."""
    if value is None:
        return "null"
    text = str(value).lower() if isinstance(value, bool) else str(value)
    text = text if text.isprintable() else ascii(text)
    return text if len(text) <= 80 else f"{text[:77]}…"


def spelt(settings: dict[str, Any]) -> str:
    """`epochs=5, r=16`: settings as people read them."""
    return ", ".join(
        f"{key}={f'{value:g}' if isinstance(value, float) else shown(value)}"
        for key, value in sorted(settings.items())
    )


def one_of(key: str, value: object, allowed: Iterable[str]) -> list[str]:
    """The problem of a value that is none of those allowed."""
    allowed = list(allowed)
    if value in allowed:
        return []
    near = nearest(str(value), allowed)
    hint = f"; did you mean {near}?" if near else ""
    return [f"{key}={shown(value)}: must be one of {', '.join(allowed)}{hint}"]


def no_twice(key: str, names: list[str] | None) -> list[str]:
    """The problems of a list in which names come again."""
    return [
        f"{key}: {name!r} stands there twice; name each once"
        for name in sorted({name for name in names or [] if names.count(name) > 1})
    ]


def braces(template: str) -> set[str | None]:
    """The names in braces of a template; {None} where it is none."""
    try:
        return {name for _, name, _, _ in string.Formatter().parse(template) if name is not None}
    except ValueError:
        return {None}
