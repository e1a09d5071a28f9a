"""The CUDA code at the widths of Llama-3-8B, on a device that computes nothing (`tests/fake_cuda`).

Shapes, dtypes and devices are checked by torch's own rules; kernels, host syncs and live bytes are
counted. The numbers themselves are for `make test-gpu`.
"""

import json
import os
import shutil
import subprocess
import sys

import pytest
import torch

from tests.conftest import REPOSITORY

TYPES = ("bfloat16", "float16", "float32")
CASES = [
    *(f"layers=2,dtype={name}" for name in TYPES),
    "layers=2,text=1,checkpointing=1",
    *(f"layers=2,text=1,dropout={rate}" for rate in (0.0, 0.05)),
    "generate=1",
]


@pytest.fixture(scope="module")
def measured():
    if not shutil.which("g++"):
        pytest.skip("needs g++ to build the fake device")
    if torch.version.cuda:
        pytest.skip("needs a CPU build of torch; on a GPU `make test-gpu` tests the real thing")
    command = [sys.executable, "-m", "tests.fake_cuda.measure", *CASES]
    found = subprocess.run(
        command,
        cwd=REPOSITORY,
        env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert found.returncode == 0, found.stderr
    results = [json.loads(line) for line in found.stdout.splitlines()]
    assert [result["case"] for result in results] == CASES
    return {result["case"]: result for result in results}


@pytest.mark.parametrize("case", CASES)
def test_nothing_waits_for_the_device(measured, case):
    assert measured[case]["syncs"] == []


@pytest.mark.parametrize("case", [case for case in CASES if "generate" not in case])
def test_a_pack_goes_through_in_every_dtype(measured, case):
    result = measured[case]
    assert result["gradients"] == ["torch.float32"]  # of adapters, whatever the base has
    assert result["labels"] > 1000 and result["peak_bytes"] > result["weights_bytes"]


@pytest.mark.parametrize("name", TYPES)
def test_16_bits_are_neither_padded_nor_are_keys_repeated(measured, name):
    kernels = measured[f"layers=2,dtype={name}"]["by_name"]
    if name == "float32":  # which the kernel without padding does not take
        assert not any("varlen" in kernel for kernel in kernels)
        return
    assert kernels["_varlen_attn"] == kernels["_varlen_attn_backward"] == 2  # one a layer
    assert not any("repeat" in kernel for kernel in kernels)


@pytest.mark.parametrize("case", [c for c in CASES if "generate" not in c and "float32" not in c])
def test_the_estimate_of_memory_is_right_to_15_percent(measured, case):
    result = measured[case]
    assert result["estimated_bytes"] == pytest.approx(result["peak_bytes"], rel=0.15)


def test_dropout_keeps_no_mask(measured):
    """What waits for the backward is a layer's input, which it keeps without dropout as well."""
    plain, dropped = (measured[f"layers=2,text=1,dropout={rate}"] for rate in (0.0, 0.05))
    assert dropped["peak_bytes"] - plain["peak_bytes"] < 0.05 * plain["peak_bytes"]
    assert dropped["syncs"] == []


def test_decoding_has_few_shapes(measured):
    """A growing length would give 70; rows and lengths are rounded up instead."""
    assert len(measured["generate=1"]["shapes"]) <= 4
