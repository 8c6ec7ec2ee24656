"""Silence for the libraries: ours is the only voice on the terminal."""

from __future__ import annotations

import logging
import os
import warnings

# Speaks on import, which peft does: of a package that would make one processor faster.
logging.getLogger("bitsandbytes").setLevel(logging.ERROR)


def quieten() -> None:
    """Silence the libraries' own bars and advice."""
    os.environ.setdefault("TQDM_DISABLE", "1")  # read when tqdm is first imported
    from transformers.utils import logging as transformers_logging

    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing.*")
