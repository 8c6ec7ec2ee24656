"""Known errors, planted into good rows: the five kinds that KOpen-platypus was checked for by hand.

Each way is an edit of the Korean text that returns None where it does not apply.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from dataclasses import replace

from .material import Pair, Part, Row, join_korean, make_clean

CODE, MIXED, NUMBER, MATH, LEFT = "code only", "code mixed", "number", "math symbol", "left or cut"
KINDS = (CODE, MIXED, NUMBER, MATH, LEFT)

Edit = Callable[[Row, random.Random], str | None]


def plant(part: Part, kind: str, count: int, seed: int = 0) -> list[Row]:
    """``count`` rows with one error of ``kind``, its ways in turn."""
    rng = random.Random(f"{part}/{kind}/{seed}")
    ways = WAYS[kind]
    planted: dict[tuple[str, str], Row] = {}
    pool = make_clean(part, 1200, seed=seed + 1)
    for attempt in range(count * 200):
        name, edit = list(ways.items())[attempt % len(ways)]
        row = rng.choice(pool)
        broken = edit(row, rng)
        if broken is not None and broken != row.translation:
            planted.setdefault(
                (row.source, broken), replace(row, kind=kind, way=name, broken=broken)
            )
        if len(planted) == count:
            return list(planted.values())
    raise ValueError(f"only {len(planted)} errors of kind {kind}")


def split_code(row: Row) -> tuple[list[Pair], list[Pair]]:
    code = [pair for pair in row.pairs if pair.verbatim and row.domain.startswith("code")]
    return code, [pair for pair in row.pairs if not pair.verbatim]


def explains_code(row: Row) -> bool:
    code, prose = split_code(row)
    return row.domain == "code" and bool(code) and len(prose) >= 1


def unfence(code: str) -> str:
    return "\n".join(line for line in code.split("\n") if not line.startswith("```"))


def only_code(row: Row, rng: random.Random) -> str | None:
    return join_korean(split_code(row)[0]) if explains_code(row) else None


def only_bare_code(row: Row, rng: random.Random) -> str | None:
    return unfence(join_korean(split_code(row)[0])) if explains_code(row) else None


def only_new_code(row: Row, rng: random.Random) -> str | None:
    """Asked for in prose, answered instead of translated."""
    if row.domain not in ("code", "arithmetic", "algebra"):
        return None
    body = rng.choice(
        (
            "def solve(a, b):\n    return a * b\n\nprint(solve(3, 4))",
            "x = int(input())\nfor i in range(x):\n    print(i)",
            "#include <stdio.h>\nint main() {\n    return 0;\n}",
        )
    )
    return rng.choice((f"```\n{body}\n```", f"```python\n{body}\n```", body))


def code_and_a_word(row: Row, rng: random.Random) -> str | None:
    if not explains_code(row):
        return None
    return rng.choice(("코드:", "예시:", "답:")) + "\n" + join_korean(split_code(row)[0])


def edit_code(row: Row, change: Callable[[str], str | None]) -> str | None:
    """The Korean text with the first block of code changed."""
    pairs = list(row.pairs)
    for i, pair in enumerate(pairs):
        if pair.verbatim and row.domain.startswith("code"):
            changed = change(pair.korean)
            if changed is None or changed == pair.korean:
                return None
            pairs[i] = replace(pair, korean=changed)
            return join_korean(pairs)
    return None


def lose_fence(row: Row, rng: random.Random) -> str | None:
    return edit_code(row, lambda code: unfence(code) if "```" in code else None)


def lose_closing_fence(row: Row, rng: random.Random) -> str | None:
    return edit_code(row, lambda code: code.removesuffix("\n```") if "```" in code else None)


def lose_line(row: Row, rng: random.Random) -> str | None:
    def change(code: str) -> str:
        lines = code.split("\n")
        where = [
            i for i, line in enumerate(lines) if re.search(r"\w.*[\w)]", line) and "```" not in line
        ]
        del lines[rng.choice(where)]
        return "\n".join(lines)

    return edit_code(row, change)


def translate_name(row: Row, rng: random.Random) -> str | None:
    names = {
        "def ": "정의 ", "return ": "반환 ", "for ": "에 대해 ", "print(": "출력(",
        "SELECT ": "선택 ", "int ": "정수 ", "total": "합계", "import": "가져오기",
        "FROM ": "에서 ", "if ": "만약 ",
    }  # fmt: skip
    found = [name for name in names if any(name in p.korean for p in split_code(row)[0][:1])]
    if not found:
        return None
    name = rng.choice(found)
    return edit_code(row, lambda code: code.replace(name, names[name], 1))


def put_prose_into_code(row: Row, rng: random.Random) -> str | None:
    _, prose = split_code(row)
    if not prose:
        return None
    moved = rng.choice(prose)

    def change(code: str) -> str | None:
        lines = code.split("\n")
        lines.insert(rng.randrange(1, max(2, len(lines) - 1)), moved.korean)
        return "\n".join(lines)

    rest = tuple(pair for pair in row.pairs if pair is not moved)
    return edit_code(replace(row, pairs=rest), change)


def put_code_into_prose(row: Row, rng: random.Random) -> str | None:
    """A line of code is taken out and continues as a part of the next sentence."""
    code, prose = split_code(row)
    if not code or not prose:
        return None
    lines = code[0].korean.split("\n")
    where = [
        i for i, line in enumerate(lines) if re.search(r"\w.*[\w);:]", line) and "```" not in line
    ]
    line = lines.pop(rng.choice(where)).strip()
    pairs = [replace(p, korean="\n".join(lines)) if p is code[0] else p for p in row.pairs]
    at = pairs.index(rng.choice(prose))
    pairs[at] = replace(pairs[at], korean=f"{line} {pairs[at].korean}")
    return join_korean(pairs)


def run_lines_together(row: Row, rng: random.Random) -> str | None:
    def change(code: str) -> str | None:
        lines = code.split("\n")
        return None if len(lines) < 3 else " ".join(line.strip() for line in lines)

    return edit_code(row, change)


def lose_indent(row: Row, rng: random.Random) -> str | None:
    if not any("```python" in pair.korean for pair in row.pairs[:2]):
        return None
    return edit_code(row, lambda code: "\n".join(line.strip() for line in code.split("\n")))


def translate_inline(row: Row, rng: random.Random) -> str | None:
    spans = list(re.finditer(r"(?<!`)`([^`\n]+)`(?!`)", row.translation))
    if not spans or not row.domain.startswith("code"):
        return None
    match = rng.choice(spans)
    new = rng.choice((f"`{rng.choice(('값', '추가', '목록', '함수'))}`", ""))
    return row.translation[: match.start()] + new + row.translation[match.end() :]


def find_numbers(row: Row, pattern: str = r"\d+(?:[.,]\d+)*") -> list[re.Match[str]]:
    """Numbers of the Korean text outside of code and formulas."""
    text = row.translation
    code_or_math = r"```.*?```|`[^`]*`|\$[^$]+\$|\\\(.*?\\\)|\\\[.*?\\\]"
    hidden = re.sub(code_or_math, lambda m: "X" * len(m[0]), text, flags=re.S)
    if row.domain.startswith("code"):
        return []
    return list(re.finditer(rf"(?<![\w.]){pattern}(?![\w.]?\d)", hidden))


def edit_number(pattern: str, change: Callable[[str, random.Random], str]) -> Edit:
    def edit(row: Row, rng: random.Random) -> str | None:
        found = find_numbers(row, pattern)
        if not found:
            return None
        match = rng.choice(found)
        text = row.translation
        new = change(match[0], rng)
        return None if new == match[0] else text[: match.start()] + new + text[match.end() :]

    return edit


FLOAT = r"\d+\.\d+"


def change_digit(number: str, rng: random.Random) -> str:
    places = [i for i, char in enumerate(number) if char.isdigit()]
    at = rng.choice(places)
    return number[:at] + rng.choice([d for d in "123456789" if d != number[at]]) + number[at + 1 :]


def move_point(number: str, rng: random.Random) -> str:
    whole, part = number.split(".")
    moved = whole + part[0] + ("." + part[1:] if part[1:] else "")
    return moved if whole.strip("0") or part.strip("0") else number + "1"


def cut_to_whole(number: str, rng: random.Random) -> str:
    whole, _, part = number.partition(".")
    return whole if part.strip("0") else number  # 23.0 as 23 would be no error


def swap_digits(number: str, rng: random.Random) -> str:
    places = [
        i
        for i in range(len(number) - 1)
        if number[i : i + 2].isdigit() and number[i] != number[i + 1]
    ]
    if not places:
        return number
    at = rng.choice(places)
    return number[:at] + number[at + 1] + number[at] + number[at + 2 :]


def change_word(row: Row, rng: random.Random) -> str | None:
    """Another Korean numeral: 세 개 for 네 개."""
    numerals = ["세", "네", "다섯", "여섯", "일곱", "여덟", "아홉", "열두", "열다섯", "스무"]
    found = list(re.finditer(rf"(?<![가-힣])(?:{'|'.join(numerals)})(?= )", row.translation))
    if not found:
        return None
    match = rng.choice(found)
    new = rng.choice([numeral for numeral in numerals if numeral != match[0]])
    return row.translation[: match.start()] + new + row.translation[match.end() :]


def lose_percent(row: Row, rng: random.Random) -> str | None:
    found = list(re.finditer(r"(?<=\d)(?:%|퍼센트)", row.translation))
    if not found or row.domain.startswith("code"):
        return None
    match = rng.choice(found)
    return row.translation[: match.start()] + row.translation[match.end() :]


def lose_minus(row: Row, rng: random.Random) -> str | None:
    if row.domain != "science" or not re.search(r" -\d", row.translation):
        return None
    return re.sub(r" -(?=\d)", " ", row.translation, count=1)


def lose_scale(row: Row, rng: random.Random) -> str | None:
    """250만 as 250, 12억 as 12만."""
    match = re.search(r"(?<=\d)[만억](?= )", row.translation)
    if match is None:
        return None
    new = rng.choice(["", "만" if match[0] == "억" else "억", "천"])
    return row.translation[: match.start()] + new + row.translation[match.end() :]


def in_formula(*changes: tuple[str, str]) -> Edit:
    """One of the ``changes`` (pattern, replacement) at one place of the Korean text."""

    def edit(row: Row, rng: random.Random) -> str | None:
        if row.domain not in ("algebra", "arithmetic", "science"):
            return None
        found = [
            (match, new)
            for pattern, new in changes
            for match in re.finditer(pattern, row.translation)
        ]
        if not found:
            return None
        match, new = rng.choice(found)
        text = row.translation
        return text[: match.start()] + match.expand(new) + text[match.end() :]

    return edit


def copy_source(row: Row, rng: random.Random) -> str | None:
    return (
        row.source
        if len(split_code(row)[1]) > 0 and row.domain not in ("short", "code-heavy")
        else None
    )


def has_prose(pair: Pair, fewest_words: int = 5) -> bool:
    english = re.sub(r"\$[^$]+\$|\\\(.*?\\\)|`[^`]+`", "", pair.english)
    return not pair.verbatim and len(re.findall(r"[A-Za-z]{2,}", english)) >= fewest_words


def replace_pair(row: Row, rng: random.Random, change: Callable[[Pair], str | None]) -> str | None:
    pairs = list(row.pairs)
    where = [i for i, pair in enumerate(pairs) if has_prose(pair)]
    if not where or row.domain == "short":
        return None
    at = rng.choice(where)
    korean = change(pairs[at])
    if korean is None:
        return None
    pairs[at] = replace(pairs[at], korean=korean)
    return join_korean(pairs)


def leave_sentence(row: Row, rng: random.Random) -> str | None:
    return replace_pair(row, rng, lambda pair: pair.english)


def leave_clause(row: Row, rng: random.Random) -> str | None:
    """The second half of a sentence stays English."""

    def change(pair: Pair) -> str | None:
        words, eojeols = pair.english.split(), pair.korean.split()
        if len(words) < 12 or re.search(r"[$\\`]", pair.english):
            return None
        return " ".join(eojeols[: len(eojeols) // 2] + words[len(words) // 2 :])

    return replace_pair(row, rng, change)


def cut_end(row: Row, rng: random.Random) -> str | None:
    """The text breaks off between two words or within one, after 30 to 90 % of it."""
    text = row.translation
    if row.domain in ("short", "choice", "code-heavy") or len(text) < 40 or row.pairs[-1].verbatim:
        return None
    cut = text[: int(len(text) * rng.uniform(0.3, 0.9))].rstrip()
    return None if cut.endswith((".", "?", "다", "요")) else cut


def drop_last(row: Row, rng: random.Random) -> str | None:
    if len(row.pairs) < 2 or not has_prose(row.pairs[-1]):
        return None
    return join_korean(row.pairs[:-1])


def drop_middle(row: Row, rng: random.Random) -> str | None:
    where = [i for i, pair in enumerate(row.pairs[:-1]) if has_prose(pair)]
    if len(row.pairs) < 3 or not where:
        return None
    at = rng.choice(where)
    return join_korean([*row.pairs[:at], *row.pairs[at + 1 :]])


def drop_all(row: Row, rng: random.Random) -> str | None:
    return rng.choice(("", " ", "\n")) if rng.random() < 0.1 else None


WAYS: dict[str, dict[str, Edit]] = {
    CODE: {
        "only its code": only_code,
        "only its code, unfenced": only_bare_code,
        "other code": only_new_code,
        "code and a word": code_and_a_word,
    },
    MIXED: {
        "fence lost": lose_fence,
        "fence not closed": lose_closing_fence,
        "code line lost": lose_line,
        "code translated": translate_name,
        "prose in the code": put_prose_into_code,
        "code in the prose": put_code_into_prose,
        "lines run together": run_lines_together,
        "indentation lost": lose_indent,
        "inline code lost or translated": translate_inline,
    },
    NUMBER: {
        "float: digit changed": edit_number(FLOAT, change_digit),
        "float: point moved": edit_number(FLOAT, move_point),
        "float: point lost": edit_number(FLOAT, lambda x, _: x.replace(".", "")),
        "float: point a comma": edit_number(FLOAT, lambda x, _: x.replace(".", ",")),
        "float: cut to its whole": edit_number(FLOAT, cut_to_whole),
        "float: missing": edit_number(FLOAT, lambda x, _: ""),
        "digit changed": edit_number(r"\d+", change_digit),
        "digits swapped": edit_number(r"\d{2,}", swap_digits),
        "missing": edit_number(r"\d+", lambda x, _: ""),
        "zero added": edit_number(r"[1-9]\d*", lambda x, _: x + "0"),
        "numeral changed": change_word,
        "percent lost": lose_percent,
        "minus lost": lose_minus,
        "scale lost or changed": lose_scale,
    },
    MATH: {
        "command translated": in_formula(
            (r"\\times", r"\\시간"), (r"\\frac", r"\\분수"), (r"\\sqrt", r"\\제곱근"),
            (r"\\cdot", r"\\점"), (r"\\leq", r"\\이하"), (r"\\log", r"\\로그"),
            (r"\\pi", r"\\파이"),
            (r"\\sum", r"\\합"), (r"\\vec", r"\\벡터"), (r"\\geq", r"\\이상"),
        ),
        "backslash lost": in_formula((r"\\([a-z]+)", r"\1")),
        "backslash apart": in_formula((r"\\([a-z]+)", r"\\ \1")),
        "dollar lost": in_formula((r"(?<!\$)\$(?=[^$\s])", ""), (r"(?<=[^$\s])\$(?!\$)", "")),
        "delimiter lost": in_formula((r"\\[()\[\]]", "")),
        "brace lost": in_formula((r"\}", ""), (r"\{", "")),
        "power lost": in_formula((r"\^(?=[\d{])", ""), (r"²", "")),
        "relation changed": in_formula(
            ("≤", "<"), ("≥", ">"), ("≠", "="), (r"\\leq", "<"), (r"\\neq", "="), (r"\\geq", ">"),
            ("∈", "E"), ("∉", "∈"), ("∪", "U"),
        ),
        "operator lost": in_formula(
            (r" ?[+×÷±=] ?(?=\S)", " "), ("√", ""), (r"(?<=\d) - (?=\d)", " "), (r"\\cdot ", "")
        ),
        "operator changed": in_formula(
            (r" \+ ", " - "), ("×", "?"), ("±", "+"), (r"(?<=\d) - (?=\d)", " + "),
            (r"\\times", "x"),
        ),
    },
    LEFT: {
        "not translated": copy_source,
        "a sentence not translated": leave_sentence,
        "half a sentence not translated": leave_clause,
        "cut off": cut_end,
        "last sentence missing": drop_last,
        "a sentence missing": drop_middle,
        "empty": drop_all,
    },
}  # fmt: skip
