"""Generation speed in one run: `python -m benchmarks.generate [--quick] [--model FOLDER_OR_SHAPE]`.

A skill LoRA is first trained for a few steps on invented questions with short answers, so that rows
end by themselves, each at its own length. Then `prereq` (merged weights, no padding, each row leaves
at its end) takes turns with `transformers.generate` as one would call it: the adapter as PEFT
loads it, padded batches of 64 in the order given. The line `ratio generate VALUE` compares the time of
all answers; both must say the same. A model with random weights learns nothing in a few steps: it is
given random prompts and writes 16 tokens after each, no end among them.
"""

import random
from pathlib import Path

import torch

from benchmarks import rows as profiles
from benchmarks.race import console, machine, race, ratio, show
from benchmarks.shapes import random_weights
from benchmarks.steps import DEVICE, adapted, command_line, load, optimizer_of, update
from prereq.config import EvalConfig, ModelConfig
from prereq.data.packing import pack, split
from prereq.data.tokens import TokenRow
from prereq.evaluation.generate import generate
from prereq.model import adapters
from prereq.model.loading import load_tokenizer
from prereq.model.numerics import ROWS
from prereq.training.objectives import SKILL, text_step
from prereq.training.packed import PackedLM

QUESTIONS = [
    "Which rivers flow through {}?",
    "Between which towns does the old road by way of {} run?",
    "What are the names of the founders of the house of {}?",
    "Who wrote {}?",
]
STEPS, BATCH = 30, 16
NEW_TOKENS = 128  # as published


def questions(tokenizer, count: int, seed: int) -> tuple[list[list[int]], list[TokenRow]]:
    """Prompts, and the same with an answer of one to three invented names and the end."""
    rng = random.Random(seed)
    syllables = "ka ro mi tel van dor su ne bra lin go pe".split()
    prompts, rows = [], []
    for _ in range(count):
        # The names of the question, in their order, are the answer: soon learnt, of several lengths.
        names = [
            "".join(rng.choice(syllables) for _ in range(rng.randint(2, 4))).title()
            for _ in range(rng.choice([1, 1, 1, 1, 2, 2, 3]))
        ]
        question = rng.choice(QUESTIONS).format(", ".join(names))
        prompt = tokenizer(f"Question: {question}\nAnswer:", add_special_tokens=False).input_ids
        ids = tokenizer(f" {', '.join(names)}", add_special_tokens=False).input_ids
        prompts.append(prompt)
        rows.append(TokenRow([*prompt, *ids, tokenizer.eos_token_id], len(prompt)))
    return prompts, rows


def train_skill(base: Path, rows: list[TokenRow], folder: Path) -> None:
    """A skill LoRA in `folder`, trained on `rows` once, in batches of `BATCH`."""
    model, parameters = adapted(base, torch.float32, ROWS, (SKILL,), ())
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            parameter.data.zero_()
    packed, optimizer = PackedLM(model), optimizer_of(parameters)
    steps = len(rows) // BATCH
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = 1e-3 * (1 - step / steps)
        chosen = rows[step * BATCH : (step + 1) * BATCH]
        for part in split(text_step(chosen, (SKILL,)), 4096):
            packed(pack(part, DEVICE))[0].backward()
        update(parameters, optimizer)
    adapters.save(model, SKILL, folder, 0.0)


def contestants(
    base: Path, folder: Path, tokenizer, prompts, dtype: torch.dtype, new_tokens: int, said: dict
) -> dict:
    """Both ways to answer all prompts; `said` is told what they answered."""
    from peft import PeftModel

    plain = PeftModel.from_pretrained(load(base, dtype, "sdpa").to(DEVICE), str(folder)).eval()
    bare = load(base, dtype, ROWS).to(DEVICE).eval()

    def ours() -> int:
        with adapters.merged(bare, [folder]):
            answers = generate(bare, tokenizer, prompts, new_tokens, EvalConfig.tokens_per_batch)
        said["prereq"] = [answer.text for answer in answers]
        return sum(answer.tokens + answer.ended for answer in answers)

    @torch.inference_mode()
    def padded() -> int:
        texts, tokens = [], 0
        for start in range(0, len(prompts), 64):
            batch = tokenizer.pad(
                {"input_ids": prompts[start : start + 64]}, padding_side="left", return_tensors="pt"
            ).to(DEVICE)
            out = plain.generate(**batch, max_new_tokens=new_tokens, do_sample=False)
            new = out[:, batch["input_ids"].shape[1] :]
            texts += [t.strip() for t in tokenizer.batch_decode(new, skip_special_tokens=True)]
            tokens += int((new != tokenizer.pad_token_id).sum())
        said["padded"] = texts
        return tokens

    return {"prereq": ours, "transformers.generate, batches of 64": padded}


def main() -> None:
    with command_line(__doc__, "160 questions, one dtype only") as (arguments, base, scratch):
        count = 160 if arguments.quick else 512
        tokenizer = load_tokenizer(base, ModelConfig())
        skill, new_tokens = scratch / "skill", NEW_TOKENS
        if random_weights(base):
            new_tokens = 16
            train_skill(base, [], skill)
            rows = profiles.questions(random.Random(1), count)
            prompts = [row.ids[: row.start] for row in rows]
        else:
            with console.status("training a skill that answers shortly"):
                train_skill(base, questions(tokenizer, STEPS * BATCH, 0)[1], skill)
            prompts = questions(tokenizer, count, 1)[0]
        results = {}
        kinds = {"generate": torch.float32 if DEVICE == "cpu" else torch.bfloat16}
        if DEVICE == "cpu" and not arguments.quick:
            kinds["generate, bf16"] = torch.bfloat16
        for name, dtype in kinds.items():
            said: dict[str, list[str]] = {}
            entrants = contestants(base, skill, tokenizer, prompts, dtype, new_tokens, said)
            with console.status(name):
                results[name] = race(entrants, 5)
            same = sum(a == b for a, b in zip(*said.values(), strict=True))
            console.print(f"{name}: {count} questions, {same} answers the same")
    show(f"medians of 5 turns; torch {torch.__version__}, {machine()}", results)
    ratio("generate", results["generate"], "transformers.generate, batches of 64")


if __name__ == "__main__":
    main()
