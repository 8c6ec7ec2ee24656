"""``python -m kot_platypus``, which is what ``torchrun -m kot_platypus`` starts."""

from kot_platypus.cli import main

main()
