"""Which machine made an artifact."""

import json
import platform
import sys
import types

from prereq.runtime import machine
from tests.scored import scored


def test_a_manifest_says_which_machine_made_it_and_not_what_it_is_called(tmp_path):
    scored(tmp_path)
    (manifest,) = tmp_path.glob("*/*/scores/*/manifest.json")
    told = json.loads(manifest.read_text())["machine"]
    assert platform.system() in told and "cores" in told and "GiB" in told
    assert not platform.node() or platform.node() not in told


def test_gpus_of_a_kind_are_counted(monkeypatch):
    names = ["NVIDIA H200", "NVIDIA H200", "NVIDIA L4"]
    cuda = types.SimpleNamespace(
        is_available=lambda: True,
        device_count=lambda: len(names),
        get_device_name=names.__getitem__,
    )
    monkeypatch.setitem(sys.modules, "torch", types.SimpleNamespace(cuda=cuda))
    assert machine.described().endswith("GiB, 2 × NVIDIA H200, NVIDIA L4")
