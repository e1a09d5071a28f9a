"""Shared fixtures: the real command line, a world small enough for seconds, a random tiny Llama."""

import os
import shutil
import signal
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests import published
from tests.forked import Forked

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("WANDB_MODE", "offline")
os.environ.setdefault("OMP_NUM_THREADS", "1")

REPOSITORY = Path(__file__).parent.parent

forked = Forked()


@pytest.fixture(scope="session", autouse=True)
def ctrl_c():
    """Ctrl-C is heard, though a shell's background jobs ignore it. No import does this: workers import."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


SMALL_WORLD = [
    "dataset.world.asked=6",
    "dataset.world.skill_known=4",
    "dataset.world.validation=4",
    "dataset.world.held_out=6",
    "dataset.world.unknown=6",
    "dataset.world.fictitious=6",
    "dataset.world.plug_in=4",
    "dataset.world.unseen=4",
    "dataset.world.often=6",
    "dataset.world.seldom=3",
    "dataset.knowledge_training.epochs=1",
    "dataset.skill.training.epochs=2",
    "eval.max_new_tokens=12",
    "eval.bootstrap=50",
]


def pytest_configure(config):
    """Tests compare with what a CPU computes, those marked gpu apart: they see no GPU, wherever they run."""
    if config.option.markexpr != "gpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""


def cli(*arguments: str, cwd: Path = REPOSITORY, **environment: str) -> subprocess.CompletedProcess:
    """`python -m prereq ARGUMENTS` as a user types it; output in `.stdout` and `.stderr`."""
    usual = os.environ | {"PYTHONPATH": str(REPOSITORY), "COLUMNS": "200"}
    if not environment:
        return forked.run(list(arguments), cwd, usual, timeout=300)
    command = [sys.executable, "-m", "prereq", *arguments]
    return subprocess.run(
        command, cwd=cwd, env=usual | environment, capture_output=True, text=True, timeout=300
    )


@pytest.fixture(scope="session")
def run_cli():
    return cli


@pytest.fixture(scope="session")
def small_world():
    return SMALL_WORLD


@pytest.fixture(scope="session")
def slurm():
    """A SLURM to run on: the one that answers here, else a cluster of one node for these tests."""
    if not find_spec("submitit"):
        pytest.skip("needs hydra-submitit-launcher: pip install 'prereq[slurm]'")
    answers = (
        shutil.which("sinfo") and not subprocess.run(["sinfo"], capture_output=True).returncode
    )
    if answers:
        yield
        return
    local = REPOSITORY / "launchers" / "slurm" / "local-cluster"
    path = os.environ["PATH"] + ":/usr/sbin"
    if not all(shutil.which(name, path=path) for name in ("slurmctld", "slurmd", "munged")):
        pytest.skip(f"no SLURM answers, and none is installed: sudo {local} start --install")
    if os.geteuid() != 0:
        pytest.skip(f"no SLURM answers, and starting one needs root: sudo {local} start")
    started = subprocess.run([local, "start"], capture_output=True, text=True)
    if started.returncode:
        pytest.skip(f"no SLURM answers, and none can be started: {started.stderr.strip()}")
    yield
    subprocess.run([local, "stop"], check=True, capture_output=True)


def llama(attention: str = "sdpa", seed: int = 0, **sizes):
    """A random Llama with grouped-query attention: 256 words, width 32, two layers unless `sizes` differ."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    small = {
        "vocab_size": 256,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "initializer_range": 0.3,
    }
    ids = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 3}
    config = LlamaConfig(**small | sizes, **ids, attn_implementation=attention)
    return LlamaForCausalLM(config).requires_grad_(False)


@pytest.fixture
def tiny_llama():
    return llama


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A folder with the four published tasks in `data` and a random tiny Llama in `llama`."""
    folder = tmp_path_factory.mktemp("published")
    published.write_all(folder / "data")
    published.write_model(folder / "llama")
    return folder


@pytest.fixture(autouse=True)
def no_folder_of_another_test():
    yield  # W&B's folder for uploads is in the environment, which later commands would inherit
    os.environ.pop("WANDB_DATA_DIR", None)
