"""The planted set: good translations, and the same with one error that is known."""

from .errors import CODE, KINDS, LEFT, MATH, MIXED, NUMBER, plant
from .material import Row, load, make_clean

__all__ = [
    "CODE", "KINDS", "LEFT", "MATH", "MIXED", "NUMBER", "Row", "load", "make_clean", "plant",
]  # fmt: skip
