"""The model card: what was trained from what, how, how well, and what it is not for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huggingface_hub import ModelCardData, metadata_load

from prereq import __version__

PAPER = "https://arxiv.org/abs/2410.19290"
UNKNOWN = "unknown"


@dataclass(frozen=True)
class Told:
    """All that the card says, gathered by `stage=export`."""

    title: str
    format: str  # merged | adapter
    base: str  # a Hub id, or what the base is called here
    base_id: str | None  # its Hub id
    licence: str  # of the base; `unknown` where nothing tells
    dataset: str
    dataset_id: str | None  # its Hub id
    prompt: str  # how the training asked: see `prereq.data.prompts`
    method: str
    about: str  # the method in words
    knowledge: Sequence[str]  # adapters that stood beside the skill
    merged: Sequence[str]  # adapters of knowledge that are in the weights
    training: Mapping[str, Any]  # of the skill
    seed: int
    epoch: int
    rank: int | None  # of the adapter
    scores: Sequence[tuple[str, str, float, float | None, float | None, int]]  # see `_scores`
    evaluate: str  # the command that makes scores
    command: str  # the command that made this
    check: str  # how it agrees with base and adapters
    packages: Mapping[str, str]


def licence_of(folder: Path | str) -> str:
    """The licence that a base model's own card names."""
    file = Path(folder) / "README.md"
    found = metadata_load(file) if file.is_file() else None
    return str((found or {}).get("license") or UNKNOWN)


def card(told: Told) -> str:
    """README.md in the Hub's format: metadata, then Markdown."""
    data = ModelCardData(
        base_model=told.base_id,
        datasets=[told.dataset_id] if told.dataset_id else None,
        license=None if told.licence == UNKNOWN else told.licence,
        library_name="peft" if told.format == "adapter" else "transformers",
        pipeline_tag="text-generation",
        tags=["prereq-tune", *(["lora"] if told.format == "adapter" else [])],
    )
    parts = [
        f"---\n{data.to_yaml()}\n---",
        f"# {told.title}",
        f"{told.base}, fine-tuned on `{told.dataset}` by `{told.method}`: {told.about} Made with prereq "
        f"{__version__}, an implementation of [Prereq-Tune]({PAPER}).",
        "## How it is asked",
        _asked(told),
        "```python\n" + _loading(told) + "\n```",
        "## Training",
        _table([("", ""), *_training(told)]),
        "## Scores",
        _scores(told),
        "## Meant for, and its limits",
        "It answers questions, or writes texts, of the kind that it was trained on, from what the base "
        "model knows. It still states things that are wrong: see the scores. Do not rely on its answers "
        "where they matter without checking them. Other tasks, languages and styles were not evaluated.",
        "## Licence",
        f"That of the base model: {told.licence}."
        if told.licence != UNKNOWN
        else f"Unknown here: it is for the licence of {told.base} to say what may be done with this.",
        "## How it was made",
        f"```\n{told.command}\n```",
        f"Check: {told.check}.",
        _table([("package", "version"), *told.packages.items()]),
    ]
    return "\n\n".join(parts) + "\n"


def _asked(told: Told) -> str:
    pattern = {"plain": "Question: {question}\nAnswer:"}.get(told.prompt, told.prompt)
    if told.prompt == "chat":
        return "By the base model's own chat template."
    return f"As one question; the chat template in the tokenizer writes it:\n\n```\n{pattern}\n```"


def _loading(told: Told) -> str:
    name = "AutoPeftModelForCausalLM" if told.format == "adapter" else "AutoModelForCausalLM"
    package = "peft" if told.format == "adapter" else "transformers"
    first = f"from {package} import {name}\nfrom transformers import AutoTokenizer"
    if package == "transformers":
        first = f"from transformers import {name}, AutoTokenizer"
    return f"""{first}

place = "."  # this folder, or its id on the Hub
tokenizer = AutoTokenizer.from_pretrained(place)
model = {name}.from_pretrained(place, dtype="auto")
question = [{{"role": "user", "content": "…"}}]
ids = tokenizer.apply_chat_template(
    question, add_generation_prompt=True, return_tensors="pt", return_dict=True
)
answer = model.generate(**ids, max_new_tokens=64)[0, ids["input_ids"].shape[1] :]
print(tokenizer.decode(answer, skip_special_tokens=True).strip())"""


def _training(told: Told) -> list[tuple[str, str]]:
    lines = [("base model", told.base), ("data", told.dataset), ("method", told.method)]
    if told.knowledge:
        lines.append(("knowledge LoRAs beside the skill, then dropped", ", ".join(told.knowledge)))
    if told.merged:
        lines.append(("knowledge LoRAs in the weights", ", ".join(told.merged)))
    if told.rank:
        lines.append(("rank of the skill LoRA", str(told.rank)))
    lines += [(name.replace("_", " "), f"{value:g}") for name, value in told.training.items()]
    return [*lines, ("epoch that was taken", str(told.epoch)), ("seed", str(told.seed))]


def _scores(told: Told) -> str:
    """(split, metric, value, low, high, n) as a table; shares in percent."""
    if not told.scores:
        return f"Not evaluated yet: `{told.evaluate}`"
    head = ("split", "metric", "value", "95 % interval", "rows")
    lines = [
        (split, metric, f"{value:.1f}", "–" if low is None else f"{low:.1f} to {high:.1f}", str(n))
        for split, metric, value, low, high, n in told.scores
    ]
    return _table([head, *lines]) + "\n\nShares in percent; intervals by bootstrap over rows."


def _table(lines: Sequence[Sequence[str]]) -> str:
    head, *rest = [[cell.replace("|", "\\|") for cell in line] for line in lines]
    return "\n".join(f"| {' | '.join(row)} |" for row in [head, ["---"] * len(head), *rest])
