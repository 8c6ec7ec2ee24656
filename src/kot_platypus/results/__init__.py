"""What evaluations found: below the stages, which write it, and the screens, which read it."""
