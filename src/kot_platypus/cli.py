"""placeholder, written next."""


def main() -> None:
    """Nothing yet."""
