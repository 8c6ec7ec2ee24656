from __future__ import annotations

import random

import numpy as np
import pytest

from kot_platypus.artifacts import read_json, write_jsonl
from kot_platypus.data import dedupe, minhash
from kot_platypus.data.dedupe import describe_clusters, find_duplicates, list_clusters
from kot_platypus.data.duplicates import Pair, cluster, iter_pairs, list_dropped
from kot_platypus.data.minhash import compute_jaccard, sign_normals
from kot_platypus.data.normal import encode_normals
from kot_platypus.data.semantic import find_similar, load_encoder
from kot_platypus.errors import MissingExtraError, UsageError
from kot_platypus.records import Dialogue, Example, Message

SHIP = "항구를 떠난 배가 폭풍을 만나 먼 섬에 닿았고, 선원들은 그곳에서 겨울을 보내며 배를 고쳤다."
SHIP_EDITED = (
    "항구를 떠난 배는 폭풍을 만나 먼 섬에 닿았고 선원들은 그곳에서 겨울을 보내며 배를 고쳤습니다."
)
BAKER = "빵집 주인은 새벽마다 반죽을 하고 아침이 되면 갓 구운 빵을 이웃들에게 나누어 주었다."
APPLES = "민수는 사과를 {} 샀고 지우는 배를 두 개 샀다. 두 사람이 산 과일은 모두 몇 개인가?"


def list_pairs(*args: object, **options: object) -> list[Pair]:
    return list(iter_pairs(*args, **options))


def sign(texts: list[str]) -> np.ndarray:
    return sign_normals(*encode_normals(texts))


def find_clusters(texts: list[str], **options: object) -> list[tuple[int, ...]]:
    return cluster(list_pairs(texts, **options))


def measure_jaccard(first: str, second: str) -> float:
    (similarity,) = compute_jaccard([first, second], np.array([[0, 1]]))
    return float(similarity)


# --- exact and near ----------------------------------------------------------------------------


def test_same_text_with_other_spacing_is_an_exact_pair():
    (pair,) = list_pairs([SHIP, BAKER, SHIP.replace(" ", "")])
    assert (pair.first, pair.second, pair.kind) == (0, 2, "exact")


def test_each_equal_text_is_paired_with_the_first():
    pairs = list_pairs([BAKER, SHIP, SHIP, SHIP])
    assert [(pair.first, pair.second) for pair in pairs] == [(1, 2), (1, 3)]


def test_edited_copy_is_a_near_pair_with_its_true_similarity():
    (pair,) = list_pairs([SHIP, BAKER, SHIP_EDITED])
    true = measure_jaccard(SHIP, SHIP_EDITED)
    assert (pair.first, pair.second, pair.kind) == (0, 2, "near")
    assert pair.similarity == pytest.approx(true, abs=1e-4)


def test_jaccard_by_hand():
    # abcd bcde cdef against abcd bcde cdeg: two of four.
    assert measure_jaccard("abcdef", "abcdeg") == 0.5


@pytest.mark.parametrize("other", ["네 개", "5개", "열 개"])
def test_texts_that_differ_in_a_number_are_not_duplicates(other):
    assert find_clusters([APPLES.format("세 개"), APPLES.format(other)]) == []


def test_near_pair_that_asks_another_thing_is_none():
    assert list_pairs([f"{SHIP} 오전에 도착했다.", f"{SHIP} 오후에 도착했다."]) == []


def test_equal_letters_with_other_operators_are_no_exact_pair():
    assert find_clusters(["어떤 수는 7 + 2이다. 얼마인가?", "어떤 수는 7 - 2이다. 얼마인가?"]) == []


def test_number_in_words_is_the_same_as_in_digits():
    assert find_clusters([APPLES.format("세 개"), APPLES.format("3개")]) == [(0, 1)]


@pytest.mark.parametrize(
    "texts", [["물", "불"], ["3+4는?", "3-4는?"], ["서울의 수도?", "서울의 구도?"]]
)
def test_short_texts_are_only_duplicates_when_equal(texts):
    assert find_clusters(texts) == []


def test_short_equal_texts_are_duplicates():
    assert find_clusters(["물은?", "불은?", "물은 ?"]) == [(0, 2)]


def test_texts_of_signs_alone_are_not_all_the_same():
    assert find_clusters(["!!!", "???", "\U0001f600", ""]) == []


@pytest.mark.parametrize("texts", [[], [""], ["", SHIP]])
def test_nothing_to_compare_is_no_error(texts):
    assert list_pairs(texts) == []


def make_texts(count: int) -> list[str]:
    """Random sentences, a third of them edited copies of others."""
    rng = random.Random(1)
    words = [*SHIP.split(), *BAKER.split(), *APPLES.split()[:6]]
    texts = [" ".join(rng.choices(words, k=14)) for _ in range(count)]
    return texts + [text.replace("를", "는") + " 끝" for text in texts[: count // 2]]


def test_shuffled_rows_give_the_same_clusters():
    texts = make_texts(60)
    order = list(range(len(texts)))
    random.Random(2).shuffle(order)
    shuffled = find_clusters([texts[i] for i in order])
    back = sorted(tuple(sorted(order[row] for row in rows)) for rows in shuffled)
    assert back == find_clusters(texts)
    assert len(back) > 10


def test_rows_of_one_template_in_any_order_give_the_same_pairs(monkeypatch):
    monkeypatch.setattr(minhash, "MAX_BUCKET", 3)
    monkeypatch.setattr(minhash, "NEIGHBOURS", 2)
    texts = [f"{SHIP} {word}" for word in "가나다라마바사아자차"]
    pairs = {(texts[p.first], texts[p.second]) for p in list_pairs(texts)}
    turned = texts[::-1]
    assert {(turned[p.second], turned[p.first]) for p in list_pairs(turned)} == pairs


def test_rows_of_one_template_have_few_pairs_and_their_copies_are_found(monkeypatch):
    monkeypatch.setattr(minhash, "MAX_BUCKET", 5)
    monkeypatch.setattr(minhash, "NEIGHBOURS", 1)
    rng = random.Random(3)
    fillings = ["".join(rng.choices("가나다라마바사아자차카타파하", k=14)) for _ in range(200)]
    texts = [f"{SHIP} {BAKER} {filling}" for filling in fillings]
    copies = [text.replace(" 먼 ", " ") for text in texts[::20]]
    pairs = list_pairs([*texts, *copies])
    assert {(pair.first, pair.second) for pair in pairs} >= {(20 * i, 200 + i) for i in range(10)}
    assert len(pairs) < 2000  # of 21,945: all are alike


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_any_chunk_size_gives_the_same_pairs(monkeypatch, size):
    texts = make_texts(30)
    expected = list_pairs(texts)
    monkeypatch.setattr("kot_platypus.data.duplicates.CHUNK_ROWS", size)
    monkeypatch.setattr("kot_platypus.data.duplicates.CHUNK_PAIRS", size)
    assert list_pairs(iter(texts)) == expected


def test_signature_depends_on_its_text_alone():
    texts = make_texts(10)
    alone = np.concatenate([sign([text]) for text in texts])
    assert (sign(texts) == alone).all()


def test_signatures_estimate_the_jaccard_similarity():
    one, other = sign([SHIP, SHIP_EDITED])
    true = measure_jaccard(SHIP, SHIP_EDITED)
    assert (one == other).mean() == pytest.approx(true, abs=0.13)


# --- semantic ----------------------------------------------------------------------------------


def encode_by_topic(texts: list[str]) -> np.ndarray:
    """A stand-in: texts about ships point one way, others another."""
    return np.array([[1.0, 0.0] if "배" in text else [0.0, 1.0] for text in texts])


def test_texts_of_one_meaning_are_semantic_pairs():
    texts = [SHIP, BAKER, "배를 타고 나간 사람들이 섬에서 겨울을 났다."]
    pairs = list_pairs(texts, ("semantic",), encode=encode_by_topic)
    assert [(pair.first, pair.second, pair.kind) for pair in pairs] == [(0, 2, "semantic")]


@pytest.mark.parametrize("other", ["배 네 척이 항구를 떠났다.", "배 세 척이 항구를 안 떠났다."])
def test_what_asks_another_thing_is_no_semantic_pair(other):
    texts = ["배 세 척이 항구를 떠났다.", other]
    assert list_pairs(texts, ("semantic",), encode=encode_by_topic) == []


def test_number_in_digits_leaves_a_semantic_pair():
    texts = ["배 스무 대가 항구를 떠나 먼 바다로 나갔다.", "배 20대는 바다로 멀리 나갔다."]
    assert len(list_pairs(texts, ("semantic",), encode=encode_by_topic)) == 1


@pytest.mark.parametrize("block_rows", [1, 3, 100])
def test_blocks_of_any_size_give_all_pairs(monkeypatch, block_rows):
    vectors = np.random.default_rng(0).normal(size=(17, 4))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    expected = {(i, j) for i in range(17) for j in range(i) if vectors[i] @ vectors[j] >= 0.5}
    monkeypatch.setattr("kot_platypus.data.semantic.BLOCK_ROWS", block_rows)
    found = find_similar(vectors, np.zeros(17, dtype=np.uint64), 0.5)
    assert {(j, i) for i, j, _ in found} == expected


@pytest.mark.slow
def test_offline_encoder_finds_an_edited_copy():
    vectors = load_encoder()([SHIP, SHIP_EDITED, BAKER])
    assert vectors[0] @ vectors[1] > 0.8 > 0.5 > vectors[0] @ vectors[2]


def test_missing_encoder_names_its_extra(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "sentence_transformers", None)
    with pytest.raises(MissingExtraError, match=r"kot-platypus\[semantic\]"):
        load_encoder("some/model")


# --- clusters ----------------------------------------------------------------------------------


def make_pair(first: int, second: int, similarity: float) -> Pair:
    return Pair(first=first, second=second, kind="near", similarity=similarity)


def test_rows_hang_together_by_way_of_others():
    pairs = [make_pair(4, 7, 0.9), make_pair(1, 9, 0.8), make_pair(2, 7, 0.75)]
    assert cluster(pairs) == [(1, 9), (2, 4, 7)]
    assert list_dropped(cluster(pairs)) == {4, 7, 9}


def test_threshold_decides_which_pairs_count():
    pairs = [make_pair(0, 1, 0.6), make_pair(1, 2, 0.9)]
    assert cluster(pairs, {"near": 0.9}) == [(1, 2)]
    assert cluster(pairs, {"near": 0.5}) == [(0, 1, 2)]


# --- files -------------------------------------------------------------------------------------


@pytest.fixture
def data(tmp_path):
    path = tmp_path / "rows.jsonl"
    texts = [SHIP, BAKER, SHIP_EDITED, BAKER]
    write_jsonl(path, [Example(source=t, target=str(i)) for i, t in enumerate(texts)])
    return path


def test_first_of_each_cluster_is_kept_as_it_was(data, tmp_path):
    report = find_duplicates(data, tmp_path / "out")
    kept = (tmp_path / "out" / "kept.jsonl").read_text(encoding="utf-8")
    assert kept == "".join(data.read_text(encoding="utf-8").splitlines(keepends=True)[:2]).replace(
        '","', '", "'
    ).replace('":"', '": "')
    assert (report["kept"], report["dropped"], report["clusters"]) == (2, 2, 2)
    assert read_json(tmp_path / "out" / "report.json") == report


def test_rows_that_ask_nothing_are_duplicates_only_where_they_answer_the_same(tmp_path):
    answers = [SHIP, BAKER, SHIP]
    rows = [Example(source="", input=" ", rationale=text, target="") for text in answers]
    talks = [Dialogue(messages=(Message(role="assistant", content=t),)) for t in ("봄", "여름")]
    write_jsonl(tmp_path / "rows.jsonl", [*rows, *talks])
    find_duplicates(tmp_path / "rows.jsonl", tmp_path / "out")
    assert list_clusters(tmp_path / "out") == [(0, 2)]


def test_other_threshold_needs_no_search(data, tmp_path, monkeypatch):
    find_duplicates(data, tmp_path / "out")
    monkeypatch.setattr(dedupe, "iter_pairs", None)
    report = find_duplicates(data, tmp_path / "out", thresholds={"exact": 1.0, "near": 0.99})
    assert report["dropped"] == 1


def test_threshold_below_what_is_kept_is_refused(data, tmp_path):
    with pytest.raises(UsageError, match=r"0\.3 of near pairs; expected 0\.5 to 1"):
        find_duplicates(data, tmp_path / "out", thresholds={"exact": 1.0, "near": 0.3})


def test_clusters_are_shown_with_their_texts(data, tmp_path):
    find_duplicates(data, tmp_path / "out")
    first, second, *_ = describe_clusters(data, tmp_path / "out", 5).splitlines()
    assert first == f"row 0  {SHIP}"
    assert second.startswith("  row 2, near 0.")
    assert second.endswith(SHIP_EDITED)
