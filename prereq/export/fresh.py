"""What an exported folder answers when a program that knows nothing of prereq loads it.

Run as a file, in a process of its own: `python fresh.py REQUEST RESULT`. It imports transformers (and
PEFT for an adapter) and nothing of this project, so what it sees is what anybody's program sees.
"""

import copy
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from transformers import GenerationConfig


@torch.inference_mode()
def measured(
    model: torch.nn.Module,
    prompts: Sequence[list[int]],
    settings: GenerationConfig,
    new_tokens: int,
    on_done: Callable[[], None],
) -> tuple[torch.Tensor, list[list[int]]]:
    """Logits of the token after each prompt, float32 [prompts, vocabulary], and the greedy answers.

    One prompt at a time: what is compared differs in nothing but the weights.
    """
    settings = copy.deepcopy(settings)
    settings.max_new_tokens = new_tokens
    settings.output_logits = settings.return_dict_in_generate = True
    logits, answers = [], []
    for prompt in prompts:
        ids = torch.tensor([prompt], device=model.device)
        out = model.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            generation_config=settings,
        )
        logits.append(out.logits[0][0].float().cpu())
        answers.append(out.sequences[0, len(prompt) :].tolist())
        on_done()
    return torch.stack(logits), answers


def loaded(request: dict) -> torch.nn.Module:
    """The exported folder as its card says that it is loaded."""
    from transformers import AutoModelForCausalLM

    trusted = {"trust_remote_code": request["trust_remote_code"]}
    if request["format"] == "adapter":
        from peft import PeftModel

        base = AutoModelForCausalLM.from_pretrained(
            request["base"],
            revision=request["revision"],
            dtype=getattr(torch, request["dtype"]),
            **trusted,
        )
        return PeftModel.from_pretrained(base, request["folder"])
    model = AutoModelForCausalLM.from_pretrained(request["folder"], **trusted)
    if str(model.dtype) != f"torch.{request['dtype']}":
        raise SystemExit(f"it loads in {model.dtype}, and was written in {request['dtype']}")
    return model


def check_template(request: dict) -> None:
    """The folder's chat template asks with the very tokens of the training. Raises SystemExit."""
    from transformers import AutoTokenizer

    trusted = request["trust_remote_code"]
    tokenizer = AutoTokenizer.from_pretrained(request["folder"], trust_remote_code=trusted)
    for messages, ids in zip(request["conversations"], request["prompts"], strict=True):
        asked = tokenizer.apply_chat_template(
            messages, add_generation_prompt=True, return_dict=True
        )["input_ids"]
        if list(asked) != ids:
            raise SystemExit(f"its chat template asks {list(asked)}, and the training asked {ids}")


def main(request: dict, result: Path) -> None:
    """Load, answer, save. Prints an empty line for every prompt that is answered."""
    from safetensors.torch import save_file

    check_template(request)
    model = loaded(request).to(request["device"], getattr(torch, request["products"])).eval()
    settings = GenerationConfig.from_pretrained(request["folder"])
    model.generation_config = settings  # of an adapter the base has another
    logits, answers = measured(
        model, request["prompts"], settings, request["new_tokens"], lambda: print(flush=True)
    )
    save_file({"logits": logits}, result, metadata={"answers": json.dumps(answers)})


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text("utf-8")), Path(sys.argv[2]))
