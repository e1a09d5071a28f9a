"""In which dtype a machine multiplies: a base may be stored in bfloat16 and still be fastest in float32."""

import time
from functools import cache

import torch


@cache
def product_dtype(device: str, stored: torch.dtype) -> torch.dtype:
    """The dtype that matrix products on weights stored in `stored` are taken in.

    The stored one, but on a CPU that multiplies float32 clearly faster than 16 bits (many do: those
    without instructions for them, and some Intel ones with AVX-512 BF16 but no AMX), that is float32,
    which is the more exact one too. Measured once a process, in milliseconds.
    """
    if device != "cpu" or stored == torch.float32:
        return stored

    def seconds(dtype: torch.dtype) -> float:
        a, b = (torch.ones(256, 512, dtype=dtype) for _ in range(2))
        times = []
        for _ in range(6):
            started = time.perf_counter()
            a @ b.t()
            times.append(time.perf_counter() - started)
        return min(times)

    return torch.float32 if 1.25 * seconds(torch.float32) < seconds(stored) else stored
