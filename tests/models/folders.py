"""Model folders as people have them, made of a tiny one."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file

WEIGHTS = "model.safetensors"
TEXTS = (
    "",
    " 부정",
    " 예",
    "여자는 빗자루를 집어들었다. 그래서 바닥을 쓸었다.",
    "문장: 배송이 빨라요\n긍부정: 긍정",
    "  두 칸   세 칸 끝 ",
    "def f(x):\n\treturn x ** 2  # 제곱",
    "漢字, ㅋㅋㅋ 🙂 １２３",
)


def copy_model(base: Path, folder: Path, *left_out: str) -> Path:
    """A copy that a test may change, without the files of some patterns."""
    shutil.copytree(base, folder, ignore=shutil.ignore_patterns(*left_out))
    folder.chmod(0o755)
    for file in folder.iterdir():
        file.chmod(0o644)
    return folder


def save_as_bin(base: Path, folder: Path, num_files: int = 1) -> Path:
    """The same model with PyTorch's files in place of safetensors."""
    copy_model(base, folder, "*.safetensors")
    state = load_file(base / WEIGHTS)
    if num_files == 1:
        torch.save(state, folder / "pytorch_model.bin")
        return folder
    where = {}
    for i in range(num_files):
        name = f"pytorch_model-{i + 1:05}-of-{num_files:05}.bin"
        part = {key: state[key] for key in list(state)[i::num_files]}
        torch.save(part, folder / name)
        where |= dict.fromkeys(part, name)
    index = {"metadata": {"total_size": 1}, "weight_map": where}
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps(index))
    return folder


def keep_pieces_only(base: Path, folder: Path) -> Path:
    """A copy with tokenizer.model and no tokenizer.json."""
    return copy_model(base, folder, "tokenizer.json")
