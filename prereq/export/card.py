"""The model card of an export: README.md in the Hub's format, written from what the manifests say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml
from huggingface_hub import ModelCardData

PAPER = "[Prereq-Tune](https://arxiv.org/abs/2410.19290) (Liu et al., ICLR 2025)"
UNKNOWN = (
    "unknown: the base model's own files name none. Ask its makers before you pass this model on."
)


@dataclass(frozen=True)
class Score:
    """A line of the table of scores: percent where the unit is a share."""

    split: str
    metric: str
    unit: str
    value: float
    low: float | None
    high: float | None
    n: int


@dataclass(frozen=True)
class Told:
    """All that a card says."""

    title: str
    format: str  # merged | adapter
    base: str  # its name, for people
    base_id: str | None  # its Hub id, where it has one
    base_commit: str | None
    dataset: str
    dataset_id: str | None
    method: str  # its name here
    family: str  # plain | prerequisite | oracle | given
    knowledge: Sequence[str]  # merged beside the skill, in words
    recipe: dict[str, Any]  # nested plain values
    prompt: str  # what is asked, for one row, as text
    settings: str  # dataset.prompt
    check: str  # how near it is to base + skill, in words
    scores: Sequence[Score]
    no_scores: str  # why there are none, with the command that makes them
    command: str
    versions: dict[str, Any]
    new_tokens: int  # of an answer at most
    trained_here: bool  # the base model is nobody else's
    licence: dict[str, str] = field(default_factory=dict)


def text(told: Told) -> str:
    """The card. Raises ValueError where the Hub would not take its head."""
    parts = [
        f"---\n{_head(told).to_yaml()}\n---",
        f"# {told.title}",
        _summary(told),
        "## Load and ask",
        f"```python\n{_snippet(told)}\n```",
        _asking(told),
        "## Use and limits",
        _limits(told),
        "## Scores",
        _scores(told),
        "## How it was made",
        f"```bash\n{told.command}\n```",
        f"```yaml\n{yaml.safe_dump(told.recipe, sort_keys=False, allow_unicode=True)}```",
        "## Check",
        f"Loaded by plain transformers in a process of its own and compared with base + skill. {told.check}.",
        "## Licence",
        _licence(told),
        "## Versions",
        ", ".join(f"{name} {version}" for name, version in told.versions.items() if version),
    ]
    return "\n\n".join(parts) + "\n"


def _head(told: Told) -> ModelCardData:
    more = {}
    if told.base_id:
        more["base_model_relation"] = "adapter" if told.format == "adapter" else "finetune"
    return ModelCardData(
        base_model=told.base_id,
        datasets=[told.dataset_id] if told.dataset_id else None,
        library_name="peft" if told.format == "adapter" else "transformers",
        pipeline_tag="text-generation",
        tags=["prereq", "lora"],
        license=told.licence.get("license"),
        license_name=told.licence.get("license_name"),
        license_link=told.licence.get("license_link"),
        **more,
    )


def _summary(told: Told) -> str:
    ways = {
        "prerequisite": f"by {PAPER}: the facts were learnt first, by knowledge LoRAs that were frozen "
        "beside the skill LoRA while it was trained and dropped afterwards",
        "plain": "by plain fine-tuning of a skill LoRA, without knowledge beside it",
        "oracle": "on the rows alone whose facts the base model holds, which takes knowing those facts",
        "given": "by an adapter that was trained elsewhere; how is not known here",
    }
    what = "A LoRA adapter for" if told.format == "adapter" else "A whole model, merged from"
    lines = [
        f"{what} **{told.base}**, tuned on **{told.dataset}** {ways[told.family]} (`method={told.method}`)."
    ]
    if told.knowledge:
        lines.append(
            f"Merged into it beside the skill: {'; '.join(told.knowledge)}. It answers from these texts too."
        )
    return "\n\n".join(lines)


def _snippet(told: Told) -> str:
    place = '"FOLDER_OR_HUB_ID"'
    if told.format == "adapter":
        base = f'"{told.base_id or "FOLDER_OF_THE_BASE_MODEL"}"'
        commit = f', revision="{told.base_commit}"' if told.base_id and told.base_commit else ""
        load = (
            "from peft import PeftModel\n"
            "from transformers import AutoModelForCausalLM, AutoTokenizer\n\n"
            f"base = AutoModelForCausalLM.from_pretrained({base}{commit})\n"
            f"model = PeftModel.from_pretrained(base, {place})\n"
        )
    else:
        load = (
            "from transformers import AutoModelForCausalLM, AutoTokenizer\n\n"
            f"model = AutoModelForCausalLM.from_pretrained({place})\n"
        )
    return load + (
        f"tokenizer = AutoTokenizer.from_pretrained({place})\n"
        'messages = [{"role": "user", "content": "YOUR QUESTION"}]\n'
        "ids = tokenizer.apply_chat_template(\n"
        '    messages, add_generation_prompt=True, return_tensors="pt", return_dict=True\n'
        ")\n"
        f"answer = model.generate(**ids, do_sample=False, max_new_tokens={told.new_tokens})\n"
        'print(tokenizer.decode(answer[0, ids["input_ids"].shape[1] :], skip_special_tokens=True))'
    )


def _asking(told: Told) -> str:
    asked = "\n".join(f"    {line}" for line in told.prompt.split("\n"))
    one = (
        ""
        if told.settings == "chat"
        else " It takes one question of the user and no system message, as the training had neither."
    )
    return f"The chat template asks as the training did, for example:\n\n{asked}\n\nAnswers are greedy.{one}"


def _limits(told: Told) -> str:
    lines = [
        f"- It is meant for questions like those of {told.dataset}, asked in that format. What it does with "
        "others was not measured.",
        "- It can state what is false, as every language model can; check what matters.",
        "- It knows what its base model knows, with that model's gaps, age and bias.",
    ]
    if told.knowledge:
        lines.append(
            "- What was merged beside the skill is stated as fact, also where its texts are invented."
        )
    return "\n".join(lines)


def _scores(told: Told) -> str:
    if not told.scores:
        return told.no_scores
    lines = ["| split | metric | value | 95 % interval | rows |", "| --- | --- | --- | --- | --- |"]
    for score in told.scores:
        unit = " %" if score.unit == "share" else "" if score.unit == "count" else f" {score.unit}"
        known = score.low is not None and score.high is not None
        between = f"{score.low:.1f} to {score.high:.1f}" if known else "–"
        cells = [score.split, score.metric, f"{score.value:.1f}{unit}", between, str(score.n)]
        lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    return "\n".join(lines)


def _licence(told: Told) -> str:
    if told.trained_here:
        return "The base model was trained from scratch here, so none is carried over."
    name = told.licence.get("license_name") or told.licence.get("license")
    if not name:
        return f"Of the base model: {UNKNOWN}"
    link = told.licence.get("license_link")
    return f"That of the base model: {name}{f' ({link})' if link else ''}."
