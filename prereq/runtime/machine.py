"""The machine that this process runs on, in words, for those who read a result later."""

import os
import platform
import sys
from contextlib import suppress

import psutil


def described() -> str:
    """System, processor, cores, memory, and the GPUs if torch uses any; no name of the machine."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    memory = psutil.virtual_memory().total / 2**30
    parts = [f"{platform.system()} {platform.machine()}", _processor(), f"{cores} cores"]
    return ", ".join(filter(None, [*parts, f"{memory:.0f} GiB", _gpus()]))


def _processor() -> str:
    with suppress(OSError), open("/proc/cpuinfo", encoding="utf-8") as stream:
        for line in stream:
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()


def _gpus() -> str:
    """`2 × NVIDIA H200`, where torch is loaded and sees any: what loads no torch computes nothing there."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available():
        return ""
    names = [torch.cuda.get_device_name(place) for place in range(torch.cuda.device_count())]
    kinds = dict.fromkeys(names)
    return ", ".join(f"{n} × {kind}" if (n := names.count(kind)) > 1 else kind for kind in kinds)
