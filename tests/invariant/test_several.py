"""Two and four processes end with the weights of one: batches are global, draws follow the plan."""

import os
import socket
import subprocess
import sys

import pytest
from safetensors.torch import load_file

from tests.conftest import REPOSITORY
from tests.invariant.several import plans


def run(folder, processes: int, *arguments: str) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    launch = [
        "-m",
        "torch.distributed.run",
        f"--nproc-per-node={processes}",
        f"--master-port={port}",
    ]
    module = ["-m", "tests.invariant.several", str(folder), *arguments]
    result = subprocess.run(
        [sys.executable, *(launch if processes > 1 else []), *module],
        cwd=REPOSITORY,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert result.returncode == 0, result.stderr[-3000:]


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    folder = tmp_path_factory.mktemp("alone")
    run(folder, 1)
    return folder


@pytest.mark.parametrize("processes", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_several_processes_end_with_the_weights_of_one(alone, tmp_path, processes):
    run(tmp_path, processes)
    compare(alone, tmp_path)


def test_a_base_spread_by_fsdp_changes_no_result_and_the_adapter_is_a_plain_folder(alone, tmp_path):
    run(tmp_path, 2, "fsdp")
    compare(alone, tmp_path)


def compare(alone, folder) -> None:
    for name in plans():
        expected = load_file(alone / name / "adapter_model.safetensors")
        found = load_file(folder / name / "adapter_model.safetensors")
        assert expected.keys() == found.keys()
        for key, value in expected.items():
            assert (value - found[key]).abs().max() < 1e-5, (name, key)
        lines = [(f / name / "metrics.jsonl").read_text() for f in (alone, folder)]
        assert lines[0].count("\n") == lines[1].count("\n") > 3
