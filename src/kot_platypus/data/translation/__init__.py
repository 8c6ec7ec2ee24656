"""Translation into Korean: what must not change is protected, what was paid for is never lost."""
