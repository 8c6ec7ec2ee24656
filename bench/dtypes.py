"""Matrix-product speed by dtype on this machine: why ``dtype: auto`` decides as it does.

python bench/dtypes.py
"""

from __future__ import annotations

import platform
import time

import torch

from kot_platypus.models import resolve_device, resolve_dtype

SHAPES = ((512, 2048, 640), (512, 640, 2048), (1024, 1024, 1024))  # rows, columns, inner
SECONDS = 1.0


def measure_gflops(dtype: torch.dtype, device: str, rows: int, columns: int, inner: int) -> float:
    a = torch.randn(rows, inner, dtype=dtype, device=device)
    b = torch.randn(columns, inner, dtype=dtype, device=device)
    torch.nn.functional.linear(a, b)
    products, started = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - started) < SECONDS:
        for _ in range(8):
            result = torch.nn.functional.linear(a, b)
        result.sum().item()  # waits for the device
        products += 8
    return 2 * rows * columns * inner * products / elapsed / 1e9


def main() -> None:
    device = resolve_device()
    print(f"{platform.processor() or platform.machine()}, {device}, torch {torch.__version__},")
    print(f"{torch.get_num_threads()} threads; auto is {resolve_dtype('auto', device, {})}")
    for dtype in (torch.float32, torch.bfloat16):
        speeds = (measure_gflops(dtype, device, *shape) for shape in SHAPES)
        print(f"{str(dtype).removeprefix('torch.'):9}", *(f"{s:7.0f} GFLOP/s" for s in speeds))


if __name__ == "__main__":
    main()
