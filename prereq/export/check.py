"""Whether an exported folder is base + skill: loaded in a fresh process, compared before it is published."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import safe_open

from prereq.errors import PrereqError
from prereq.runtime.console import progress

T = TypeVar("T")

FRESH = Path(__file__).with_name("fresh.py")
PROMPTS = 32  # that are compared, from all over the test prompts
NEW_TOKENS = 32  # of each answer, at most
TOLERANCE = 1e-4  # of a logit in float32, as a share of the largest one (1 at least)
DIFFERING = 0.5  # share of the answers that may differ where the weights have 16 bits


@dataclass(frozen=True)
class Request:
    """What the fresh process is to load and to ask."""

    folder: str
    format: str  # merged | adapter
    dtype: str  # of the weights
    products: str  # of what is computed with them
    device: str
    base: str  # folder or Hub id
    revision: str
    prompts: list[list[int]]  # token ids, as the training asked
    conversations: list[list[dict[str, str]]]  # the same as messages of a chat
    new_tokens: int
    trust_remote_code: bool


@dataclass(frozen=True)
class Found:
    """How far the folder is from base + skill. Stands in the manifest and in the model card."""

    dtype: str  # of the weights
    products: str  # the dtype of what is computed with them
    prompts: int
    logit_difference: float  # the largest, of the token after each prompt
    largest_logit: float
    tolerance: float | None  # of `logit_difference`; None where rounding to 16 bits decides it
    answers_differing: int  # of `prompts` greedy answers
    new_tokens: int  # of an answer at most

    def in_words(self) -> str:
        allowed = f", {self.tolerance:.2g} allowed" if self.tolerance else ""
        computed = "" if self.dtype == self.products else f" (computed in {self.products})"
        return (
            f"{self.dtype}{computed}: logits after {self.prompts} prompts differ by "
            f"{self.logit_difference:.2g} at most (the largest is {self.largest_logit:.3g}{allowed}); "
            f"{self.answers_differing} of {self.prompts} greedy answers "
            f"(up to {self.new_tokens} tokens) differ"
        )


def spread(rows: Sequence[T]) -> list[T]:
    """`PROMPTS` of them at most, from all over the list."""
    count = min(PROMPTS, len(rows))
    return [rows[n * len(rows) // count] for n in range(count)]


def checked(request: Request, reference: tuple[torch.Tensor, list[list[int]]]) -> Found:
    """Compare the folder with `reference`, what `fresh.measured` finds of base + skill here.

    Raises PrereqError where they differ by more than rounding.
    """
    logits, answers = _answered(request)
    expected, known = reference
    exact = request.dtype == "float32"
    largest = expected.abs().max().item()
    allowed = TOLERANCE * max(1.0, largest)
    found = Found(
        dtype=request.dtype,
        products=request.products,
        prompts=len(answers),
        logit_difference=(logits - expected).abs().max().item(),
        largest_logit=largest,
        tolerance=allowed if exact else None,
        answers_differing=sum(a != b for a, b in zip(answers, known, strict=True)),
        new_tokens=request.new_tokens,
    )
    differ = not found.logit_difference <= allowed  # also where one is no number
    if not exact:
        differ = not found.answers_differing <= DIFFERING * found.prompts
    if differ:
        way = (
            "write it in a dtype of more bits (model.dtype), or as format=adapter"
            if request.format == "merged"
            else "use format=merged"
        )
        raise PrereqError(
            f"stage=export: the {request.format} model, loaded by plain transformers, is not base + skill "
            f"({found.in_words()}), so nothing was published; {way}"
        )
    return found


def _answered(request: Request) -> tuple[torch.Tensor, list[list[int]]]:
    """What the fresh process finds. Raises PrereqError with its last words where it fails."""
    with tempfile.TemporaryDirectory() as place:
        asked, result = Path(place) / "request.json", Path(place) / "result.safetensors"
        asked.write_text(json.dumps(asdict(request)), "utf-8")
        # -P: the folder of the file is not searched for modules.
        command = [sys.executable, "-P", str(FRESH), str(asked), str(result)]
        with (
            progress("check the exported model", len(request.prompts)) as advance,
            open(Path(place) / "errors", "w+", encoding="utf-8") as errors,
        ):
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True)
            try:
                for _ in process.stdout:
                    advance(1)
                code = process.wait()
            finally:
                process.kill()
                process.wait()
                process.stdout.close()
            errors.seek(0)
            said: Any = errors.read().strip().splitlines()
        if code or not result.exists():
            last = said[-1] if said else f"exit code {code}"
            raise PrereqError(
                f"stage=export: plain transformers does not load what was written ({last[:300]}), so nothing "
                "was published; use format=adapter, or the skill's own folder beside its base model"
            )
        with safe_open(result, "pt") as file:
            return file.get_tensor("logits"), json.loads(file.metadata()["answers"])
