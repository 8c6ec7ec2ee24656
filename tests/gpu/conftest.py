"""Where these tests run: on CUDA, or for a rehearsal on what ``KOT_GPU_TEST_DEVICE`` names.

pytest -m gpu tests/gpu
KOT_GPU_TEST_DEVICE=cpu pytest -m gpu tests/gpu
"""

from __future__ import annotations

import os

import pytest
import torch


@pytest.fixture(scope="session")
def device() -> str:
    """``cuda`` with float32 products in float32 (no TF32), or ``cpu``."""
    name = os.environ.get("KOT_GPU_TEST_DEVICE", "cuda")
    if name == "cuda" and not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = False
    torch.set_num_threads(1 if name == "cpu" else torch.get_num_threads())
    return name
