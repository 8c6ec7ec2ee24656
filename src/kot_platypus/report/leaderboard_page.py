"""The leaderboard as one HTML page: opens from disk, sorts and filters itself, loads nothing."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence

from markupsafe import Markup

from kot_platypus.report import leaderboard
from kot_platypus.report.leaderboard import Block
from kot_platypus.results.schema import SkippedFile
from kot_platypus.results.templates import load_templates


def render_leaderboard(title: str, blocks: Sequence[Block], skipped: Sequence[SkippedFile]) -> str:
    """The page. Without JavaScript it is a plain table; text of the files is escaped."""
    environment = load_templates("kot_platypus.report")
    script = environment.get_template("leaderboard.js.jinja").render()
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    environment.filters |= {
        "shots": leaderboard.name_shots,
        "value": leaderboard.format_value,
        "bounds": leaderboard.format_bounds,
        "date": leaderboard.name_date,
        "file": leaderboard.name_file,
    }
    return environment.get_template("leaderboard.html.jinja").render(
        title=title,
        blocks=blocks,
        skipped=skipped,
        notes=leaderboard.NOTES,
        protocols=sorted({block.key.protocol for block in blocks}),
        tasks=sorted({block.key.task for block in blocks}),
        metrics=sorted({block.key.metric for block in blocks}),
        script=Markup(script),
        policy=f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'",
    ) + "\n"  # fmt: skip
