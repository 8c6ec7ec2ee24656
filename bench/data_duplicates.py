"""Duplicates and contamination: what is found of edited copies, what is found wrongly, how fast.

    python bench/data_duplicates.py --kobest-dir DIR

Copies are made of real KoBEST items, by bench/korean_edits.py; nothing of them is written. Each
measurement of time and memory is a process of its own.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import random
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import combinations
from pathlib import Path
from typing import Any

from korean_edits import EDITS
from kot_platypus.data import minhash
from kot_platypus.data.build import load_korean_cot
from kot_platypus.data.contamination import BenchmarkIndex, Item
from kot_platypus.data.dedupe import find_duplicates
from kot_platypus.data.duplicates import cluster, iter_pairs
from kot_platypus.data.leaks import check_contamination, join_fields, list_fields
from kot_platypus.data.normal import normalise
from kot_platypus.data.replacements import MAX_WORDS
from kot_platypus.evaluate.tasks import COLUMNS, TASKS, load_task, load_texts

SEED = 7
MILLION = 1_000_000


def load_items(kobest_dir: str) -> list[Item]:
    """Dev and test of all five tasks."""
    return [
        Item(name, number, cells)
        for name, items in load_texts(kobest_dir).items()
        for number, cells in enumerate(items)
    ]


def load_train(kobest_dir: str) -> list[tuple[str, str]]:
    """Task and text of the train splits."""
    return [
        (task, Item("", 0, tuple(row[name] for name in COLUMNS[task] if name != "label")).text)
        for task in TASKS
        for row in load_task(task, kobest_dir).train
    ]


# --- what is found -----------------------------------------------------------------------------


def measure_contamination(kobest_dir: str, count: int) -> list[str]:
    items = load_items(kobest_dir)
    index = BenchmarkIndex(items)
    chosen = random.Random(SEED).sample(range(len(items)), count)
    lines = ["| edit | copies | found | by 13 characters |", "|---|---|---|---|"]
    for name, edit in EDITS.items():
        rng = random.Random(SEED)
        copies = [(i, text) for i in chosen if (text := edit(items[i].text, rng)) != items[i].text]
        everything, plain = set(), set()
        for match in index.scan([text for _, text in copies]):
            if match.item == copies[match.text][0]:
                everything.add(match.text)
                if match.how == "characters":
                    plain.add(match.text)
        cells = " | ".join(f"{len(each) / len(copies):.1%}" for each in (everything, plain))
        lines.append(f"| {name} | {len(copies):,} | {cells} |")
    return [*lines, "", *measure_false_hits(index, kobest_dir)]


def measure_false_hits(index: BenchmarkIndex, kobest_dir: str) -> list[str]:
    train = load_train(kobest_dir)
    same, other = set(), set()
    for match in index.scan([text for _, text in train]):
        task = index.items[match.item].benchmark.split("/")[1]
        (same if task == train[match.text][0] else other).add(match.text)
    own = [join_fields(list_fields(row)) for row in load_korean_cot()]
    own_found = {match.text for match in index.scan(own)}
    return [
        "| rows | | found |",
        "|---|---|---|",
        f"| KoBEST train against the other four tasks | {len(train):,} | {len(other)} "
        f"({len(other) / len(train):.3%}) |",
        f"| KoBEST train against its own task | {len(train):,} | {len(same)} "
        f"({len(same) / len(train):.2%}) |",
        f"| korean_cot | {len(own):,} | {len(own_found)} |",
    ]


def measure_near(kobest_dir: str, count: int) -> list[str]:
    texts = [item.text for item in load_items(kobest_dir)]
    texts = sorted({normalise(text): text for text in texts}.values())
    chosen = random.Random(SEED).sample(texts, count)
    lines = ["| edit | copies | found | wrong pairs |", "|---|---|---|---|"]
    for name, edit in EDITS.items():
        rng = random.Random(SEED)
        copies = [(i, copy) for i, t in enumerate(chosen) if (copy := edit(t, rng)) != t]
        pairs = list(iter_pairs([*chosen, *(copy for _, copy in copies)]))
        group = {row: rows[0] for rows in cluster(pairs) for row in rows}
        found = sum(group.get(i, -1) == group.get(count + n, -2) for n, (i, _) in enumerate(copies))
        source = [*range(count), *(i for i, _ in copies)]
        wrong = sum(
            pair.similarity >= 0.7 and source[pair.first] != source[pair.second] for pair in pairs
        )
        lines.append(f"| {name} | {len(copies):,} | {found / len(copies):.1%} | {wrong} |")
    return lines


# What is changed in a text, and into what: written down here, and not taken from what reads it.
ONES = ["일", "이", "삼", "사", "오", "육", "칠", "팔", "구"]
SWAPS: dict[str, tuple[str, list[str]]] = {
    "digits": (r"(?<![0-9.,])[2-9](?=[개명살마리권장시분년월원%])", list("23456789")),
    "years": (r"(?<![0-9])(?:1[89]|20)[0-9]{2}(?=년)", ["1894", "1950", "1987", "2003", "2019"]),
    "native numerals": (
        r"(?<![가-힣])(?:[두세네열]|다섯|여섯|일곱|여덟|아홉) ?(?=개|명|사람|마리|번|살|시간|달)",
        ["두", "세", "네", "다섯", "여섯", "일곱", "여덟", "아홉"],
    ),
    "Sino-Korean numerals": (
        r"(?<![가-힣])(?:[이삼사오육칠팔구]?[십백천만]) ?(?=원|년|명|미터|킬로|개|도|인)",
        [one + scale for one in ONES[1:] for scale in "십백천만"],
    ),
    "one Sino-Korean syllable": (
        r"(?<![가-힣])[이삼사오육칠팔구] ?(?=센티|미터|킬로|학년|층|월|인분|차 )",
        ONES[1:],
    ),
    "days": (
        r"(?<![가-힣])(?:이틀|사흘|나흘|닷새|열흘|보름)",
        ["이틀", "사흘", "나흘", "닷새", "열흘", "보름"],
    ),
    "오전, 오후": (r"오전|오후", ["오전", "오후"]),
    "이상, 이하": (r"(?<=[0-9가-힣] )(?:이상|이하|미만)(?=[의인은이 ])", ["이상", "이하", "미만"]),
    "있다, 없다": (r"(?<= )(?:있|없)(?=다|고|는|어)", ["있", "없"]),
    "another person": (
        r"(?<![가-힣])(?:남자|여자|아이|친구|소녀|의사)(?=[가는를의])",
        ["남자", "여자", "아이", "친구", "소녀", "의사"],
    ),
}
NEGATED = re.compile(r"([가-힣])지 않았다")
FRAMES = (
    "{}짜리 공책을 여러 권 사고 만 원을 내면 거스름돈은 얼마인지 식을 쓰고 답을 구하시오.",
    "한 변의 길이가 {}인 정사각형의 둘레와 넓이를 각각 구하고 풀이 과정을 쓰시오.",
    "기차가 서울역에서 {}에 떠나 부산역까지 쉬지 않고 달렸다면 도착하는 때는 언제인지 쓰시오.",
    "다음 글을 읽고 알맞은 제목을 붙이시오. 우리 가족은 {} 할머니 댁에 간다.",
)
FILLINGS = (
    ["삼백 원", "오백 원", "천이백 원", "이천 원", "칠백오십 원", "육백 원", "팔천 원"],
    ["칠 센티미터", "구 센티미터", "십이 미터", "오 미터", "이십일 미터", "삼 센티미터"],
    ["오전 세 시", "오후 세 시", "오전 네 시", "오전 세 시 반", "정오", "오전 아홉 시 십 분"],
    ["주말에", "주말에 안", "주말에 못", "이틀 뒤", "사흘 뒤", "월요일에", "화요일에"],
)


def measure_problems(kobest_dir: str, count: int) -> list[str]:
    """Texts and the same with another number, negation or opposite: how many are called one."""
    rng = random.Random(SEED)
    texts = sorted({text for _, text in load_train(kobest_dir) if 20 <= len(text) <= 300})
    cases: dict[str, list[tuple[str, str]]] = {}
    for name, (pattern, choices) in SWAPS.items():
        found = [text for text in texts if re.search(pattern, text)]
        chosen = rng.sample(found, min(count, len(found)))
        cases[name] = [(text, _swap(rng, pattern, choices, text)) for text in chosen]
    people = cases.pop("another person")
    for kind, is_long in (("up to", False), ("more than", True)):
        cases[f"another person, {kind} {MAX_WORDS} words"] = [
            pair for pair in people if (len(pair[0].split()) > MAX_WORDS) is is_long
        ]
    negated = [text for text in texts if NEGATED.search(text)][:count]
    cases["-지 않았다 left out"] = [
        (text, NEGATED.sub(lambda found: found[1] + "았다", text, count=1)) for text in negated
    ]
    cases["sentences made for it"] = [
        (frame.format(one), frame.format(other))
        for frame, fillings in zip(FRAMES, FILLINGS, strict=True)
        for one, other in combinations(fillings, 2)
    ]
    lines = ["| what differs | pairs | called one |", "|---|---|---|"]
    for name, pairs in cases.items():
        wrong = sum(bool(cluster(iter_pairs(pair))) for pair in pairs)
        lines.append(f"| {name} | {len(pairs):,} | {wrong} ({wrong / max(1, len(pairs)):.1%}) |")
    return lines


def _swap(rng: random.Random, pattern: str, choices: list[str], text: str) -> str:
    found = re.search(pattern, text)
    assert found
    word = found[0].rstrip(" ")
    other = rng.choice([each for each in choices if each != word])
    return text[: found.start()] + other + text[found.start() + len(word) :]


TEMPLATE = (
    "다음 글을 읽고 글쓴이가 느낀 감정이 긍정인지 부정인지 판단하시오. 답은 긍정 또는 부정 가운데 "
    "하나로만 쓰고 이유는 쓰지 마시오. 글: "
)


def measure_template(kobest_dir: str, count: int) -> list[str]:
    """Rows that share a template, and copies of some without one word."""
    rng = random.Random(SEED)
    fillings = sorted({text for task, text in load_train(kobest_dir) if task == "copa"})[:count]
    chosen = rng.sample(range(len(fillings)), len(fillings) // 10)
    copies = []
    for i in chosen:
        words = fillings[i].split()
        del words[rng.randrange(len(words))]
        copies.append(" ".join(words))
    lines = [
        "| compared in a large bucket | pairs a row | copies found | processor s |",
        "|---|---|---|---|",
    ]
    for neighbours in (2, minhash.NEIGHBOURS, minhash.MAX_BUCKET - 1):
        minhash.NEIGHBOURS, usual = neighbours, minhash.NEIGHBOURS
        started = time.process_time()
        pairs = list(iter_pairs(TEMPLATE + filling for filling in [*fillings, *copies]))
        seconds = time.process_time() - started
        minhash.NEIGHBOURS = usual
        together = {(pair.first, pair.second) for pair in pairs}
        found = sum((i, len(fillings) + n) in together for n, i in enumerate(chosen))
        rows = len(fillings) + len(copies)
        lines.append(
            f"| {neighbours} neighbours | {len(pairs) / rows:.0f} | {found} of {len(copies)} "
            f"| {seconds:.1f} |"
        )
    return lines


# --- time and memory ---------------------------------------------------------------------------


def write_rows(path: Path, kobest_dir: str, count: int) -> None:
    """Rows of five sentences of KoBEST's train splits; some are copies, some hold test items."""
    rng = random.Random(SEED)
    train = [text for _, text in load_train(kobest_dir)]
    sentences = sorted(
        {part.strip() for text in train for part in text.split(". ") if len(part) > 9}
    )
    items = [item.text for item in load_items(kobest_dir)]
    past: list[str] = []
    with path.open("w", encoding="utf-8") as file:
        for text in _iter_texts(rng, sentences, items, past, count):
            row = {"source": text, "rationale": rng.choice(sentences), "target": "예"}
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


def _iter_texts(
    rng: random.Random, sentences: list[str], items: list[str], past: list[str], count: int
) -> Iterator[str]:
    for _ in range(count):
        chance, parts = rng.random(), rng.sample(sentences, 5)
        if chance < 0.02 and past:
            text = rng.choice(past)
        elif chance < 0.07 and past:
            words = rng.choice(past).split()
            del words[rng.randrange(len(words))]
            text = " ".join(words)
        else:
            text = ". ".join([*parts[:4], rng.choice(items) if chance > 0.99 else parts[4]])
        if len(past) < 10_000:
            past.append(text)
        yield text


def time_duplicates(data: Path, out: Path, kobest_dir: str) -> str:
    report = find_duplicates(data, out / "duplicates")
    return f"{report['dropped']:,} dropped"


def time_contamination(data: Path, out: Path, kobest_dir: str) -> str:
    verdict = check_contamination(data, out / "contamination", load_texts(kobest_dir))
    return f"{verdict.leaked_rows:,} leaked"


def _measure(step: Callable[..., str], *arguments: Any) -> dict[str, Any]:
    started, busy = time.perf_counter(), time.process_time()
    result = step(*arguments)
    return {
        "result": result,
        "seconds": time.perf_counter() - started,
        "cpu_s": time.process_time() - busy,
        "gib": _read_peak_gib(),
    }


def _read_peak_gib() -> float:
    """Of this process alone: getrusage's figure is inherited from the one that started it."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(found[1]) / 2**20 if found else float("nan")


def run_alone(step: Callable[..., str], *arguments: Any) -> dict[str, Any]:
    """Run a step in a process of its own: seconds, processor seconds, peak memory."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_measure, step, *arguments).result()


def measure_speed(kobest_dir: str, count: int) -> list[str]:
    """At a tenth of the rows and at all of them: a million's time goes on along that line."""
    lines = ["| step | rows | result | s | processor s | peak GiB | 1 M rows, min |"]
    lines.append("|---|---|---|---|---|---|---|")
    for name, step in (("duplicates", time_duplicates), ("contamination", time_contamination)):
        seconds: dict[int, float] = {}
        for rows in (count // 10, count):
            with tempfile.TemporaryDirectory() as folder:
                data = Path(folder) / "rows.jsonl"
                write_rows(data, kobest_dir, rows)
                found = run_alone(step, data, Path(folder), kobest_dir)
            seconds[rows] = found["seconds"]
            slope = (found["seconds"] - seconds[count // 10]) / max(1, rows - count // 10)
            million = (found["seconds"] + slope * (MILLION - rows)) / 60
            lines.append(
                f"| {name} | {rows:,} | {found['result']} | {found['seconds']:.0f} | "
                f"{found['cpu_s']:.0f} | {found['gib']:.2f} | {million:.1f} |"
                if rows == count
                else f"| {name} | {rows:,} | {found['result']} | {found['seconds']:.0f} | "
                f"{found['cpu_s']:.0f} | {found['gib']:.2f} | |"
            )
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kobest-dir", required=True)
    parser.add_argument("--items", type=int, default=2000, help="how many items are copied")
    parser.add_argument("--rows", type=int, default=100_000, help="how many rows are timed")
    parser.add_argument("--only", default="", help="the beginning of a title: that part alone")
    options = parser.parse_args()
    for title, measure, count in (
        ("Contamination", measure_contamination, options.items),
        ("Near-duplicates", measure_near, options.items),
        ("Problems that differ in a word", measure_problems, options.items),
        ("Near-duplicates in a template", measure_template, options.items),
        ("Time and memory", measure_speed, options.rows),
    ):
        if title.startswith(options.only):
            print(f"### {title}", "", *measure(options.kobest_dir, count), "", sep="\n", flush=True)


if __name__ == "__main__":
    main()
