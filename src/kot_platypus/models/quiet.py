"""Silence for the libraries: ours is the only voice on the terminal."""

from __future__ import annotations

import os
import warnings


def quieten() -> None:
    """Silence the libraries' own bars and advice."""
    os.environ.setdefault("TQDM_DISABLE", "1")  # read when tqdm is first imported
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing.*")
