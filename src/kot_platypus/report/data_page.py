"""The page of a data set: its lengths, tasks, endings, languages, clusters and checks."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from markupsafe import Markup
from matplotlib.figure import Figure

from kot_platypus.artifacts import write_text
from kot_platypus.checks.wording import name_check
from kot_platypus.report.canvas import (
    INK,
    MUTED,
    RULE,
    Bar,
    draw_bars,
    find_colour,
    render_figure,
)
from kot_platypus.report.page import load_report_templates
from kot_platypus.results.schema import BASE, TUNED
from kot_platypus.results.wording import format_count, format_percent

_BINS_A_DECADE = 6
_MAX_LABEL = 18
_MAX_BARS = 15
_KOREAN = {
    "합니다체, formal": "합니다체",
    "해요체, polite": "해요체",
    "해라체, plain": "해라체",
    "해체, casual": "해체",
    "mixed": "섞임",
    "not told": "알 수 없음",
    "in the sources": "원천에 있음",
    "drawn": "뽑음",
    "wait for review": "검수를 기다림",
    "dropped in review": "검수에서 뺌",
    "duplicates": "겹치는 행",
    "of a benchmark": "벤치마크의 글",
    "in the data set": "데이터셋에 있음",
    "Korean": "한글",
    "English": "영문자",
    "digits": "숫자",
    "other letters": "다른 문자",
    "signs": "기호",
    "code": "코드",
    "formula": "수식",
    "(none)": "(없음)",
    "no letters": "글자 없음",
    "others": "그 밖",
    "question": "질문",
    "rationale": "풀이",
    "answer": "답",
    "characters": "글자",
    "tokens": "토큰",
    "Lengths": "길이의 분포",
    "Rows of each task": "과제별 행의 수",
    "Characters by what they are": "글자의 종류",
    "Rows by the Korean share of their letters": "한글의 비율로 나눈 행",
    "Rows by the speech level of their answers": "답의 말투로 나눈 행",
    "Last syllables of the sentences of answers": "답 문장의 마지막 음절",
    "Clusters of near duplicates by size": "크기로 나눈 거의 같은 행의 묶음",
    "Conversations by their number of turns": "차례 수로 나눈 대화",
    "Rows from the sources to the data set": "원천에서 데이터셋까지의 행",
}
"""What the page says in English, of itself, in Korean; texts of the data stay as they are."""
_LEVELS = {
    "합니다체": "합니다체, formal",
    "해요체": "해요체, polite",
    "해라체": "해라체, plain",
    "해체": "해체, casual",
    "several": "mixed",
    "not told": "not told",
}
_STEPS = {
    "available": "in the sources",
    "drawn": "drawn",
    "waiting": "wait for review",
    "dropped": "dropped in review",
    "duplicates": "duplicates",
    "contaminated": "of a benchmark",
    "written": "in the data set",
}
"""The steps that are drawn: what there was, what was left out, what there is."""
_LOST = ("waiting", "dropped", "duplicates", "contaminated")
Say = Callable[[str], str]
"""What the page says in English, in the language of a picture."""
Bars = Sequence[tuple[str, float, str]]
"""A bar each: its label, how long it is, what is printed beside it."""


def write_data_page(path: Path, overview: Mapping[str, Any]) -> None:
    """Write the page of a data set from what ``data.overview`` found. Needs no torch.

    The same overview gives the same bytes.
    """
    write_text(path, render_data_page(overview))


def render_data_page(overview: Mapping[str, Any]) -> str:
    """The page as HTML. Whatever comes from data is escaped by the template, and in pictures."""
    census = overview["census"]
    template = load_report_templates().get_template("data.html.jinja")
    return template.render(
        name=overview["name"],
        headline=write_headline(overview),
        korean=_KOREAN,
        check_names=name_check,
        figures=draw_figures(overview),
        census=census,
        checks=overview["checks"],
        clusters=overview["clusters"],
        are_dropped=overview["are_dropped"],
        steps=overview["steps"],
        shares=_share(census["kinds"]),
    ) + "\n"  # fmt: skip


def write_headline(overview: Mapping[str, Any]) -> dict[str, str]:
    """The data set in one sentence, by language."""
    census = overview["census"]
    kind = "conversations" if census["turns"] else "rows"
    tasks = f" of {format_count(census['num_tasks'])} tasks" if census["num_tasks"] > 1 else ""
    letters = {k: n for k, n in census["kinds"].items() if k in ("Korean", "English")}
    korean = letters.get("Korean", 0) / (sum(letters.values()) or 1)
    rows, share = format_count(census["rows"]), format_percent(korean)
    kind_ko = "대화" if census["turns"] else "행"
    tasks_ko = f"과제 {format_count(census['num_tasks'])}가지의 " if tasks else ""
    return {
        "en": f"{rows} {kind}{tasks}; {share} of Korean and English letters are Korean",
        "ko": f"{tasks_ko}{kind_ko} {rows}개, 한글과 영문자 중 한글이 {share}",
    }


def draw_figures(overview: Mapping[str, Any]) -> dict[str, Markup]:
    """Every picture that the data set has figures for, by name, as SVG in both languages."""
    korean = _draw_figures(overview, "-ko", lambda text: _KOREAN.get(text, text))
    english = _draw_figures(overview, "", str)
    both = Markup('<div class="ko" lang="ko">{}</div><div class="en" lang="en">{}</div>')
    return {name: both.format(korean[name], english[name]) for name in english}


def _draw_figures(overview: Mapping[str, Any], mark: str, say: Say) -> dict[str, Markup]:
    """The pictures in one language, which is in their ids by ``mark``."""
    census = overview["census"]
    bars: dict[str, tuple[str, Bars]] = {
        "tasks": ("Rows of each task", _list_tasks(census, say)),
        "kinds": ("Characters by what they are", _list_shares(census["kinds"], say)),
        "korean": ("Rows by the Korean share of their letters", _list_korean(census, say)),
        "levels": ("Rows by the speech level of their answers", _list_levels(census, say)),
        "endings": ("Last syllables of the sentences of answers", _list_endings(census, say)),
        "clusters": ("Clusters of near duplicates by size", _list_clusters(overview["clusters"])),
        "turns": ("Conversations by their number of turns", _list_turns(census["turns"])),
    }
    figures = {
        name: render_figure(name + mark, _say(say(what), found), partial(_draw_bars, found))
        for name, (what, found) in bars.items()
        if found
    }
    for name, unit in (("chars", "characters"), ("tokens", "tokens")):
        if lengths := {say(part): found for part, found in census[name].items()}:
            label = f"{say('Lengths')} ({say(unit)})"
            draw = partial(_draw_lengths, lengths, say(unit))
            figures[name] = render_figure(name + mark, label, draw)
    if overview["steps"]:
        steps = _list_steps(overview["steps"], say)
        label = _say(say("Rows from the sources to the data set"), [step[:3] for step in steps])
        figures["steps"] = render_figure("steps" + mark, label, partial(draw_bars, steps))
    return figures


def _say(what: str, bars: Bars) -> str:
    return f"{what}: {', '.join(f'{label} {text}' for label, _, text in bars)}."


def _share(counts: Mapping[str, int]) -> dict[str, float]:
    total = sum(counts.values()) or 1
    return {name: count / total for name, count in counts.items()}


# --- what is drawn -----------------------------------------------------------------------------


def _list_tasks(census: Mapping[str, Any], say: Say) -> Bars:
    """The largest tasks, and all others together."""
    if census["num_tasks"] < 2:
        return []
    named = [(task or say("(none)"), count) for task, count in census["tasks"].items()][:_MAX_BARS]
    if rest := census["num_tasks"] - len(named):
        left = census["rows"] - sum(count for _, count in named)
        named.append((f"{say('others')} ({format_count(rest)})", left))
    return [(label, count, format_count(count)) for label, count in named]


def _list_shares(counts: Mapping[str, int], say: Say) -> Bars:
    shares = _share(counts).items()
    return [(say(name), share, format_percent(share)) for name, share in shares if share]


def _list_korean(census: Mapping[str, Any], say: Say) -> Bars:
    bars = [
        (f"{10 * tenth}–{10 * tenth + 10}%", count, format_count(count))
        for tenth, count in enumerate(census["korean"])
    ]
    while bars and not bars[0][1]:
        del bars[0]
    if census["no_letters"]:
        bars.append((say("no letters"), census["no_letters"], format_count(census["no_letters"])))
    return bars[::-1]


def _list_levels(census: Mapping[str, Any], say: Say) -> Bars:
    shares = _share(census["rows_by_level"])
    return [(say(_LEVELS[name]), share, format_percent(share)) for name, share in shares.items()]


def _list_endings(census: Mapping[str, Any], say: Say) -> Bars:
    total = census["num_endings"] or 1
    named = list(census["endings"].items())[:_MAX_BARS]
    bars = [(f"-{ending}", count, format_percent(count / total)) for ending, count in named]
    rest = total - sum(count for _, count in named) if named else 0
    return [*bars, (say("others"), rest, format_percent(rest / total))] if rest else bars


def _list_clusters(clusters: Mapping[str, Any]) -> Bars:
    groups = {"2": (2, 2), "3": (3, 3), "4–9": (4, 9), "10–99": (10, 99)}
    counted = {
        name: sum(count for size, count in clusters["sizes"] if low <= size <= high)
        for name, (low, high) in {**groups, "≥ 100": (100, 10**12)}.items()
    }
    return [(name, n, format_count(n)) for name, n in counted.items() if n]


def _list_turns(turns: Mapping[str, int]) -> Bars:
    groups: dict[str, int] = {}
    for number, count in turns.items():
        name = number if int(number) < 10 else "≥ 10"
        groups[name] = groups.get(name, 0) + count
    return [(name, count, format_count(count)) for name, count in groups.items()]


def _list_steps(steps: Sequence[tuple[str, str, int]], say: Say) -> list[Bar]:
    """The funnel; what was lost at a step is hollow. Steps that lost nothing are left out."""
    found = [(key, n) for key, _, n in steps if key in _STEPS and (n or key not in _LOST)]
    return [
        Bar(
            say(_STEPS[key]),
            count,
            format_count(count),
            find_colour(TUNED if key == found[-1][0] and key not in _LOST else BASE),
            is_hollow=key in _LOST,
        )
        for key, count in found
    ]


# --- how ---------------------------------------------------------------------------------------


def _draw_bars(bars: Bars, width_in: float) -> Figure:
    limit, colour = _MAX_LABEL if width_in > 5 else 15, find_colour(TUNED)
    return draw_bars([Bar(_cut(name, limit), n, text, colour) for name, n, text in bars], width_in)


def _cut(label: str, limit: int) -> str:
    """A label that fits beside its bar. A dollar sign would begin a formula."""
    text = label if len(label) <= limit else label[: limit - 1] + "…"
    return text.replace("$", r"\$")


def _draw_lengths(lengths: Mapping[str, Any], unit: str, width_in: float) -> Figure:
    """A histogram a part of the rows, all over one logarithmic scale."""
    height_in = 0.95 * len(lengths) + 0.45
    figure = Figure(figsize=(width_in, height_in))
    grid = figure.subplots(len(lengths), 1, sharex=True, squeeze=False)[:, 0]
    left_in = 1.15 if width_in > 5 else 0.95
    figure.subplots_adjust(
        left=left_in / width_in, right=0.985, bottom=0.42 / height_in, top=0.99, hspace=0.25
    )
    last = max(len(found["histogram"]) for found in lengths.values())
    for axes, (name, found) in zip(grid, lengths.items(), strict=True):
        counts = found["histogram"]
        axes.bar(range(len(counts)), counts, width=0.86, align="edge", color=find_colour(TUNED))
        axes.set_yticks([])
        axes.set_ylim(0, 1.05 * max(counts))
        axes.axvline(_place(found["median"]), color=INK, linewidth=1, linestyle=(0, (2, 2)))
        axes.text(-left_in / (width_in - left_in), 0.5, _cut(name, 12), transform=axes.transAxes,
                  va="center", color=INK)  # fmt: skip
        axes.tick_params(axis="x", length=0, labelcolor=MUTED)
        axes.grid(axis="x", color=RULE, linewidth=0.6)
        axes.set_axisbelow(True)
    ticks = range(0, last + _BINS_A_DECADE, _BINS_A_DECADE)
    grid[-1].set_xticks(ticks, [format_count(10 ** (tick // _BINS_A_DECADE)) for tick in ticks])
    grid[-1].set_xlim(0, last + 0.5)
    grid[-1].set_xlabel(unit)
    return figure


def _place(length: float) -> float:
    """Where a length lies on the scale of the histogram."""
    return math.log10(max(length, 1)) * _BINS_A_DECADE
