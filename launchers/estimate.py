"""What an experiment costs before it runs: `python launchers/estimate.py dataset=popqa [OVERRIDE…]`.

Takes the overrides of a command, counts what `stage.dry_run=true` counts, turns tokens into GPU hours,
and says what training takes of a GPU's memory. A token costs 4·N FLOP in training (2·N forward, 2·N
for the gradient of the input; N the parameters in linear layers, frozen, so no weight gradients) and
2·N in generation. Hours follow from what a GPU does in practice, not from its peak. What is found
already costs nothing.

    --tflops 400        what one GPU does in training, in TFLOP/s (default: 40 % of an H100's peak)
    --check outputs     instead: the rate that each finished training run under outputs/ reached
"""

import argparse
import json
import sys
from pathlib import Path

import hydra
from hydra import initialize_config_dir
from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table

from prereq.config import Config, LoraSettings
from prereq.config.build import build
from prereq.config.command_line import arguments, check, compared
from prereq.config.compose import conf_dir, register_schema
from prereq.errors import explained
from prereq.stages.dry_run import Need, needs

LINEAR = {"llama3_8b": 6.98e9, "llama3_70b": 68.5e9, "smollm2_135m": 106.2e6, "tiny": 0.33e6}
# Shapes that need no file: hidden, intermediate, layers, heads, shared key heads, vocabulary.
SHAPES = {
    "llama3_8b": (4096, 14336, 32, 32, 8, 128256),
    "llama3_70b": (8192, 28672, 80, 64, 8, 128256),
}
GENERATION = 0.1  # of the rate in training: a token at a time reads every weight


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter, usage=argparse.SUPPRESS
    )
    parser.add_argument("--tflops", type=float, default=400.0, help=argparse.SUPPRESS)
    parser.add_argument("--check", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("overrides", nargs="*", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    console = Console(width=110)
    if asked.check:
        console.print(checked(asked.check))
        return
    register_schema()
    try:
        overrides, *_ = check(arguments(asked.overrides)[0])
        with initialize_config_dir(str(conf_dir()), version_base="1.3"):
            config = composed(overrides)
        title = f"{config.dataset.name} with {config.model.name}"
        parameters = linear_parameters(config.model.name, config.model.path)
        table = estimated(needs(config), parameters, asked.tflops * 1e12)
    except Exception as error:
        message = explained(error)
        if message is None:
            raise
        sys.exit(message)
    console.print(f"{title}, {asked.tflops:g} TFLOP/s a GPU", table, memory(config))


def composed(overrides: list[str]):
    """The configuration of these overrides, with every method that a pipeline compares."""

    def compose(words: list[str]) -> DictConfig:
        return hydra.compose("config", words)

    cfg = compose(overrides)
    return build(cfg, compared(cfg, overrides, compose))


def linear_parameters(name: str, path: str | None) -> float:
    """N of the model: from the table above, else counted from its configuration."""
    if name in LINEAR:
        return LINEAR[name]
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    try:
        shape = AutoConfig.from_pretrained(path)
    except OSError as error:
        sys.exit(f"model.path={path}: {str(error).splitlines()[0]}")
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(shape)
    return sum(p.numel() for n, p in model.named_parameters() if n.endswith("proj.weight"))


def memory(config: Config) -> str:
    """What training the skill takes of one GPU in bfloat16, with and without checkpointed activations."""
    from prereq.model.memory import estimate

    tokens = config.stage.tokens_per_forward
    tokens = tokens if isinstance(tokens, int) else 4096
    model = adapted_shape(config)
    found = model and [estimate(model, tokens, checkpointing) for checkpointing in (False, True)]
    if not found or not all(found):
        return ""
    return (
        f"memory of a GPU at {tokens:,} tokens a forward: about {found[0]}; with "
        f"model.gradient_checkpointing=true {found[1]}"
    )


def adapted_shape(config: Config):
    """The model with its skill and knowledge LoRAs, without weights; None where its shape is not in reach."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoConfig, AutoModelForCausalLM, LlamaConfig

    if config.model.name in SHAPES:
        names = "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads"
        names += "num_key_value_heads", "vocab_size"
        shape = LlamaConfig(**dict(zip(names, SHAPES[config.model.name], strict=True)))
    elif config.model.path and Path(config.model.path).is_dir():
        shape = AutoConfig.from_pretrained(config.model.path)
    else:
        return None

    def lora_of(settings: LoraSettings) -> LoraConfig:
        return LoraConfig(r=settings.r, target_modules=list(settings.target_modules))

    methods = config.compare or [config.method]
    sources = config.dataset.knowledge if any(m.knowledge for m in methods) else []
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(shape, dtype=torch.bfloat16).requires_grad_(False)
        model = get_peft_model(model, lora_of(config.adapter.skill), adapter_name="skill")
        for source in sources:
            model.add_adapter(source.name, lora_of(config.adapter.knowledge))
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(".skill." in name)
    return model


def estimated(found: list[Need], parameters: float, rate: float) -> Table:
    """One line a thing to make: million tokens, and GPU hours at `rate` FLOP a second."""
    table = Table("to make")
    for heading in ("million tokens", "GPU hours"):
        table.add_column(heading, justify="right")
    total = 0.0
    for need in found:
        if not need.tokens:
            continue
        speed = rate / (4 * parameters) if need.steps else GENERATION * rate / (2 * parameters)
        hours = need.tokens / speed / 3600
        table.add_row(need.label, f"{need.tokens / 1e6:,.2f}", f"{hours:,.2f}")
        total += hours
    table.add_section()
    table.add_row("in all", "", f"{total:,.1f}")
    return table


def checked(outputs: Path) -> Table:
    """What the model says of finished runs: each one's rate, which the model takes for a constant."""
    table = Table(
        "run", "tokens", "seconds", "GFLOP/s", title="rates of finished runs, 4·N a token"
    )
    for file in sorted(outputs.glob("*/*/*/*/manifest.json")):
        manifest = json.loads(file.read_text("utf-8"))
        summary, model = manifest.get("summary", {}), manifest["model"]
        if manifest["kind"] not in ("knowledge", "skill") or model not in LINEAR or not summary:
            continue
        if summary["train_seconds"] > 0:
            rate = 4 * LINEAR[model] * summary["tokens"] / summary["train_seconds"]
            name = f"{manifest['kind']} {manifest['dataset']} {file.parent.name}"
            numbers = (
                f"{summary['tokens']:,}",
                f"{summary['train_seconds']:,.0f}",
                f"{rate / 1e9:,.1f}",
            )
            table.add_row(name, *numbers)
    return table


if __name__ == "__main__":
    main()
