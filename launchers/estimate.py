"""What an experiment costs before it runs: `python launchers/estimate.py dataset=popqa [OVERRIDE…]`.

A token costs 4·N FLOP in training (2·N forward, 2·N for the gradient of the input; N the parameters
in linear layers, frozen, so no weight gradients) and 2·N in generation. Tokens come from the rows
where dataset.path is a local folder, else from the published sizes and the lengths below. Hours
follow from what a GPU does in practice, not from its peak.

    --tflops 400        what one GPU does in training, in TFLOP/s (default: 40 % of an H100's peak)
    --check outputs     instead: the rate that each finished training run under outputs/ reached
"""

import argparse
import json
import sys
from pathlib import Path

from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from rich.console import Console
from rich.table import Table

from prereq.config import Config, layer
from prereq.config.compose import conf_dir, register_schema
from prereq.errors import PrereqError

LINEAR = {"llama3_8b": 6.98e9, "llama3_70b": 68.5e9, "smollm2_135m": 106.2e6, "tiny": 0.33e6}
# Published sizes: entities of each kind, and tokens of a text of each form (statements of an entity
# together). Rows of the real data replace them.
ENTITIES = {"popqa": (10613, 20000), "hotpotqa": (10613, 20000), "bio": (397, 397)}
ENTITIES |= {"medical": (449, 449)}
TOKENS = {"passage": 140, "statement": 5 * 16, "question": 35, "biography": 200}
GENERATION = 0.1  # of the rate in training: a token at a time reads every weight


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter, usage=argparse.SUPPRESS
    )
    parser.add_argument("--tflops", type=float, default=400.0, help=argparse.SUPPRESS)
    parser.add_argument("--check", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("overrides", nargs="*", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    console = Console(width=110)
    if arguments.check:
        console.print(checked(arguments.check))
        return
    register_schema()
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        config = OmegaConf.to_object(compose("config", arguments.overrides))
    try:
        console.print(estimated(config, arguments.tflops * 1e12))
    except PrereqError as error:
        sys.exit(str(error))


def linear_parameters(config: Config) -> float:
    """N of the model: from the table above, else counted from its configuration."""
    if config.model.name in LINEAR:
        return LINEAR[config.model.name]
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    try:
        shape = AutoConfig.from_pretrained(config.model.path)
    except OSError as error:
        sys.exit(f"model.path={config.model.path}: {str(error).splitlines()[0]}")
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(shape)
    return sum(p.numel() for n, p in model.named_parameters() if n.endswith("proj.weight"))


def estimated(config: Config, rate: float) -> Table:
    """One line a thing to make: tokens, and GPU hours at `rate` FLOP a second."""
    flops = 4 * linear_parameters(config)
    lines = []
    for source in config.dataset.knowledge:
        epochs = layer(config.dataset.knowledge_training, source.training).epochs
        tokens = epochs * corpus(
            config, source.subset, source.split, source.form, source.fictitious
        )
        lines.append((f"knowledge {source.name}", tokens, flops * tokens / rate))
    epochs = config.dataset.skill.training.epochs
    for method in config.dataset.methods:
        fictitious, known = method != "sft", method.startswith("prereq")
        tokens = epochs * skill_tokens(config, fictitious, known)
        lines.append((f"skill {method}", tokens, flops * tokens / rate))
    asked = 2152 if config.dataset.task == "questions" else 200
    tokens = asked * len(config.dataset.methods) * min(config.eval.max_new_tokens, 400)
    lines.append(("answers to the tests", tokens, flops / 2 * tokens / (GENERATION * rate)))
    table = Table(
        title=f"{config.dataset.name} with {config.model.name}, {rate / 1e12:.0f} TFLOP/s a GPU"
    )
    for heading in ("what", "million tokens", "GPU hours"):
        table.add_column(heading, justify="left" if heading == "what" else "right")
    for what, tokens, seconds in lines:
        table.add_row(what, f"{tokens / 1e6:,.1f}", f"{seconds / 3600:,.2f}")
    total = sum(seconds for *_, seconds in lines)
    table.add_row("together", f"{sum(t for _, t, _ in lines) / 1e6:,.1f}", f"{total / 3600:,.1f}")
    return table


def corpus(config: Config, subset: str, split: str, form: str, fictitious: bool) -> float:
    """Tokens of a knowledge source: a quarter of its characters where it is at hand."""
    if config.dataset.path and Path(config.dataset.path).exists():
        from prereq.data.sources import read_text

        return sum(len(text) for text in read_text(config.dataset.path, subset, split)) / 4
    return ENTITIES[config.dataset.name][fictitious] * TOKENS[form]


def skill_tokens(config: Config, fictitious: bool, plain: bool) -> float:
    """Tokens of an epoch of the skill data: one version of each subject, real rows twice if `plain`."""
    if config.dataset.path and Path(config.dataset.path).exists():
        from prereq.data.sources import read_skill

        counts = {True: 0.0, False: 0.0}
        for split in config.dataset.skill.splits:
            for row in read_skill(config.dataset.path, config.dataset.skill.subset, split):
                counts[row.fictitious] += len(row.text) / 4
        versions = len({s.version for s in config.dataset.knowledge if s.fictitious}) or 1
        real, invented = counts[False], counts[True] / versions
    else:
        long = config.eval.scoring == "long_form"
        entities, tokens = (
            ENTITIES[config.dataset.name],
            TOKENS["biography" if long else "question"],
        )
        real, invented = (0 if long else entities[0]) * tokens, entities[1] * tokens
    twice = 2 if plain and config.dataset.skill.real_weight else 1
    return real * twice + (invented if fictitious or not real else 0)


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
