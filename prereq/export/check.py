"""An exported folder by itself: what plain transformers and PEFT compute of it in a fresh process.

`python -m prereq.export.check FOLDER ASKED.json FOUND.safetensors` loads the folder as anybody would and
writes what it gives; `compare` holds that against the base model with its adapters.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel

from prereq.errors import PrereqError

LIMIT = 1e-4  # of the logits' own size, in float32
SHARE = 0.5  # of answers that may differ in 16 bits, where weights are rounded once more


@dataclass(frozen=True)
class Asked:
    """What both are asked: token ids of prompts, and their questions as a chat would hold them."""

    ids: list[list[int]]
    conversations: list[list[dict[str, str]]]
    new_tokens: int
    dtype: str  # that the base is loaded in


@dataclass(frozen=True)
class Agreement:
    """How the exported model differs from base and adapters."""

    dtype: str
    prompts: int
    logits: float  # the largest difference of a position's logits, as a share of their size
    answers: int  # greedy answers that differ

    def __str__(self) -> str:
        held = "float32" if self.dtype == "float32" else f"{self.dtype}, rounded"
        return (
            f"{self.prompts} test prompts in a fresh process ({held}): logits differ by "
            f"{self.logits:.1e} of their size, {self.answers} greedy answers differ"
        )


def seen(model: Any, asked: Asked) -> dict[str, torch.Tensor]:
    """Logits [tokens, vocabulary] of every prompt, and greedy answers as ids, by name."""
    found, device = {}, next(model.parameters()).device
    with torch.inference_mode():
        for number, ids in enumerate(asked.ids):
            row = torch.tensor([ids], device=device)
            mask = torch.ones_like(row)
            found[f"logits.{number}"] = model(input_ids=row, attention_mask=mask).logits[0].float()
            answer = model.generate(
                input_ids=row,
                attention_mask=mask,
                max_new_tokens=asked.new_tokens,
                do_sample=False,
            )
            found[f"answer.{number}"] = answer[0, len(ids) :]
    return {name: tensor.cpu().contiguous() for name, tensor in found.items()}


def compare(
    folder: Path, scratch: Path, asked: Asked, expected: dict[str, torch.Tensor]
) -> Agreement:
    """How far the exported `folder` is from what is `expected`. Raises PrereqError where it is too far.

    `scratch`: a folder for what the two processes tell each other.
    """
    question, answer = scratch / "asked.json", scratch / "found.safetensors"
    question.write_text(json.dumps(asdict(asked)), "utf-8")
    command = [sys.executable, "-m", "prereq.export.check", folder, question, answer]
    done = subprocess.run([*map(str, command)], capture_output=True, text=True)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["it ended without a word"])[-1]
        raise PrereqError(f"{folder.name}: plain transformers cannot load the export: {reason}")
    found = load_file(answer)
    worst, differing = 0.0, 0
    for number in range(len(asked.ids)):
        theirs, ours = found[f"logits.{number}"], expected[f"logits.{number}"]
        apart = (theirs - ours).norm(dim=-1) / ours.norm(dim=-1).clamp(min=1e-9)
        worst = max(worst, float(apart.max()))
        differing += not torch.equal(found[f"answer.{number}"], expected[f"answer.{number}"])
    agreement = Agreement(asked.dtype, len(asked.ids), worst, differing)
    wrong = worst > LIMIT if asked.dtype == "float32" else differing > SHARE * len(asked.ids)
    if wrong or worst != worst:
        raise PrereqError(
            f"the export is not the model that was trained: {agreement} (allowed: {LIMIT:g} in float32, "
            f"else half of the answers); nothing is published. What works: format=adapter"
        )
    return agreement


def _main(folder: str, question: str, answer: str) -> None:
    asked = Asked(**json.loads(Path(question).read_text("utf-8")))
    tokenizer = AutoTokenizer.from_pretrained(folder)
    for ids, conversation in zip(asked.ids, asked.conversations, strict=True):
        told = tokenizer.apply_chat_template(conversation, add_generation_prompt=True)
        told = told["input_ids"] if hasattr(told, "keys") else told
        if list(told) != ids:
            sys.exit(f"its chat template asks {list(told)}, and the training asked {ids}")
    save_file(seen(_load(folder, asked.dtype), asked), answer)


def _load(folder: str, dtype: str) -> PreTrainedModel:
    if not (Path(folder) / "adapter_config.json").exists():
        return AutoModelForCausalLM.from_pretrained(folder, dtype="auto").eval()
    from peft import AutoPeftModelForCausalLM

    return AutoPeftModelForCausalLM.from_pretrained(folder, dtype=dtype).eval()


if __name__ == "__main__":
    _main(*sys.argv[1:])
