"""Finding, loading and fingerprinting models. No other package opens a model's folder."""

from kot_platypus.models.cache import cache_folder
from kot_platypus.models.conversion import prepare_adapter, prepare_model
from kot_platypus.models.devices import resolve_device, resolve_dtype
from kot_platypus.models.finding import (
    EMBEDDED_MODEL,
    GEMMA_TERMS,
    find_model,
    name_on_hub,
    resolve_model,
)
from kot_platypus.models.identity import fingerprint_model
from kot_platypus.models.loading import build_empty_model, load_model
from kot_platypus.models.tokens import TOKENIZER_FILES, has_tokenizer, load_tokenizer
from kot_platypus.models.training_info import (
    TRAINING_INFO,
    TrainingInfo,
    has_chat_template,
    read_template,
    read_training_info,
)

__all__ = [
    "EMBEDDED_MODEL",
    "GEMMA_TERMS",
    "TOKENIZER_FILES",
    "TRAINING_INFO",
    "TrainingInfo",
    "build_empty_model",
    "cache_folder",
    "find_model",
    "fingerprint_model",
    "has_chat_template",
    "has_tokenizer",
    "load_model",
    "load_tokenizer",
    "name_on_hub",
    "prepare_adapter",
    "prepare_model",
    "read_template",
    "read_training_info",
    "resolve_device",
    "resolve_dtype",
    "resolve_model",
]
