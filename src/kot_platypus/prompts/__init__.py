"""Every Korean and English template, as data, and the one place that renders them."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

import yaml
from pydantic import BaseModel, ConfigDict

from kot_platypus.errors import UsageError
from kot_platypus.records import Example


class Template(BaseModel):
    """How an example becomes text: a prompt, and the line that states the answer."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    description: str
    prompt: str
    """Contains ``{source}``. Ends where the response begins, never with a space."""
    answer: str
    """Contains ``{target}``. Stands alone on the response's last line."""

    def render_prompt(self, source: str) -> str:
        """The text the model is given."""
        return self.prompt.replace("{source}", source)

    def render_answer(self, target: str) -> str:
        """The response's last line."""
        return self.answer.replace("{target}", target)

    def render_shot(self, example: Example) -> str:
        """A whole worked example: prompt, rationale, answer."""
        answer = self.render_answer(example.target)
        return f"{self.render_prompt(example.source)}{example.rationale}\n{answer}"

    @property
    def answer_prefix(self) -> str:
        """What marks the answer line; empty when the template marks none."""
        return self.answer.partition("{target}")[0]

    def parse_answer(self, output: str) -> str | None:
        """The answer stated in a model's output, or None. Nothing is guessed.

        The first complete answer line counts: what a model writes after it is not its answer.
        """
        for line in output.splitlines():
            if self.answer_prefix and line.startswith(self.answer_prefix):
                return line.removeprefix(self.answer_prefix).strip().rstrip(".") or None
        return None


@cache
def load_templates() -> dict[str, Template]:
    """All prompt templates by name, from ``templates.yaml``."""
    text = (files(__package__) / "templates.yaml").read_text(encoding="utf-8")
    return {name: Template(name=name, **fields) for name, fields in yaml.safe_load(text).items()}


def load_template(name: str) -> Template:
    """One template by name. Raises UsageError naming those that exist."""
    templates = load_templates()
    if name not in templates:
        raise UsageError(
            f"no template {name!r}",
            expected=f"one of {', '.join(templates)}",
            hint="Set train.template.",
        )
    return templates[name]
