"""One way of writing what looks alike: Unicode, Markdown and LaTeX around an answer."""

from __future__ import annotations

import re
import unicodedata

_UNSEEN = "\u20e3\u200b\u200c\u200d\u200e\u200f\u2060\ufeff\u00ad\ufe0e\ufe0f"
_SPACES = "\u00a0\u2002\u2003\u2005\u2007\u2009\u200a\u202f\u3000\t"
_MINUS = "\u2212\u2013\u2010\u2011\u2012\ufe63"
_ALIKE = (
    dict.fromkeys(map(ord, _UNSEEN))
    | dict.fromkeys(map(ord, _SPACES), " ")
    | dict.fromkeys(map(ord, _MINUS), "-")
    | {code: chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F)}
    | {ord("。"): ".", ord("∶"): ":", ord("⁄"): "/", ord("∕"): "/"}
)
_RARE = re.compile("[" + "".join(map(chr, _ALIKE)).replace("-", r"\-").replace("]", r"\]") + "]")
# Joy, not content; crosses stay, since they deny.
_EMOJI = re.compile(
    r"[\U0001F300-\U0001F6AA\U0001F6B0-\U0001FAFF\u2600-\u26FF\u2705\u2714\u2728\u2713]"
)
_LOWERED = str.maketrans("₀₁₂₃₄₅₆₇₈₉", "0123456789")
_FENCE = re.compile(r"^```\w*[ ]*$\n?", re.MULTILINE)
_MARKUP = re.compile(
    r"(?=[*_`~<])(?:\*\*(?!\d)|(?<!\d)\*\*|__(?!\w)|(?<!\w)__|`|~~.*?~~"
    r"|</?(?:answer|b|strong|s)>|<\|(?:im_end|endoftext|eot_id|end)\|>|<(?:eos|end_of_turn)>)"
)
_DISPLAY = re.compile(r"(\$\$|\\\[)\s*(.{0,500}?)\s*(\$\$|\\\])", re.DOTALL)


def flatten(text: str) -> str:
    """``text`` in NFC, with plain spaces, ASCII for full-width forms and nothing that is unseen."""
    if text.isascii():
        return text
    if not unicodedata.is_normalized("NFC", text):
        text = unicodedata.normalize("NFC", text)
    return text.translate(_ALIKE) if _RARE.search(text) else text


def unmark(text: str) -> str:
    """Flat text without Markdown's emphasis, and with every displayed formula in one line."""
    if "$$" in text or "\\[" in text:
        text = _DISPLAY.sub(lambda found: f"$ {' '.join(found[2].split())} $", text)
    return _MARKUP.sub("", _FENCE.sub("", text))


# --- LaTeX -------------------------------------------------------------------------------------

_GROUP = r"\{((?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\})*)\}"
_BOXED = re.compile(rf"\\(?:boxed|fbox)\s*{_GROUP}|\\boxed\s+([^\s${{}}.,]+)")
_WORDS = re.compile(
    rf"\\(?:text|textbf|textit|mathrm|mathbf|mathit|mbox|operatorname|ce)\s*{_GROUP}"
)
_FRACTION = re.compile(
    r"(?P<before>\d)?\s*\\[dtc]?frac\s*(?:\{(?P<above>[^{}]*)\}\s*\{(?P<below>[^{}]*)\}"
    r"|(?P<a>\d)\s*(?P<b>\d))"
)
_ROOT = re.compile(r"\\sqrt\s*(?:\{(\d+|[a-z])\}|(\d|[a-z]))")
_INDEX = re.compile(r"(?<!\\log)(?<!\\lg)(?<=[A-Za-z)])_\{?(\d+)\}?")
_DOLLARS = re.compile(r"\$\$?\s*([^$]+?)\s*\$\$?")
_SIGNS = [
    (re.compile(pattern), new)
    for pattern, new in (
        (r"\\[()\[\]]", ""),
        (r"(?<=\d)(?:\{,\}|\\,|,\\!)(?=\d{3})", ","),
        (
            r"(?<!\\)\\(?:[,;:! ]|quad\b|qquad\b|left(?![a-z])|right(?![a-z])|displaystyle\b)"
            r"|~",
            " ",
        ),
        (r"\\%", "%"),
        (r"\\\$", "$"),
        (r"\\(?:times|ast)(?![A-Za-z])", "×"),
        (r"\\cdot(?![A-Za-z])", "·"),
        (r"\\pi(?![A-Za-z])", "π"),
        (r"\\therefore(?![A-Za-z]) ?", ""),
        (r"\\leq?(?![A-Za-z])", "≤"),
        (r"\\geq?(?![A-Za-z])", "≥"),
        (r"\\neq?(?![A-Za-z])", "≠"),
        (r"\\pm(?![A-Za-z])", "±"),
        (r"\\(?=[{}])", ""),
        (r"\^\s*\{?\\circ\}?", "°"),
        (r"\\(?:degree|degrees)\b", "°"),
        (r"\^\{(-?\d+|-?\w)\}(?!\d)", r"^\1"),
    )
]
_TYPED = ((re.compile("<="), "≤"), (re.compile(">="), "≥"), (re.compile(r"(?<!\d)!="), "≠"))
_RAISED = re.compile(r"[⁻⁰¹²³⁴-⁹]+")
_RAISED_DIGITS = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")


def find_boxed(text: str) -> list[tuple[int, int, str]]:
    r"""Every ``\boxed{...}``: start, end, content."""
    return [
        (found.start(), found.end(), found[1] if found[1] is not None else found[2])
        for found in _BOXED.finditer(text)
    ]


def plain(text: str) -> str:
    """An answer of one line without what frames it: LaTeX's dollars, boxes, words and fractions."""
    text = unmark(flatten(text))
    if not text.isascii():
        text = re.sub(r"(?<!\\)log(?=[₀-₉])", r"\\log_", _EMOJI.sub("", text)).translate(_LOWERED)
    if "\\" in text:
        text = _BOXED.sub(lambda found: found[1] or found[2] or "", text)
        text = _WORDS.sub(lambda found: found[1], text)
        text = _ROOT.sub(r"√\1\2", text)
        text = _FRACTION.sub(_write_fraction, text)
    if "$" in text or "\\" in text:
        text = _INDEX.sub(r"\1", text)
        text = _DOLLARS.sub(lambda found: found[1], text)
    if "\\" in text or "{" in text or "~" in text:
        for pattern, new in _SIGNS:
            text = pattern.sub(new, text)
    if not text.isascii():
        text = _RAISED.sub(lambda found: "^" + found[0].translate(_RAISED_DIGITS), text)
        text = re.sub(r"\s*[ㅋㅎㅠㅜ]{2,}$", "", text)
        text = re.sub(r"(?<=\d)파이(?![가-힣])", "π", text)
        text = re.sub(r"(?<![가-힣])루트 ?(?=[\d(a-z])", "√", text.replace("\\infty", "∞"))
        text = re.sub(r"(음의 )?(?:양의 )?무한대", lambda f: "-∞" if f[1] else "∞", text)
        text = re.sub(r"(\d+|\b[a-z])의 (\d+)제곱(?!미터|센)", r"\1^\2", text)
    if "=" in text:
        for typed, sign in _TYPED:  # 5!=120 is a factorial
            text = typed.sub(sign, text)
    return " ".join(text.replace("\\infty", "∞").split())


def _write_fraction(found: re.Match[str]) -> str:
    above, below = found["above"] or found["a"] or "", found["below"] or found["b"] or ""
    sign = "-" if above.startswith("-") else ""
    above = above.removeprefix("-")
    parts = [part if re.fullmatch(r"[\w.√π]+", part) else f"({part})" for part in (above, below)]
    before = f"{found['before']} " if found["before"] else ""
    value = sign + before + "/".join(parts)
    follows = found.string[found.end() : found.end() + 3].strip()
    return f"({value})" if re.match(r"\\?pi|[a-zπ√]", follows) else value
