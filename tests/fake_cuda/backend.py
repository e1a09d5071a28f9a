"""Build and load the fake CUDA device. To be called before torch is imported."""

import ctypes
import hashlib
import os
import subprocess
import sysconfig
import tempfile
from pathlib import Path

SOURCE = Path(__file__).with_name("backend.cpp")


def load() -> None:
    """After this a CPU build of torch believes that there is a GPU. Builds the library once."""
    torch = Path(sysconfig.get_paths()["purelib"]) / "torch"
    # torch wants to load its own libraries; what is loaded before it must be visible to all.
    for name in (
        *sorted(torch.glob("lib/libgomp*")),
        *(torch / "lib" / f"lib{n}.so" for n in ("c10", "torch_cpu")),
    ):
        ctypes.CDLL(str(name), ctypes.RTLD_GLOBAL)
    ctypes.CDLL(str(_built(torch)), ctypes.RTLD_GLOBAL)


def _built(torch: Path) -> Path:
    version = (torch / "version.py").read_bytes()
    digest = hashlib.sha256(SOURCE.read_bytes() + version + str(torch).encode()).hexdigest()[:12]
    library = Path(tempfile.gettempdir()) / f"prereq-fake-cuda-{os.getuid()}-{digest}.so"
    if not library.exists():
        scratch = library.with_suffix(f".{os.getpid()}")
        headers = (torch / "include", torch / "include/torch/csrc/api/include")
        flags = ["-std=c++20", "-O0", "-shared", "-fPIC", *(f"-I{folder}" for folder in headers)]
        subprocess.run(["g++", *flags, str(SOURCE), "-o", str(scratch)], check=True)
        scratch.rename(library)
    return library
