from __future__ import annotations

import random
import sys

import pytest

from kot_platypus.data.translation.ledger import open_ledger
from kot_platypus.data.translation.protection import Problem
from kot_platypus.data.translation.translate import estimate, translate_texts
from kot_platypus.errors import BudgetError, MissingExtraError, ServiceError
from tests.data.deepl_server import MAX_BYTES, Fault, count
from tests.data.translation.conftest import make_deepl

WORDS = ("the", "cat", "sat", "on", "mats", "while", "dogs", "&", "birds", "<", "bears", "ran")


def make_texts(number: int, seed: int = 0, *, num_words: int = 12) -> list[str]:
    rng = random.Random(seed)
    return [
        f"{' '.join(rng.choices(WORDS, k=num_words))} number{i:c} {rng.randrange(99)}."
        for i in (0xAC00 + n for n in range(number))  # a Korean letter each: distinct as sent
    ]


def translated(texts: list[str]) -> list[str]:
    """What the server makes of texts."""
    return [f"옮김 {text}" for text in texts]


def read(outcomes) -> list[str]:
    return [outcome.text for outcome in outcomes]


TEXTS = make_texts(120)
DISTINCT = len(TEXTS)


# --- the ordinary way --------------------------------------------------------------------------


def test_texts_come_back_translated_in_their_order(deepl, service, ledger):
    outcomes = translate_texts(TEXTS, deepl, ledger)
    assert read(outcomes) == translated(TEXTS)
    assert {outcome.problems for outcome in outcomes} == {()}


def test_bill_is_the_characters_of_the_distinct_texts(deepl, service, ledger):
    translate_texts(TEXTS + TEXTS[:30], deepl, ledger)
    assert service.twice == 0
    assert len(service.texts) == DISTINCT
    assert service.bill == ledger.bill().total == sum(map(count, service.texts))


def test_second_call_pays_nothing(deepl, service, ledger):
    first = translate_texts(TEXTS, deepl, ledger)
    bill, requests = service.bill, len(service.times)
    second = translate_texts(TEXTS, deepl, ledger)
    assert read(second) == read(first)
    assert (service.bill, len(service.times)) == (bill, requests)


def test_ledger_outlives_the_process_that_wrote_it(deepl, service, tmp_path):
    for _ in range(2):
        with open_ledger(tmp_path / "ledger") as ledger:
            outcomes = translate_texts(TEXTS, deepl, ledger)
    assert read(outcomes) == translated(TEXTS)
    assert service.twice == 0


def test_texts_that_differ_in_protected_pieces_alone_are_paid_for_once(deepl, service, ledger):
    outcomes = translate_texts(["Tom has 3 cats", "Tom has 5 cats"], deepl, ledger)
    assert read(outcomes) == ["옮김 Tom has 3 cats", "옮김 Tom has 5 cats"]
    assert service.bill == len("Tom has  cats")


def test_text_without_words_is_its_own_translation_and_free(deepl, service, ledger):
    outcomes = translate_texts(["", "42", " 3 + 4 = 7\n", "`code`"], deepl, ledger)
    assert read(outcomes) == ["", "42", " 3 + 4 = 7\n", "`code`"]
    assert service.times == []


def test_white_space_around_a_text_is_kept_and_not_paid_for(deepl, service, ledger):
    (outcome,) = translate_texts(["\n  a cat \n"], deepl, ledger)
    assert outcome.text == "\n  옮김 a cat \n"
    assert service.bill == len("a cat")


def test_other_parameters_are_another_translation(server, service, deepl, ledger):
    translate_texts(["a cat"], deepl, ledger)
    again = make_deepl(server[0], context="Animals.")
    translate_texts(["a cat"], again, ledger)
    assert [body.get("context") for body in service.bodies] == [None, "Animals."]


def test_deepl_is_asked_as_korean_needs_it(deepl, service, ledger):
    translate_texts(["a cat"], deepl, ledger)
    (body,) = service.bodies
    wanted = {
        "source_lang": "EN",
        "target_lang": "KO",
        "formality": "prefer_more",
        "tag_handling": "xml",
        "tag_handling_version": "v2",
    }
    assert {name: body[name] for name in wanted} == wanted


# --- limits ------------------------------------------------------------------------------------


def test_no_request_has_more_than_fifty_texts(deepl, service, ledger):
    translate_texts(TEXTS, deepl, ledger)
    assert [len(body["text"]) for body in service.bodies] == [50, 50, 20]


@pytest.mark.parametrize("letters", ["word ", "낱말 ", "< & "])
def test_no_request_is_larger_than_128_kib(deepl, service, ledger, letters):
    texts = [f"{letters * 900}{chr(0xAC00 + i)}" for i in range(60)]
    translate_texts(texts, deepl, ledger)
    assert len(service.bodies) > 2
    assert max(service.sizes) <= MAX_BYTES
    assert service.sizes[0] > MAX_BYTES / 2, "requests are as large as they may be"


def test_text_that_no_request_can_hold_is_a_problem_of_its_own(deepl, service, ledger):
    outcomes = translate_texts(["word " * 40_000, "a cat"], deepl, ledger)
    assert outcomes[0].problems == (Problem(kind="too_long"),)
    assert outcomes[1].text == "옮김 a cat"


def test_one_request_at_a_time_so_that_the_counter_means_something(deepl, service, ledger):
    translate_texts(TEXTS, deepl, ledger)
    assert service.most_under_way == 1


# --- what a service gets wrong -----------------------------------------------------------------


def lose_tags(xml: str) -> str:
    return "옮김"


def double_tags(xml: str) -> str:
    return f"옮김 {xml} {xml}"


def move_tags(xml: str) -> str:
    return '옮김 <x id="2"/> <x id="1"/>'


def invent_tags(xml: str) -> str:
    return f'옮김 {xml} <x id="9"/>'


def drop_sentences(xml: str) -> str:
    return xml.partition(". ")[0]


@pytest.mark.parametrize(
    ("spoil", "kinds"),
    [
        (lose_tags, ["lost", "lost"]),
        (double_tags, ["repeated", "repeated"]),
        (move_tags, []),
        (invent_tags, ["unknown"]),
        (drop_sentences, ["lost"]),
        (lambda xml: '<x id="1"/> <x id="2"/>', ["empty"]),
        (lambda xml: "", ["empty"]),
    ],
)
def test_spoilt_placeholders_are_told_and_the_translation_is_kept(
    deepl, service, ledger, spoil, kinds
):
    service.faults.append(Fault(spoil=spoil))
    texts = ["He has 3 cats. She has 5."]
    for _ in range(2):  # from the service, then from the ledger
        (outcome,) = translate_texts(texts, deepl, ledger)
        assert [problem.kind for problem in outcome.problems] == kinds
    assert service.twice == 0


def test_half_an_emoji_can_be_stored(deepl, service, ledger):
    service.faults.append(Fault(spoil=lambda xml: "옮김 \ud83d"))
    assert read(translate_texts(["a cat"], deepl, ledger)) == ["옮김 ?"]


# --- what befalls a request --------------------------------------------------------------------

TIMEOUT_S = 1.0
LOST_BUT_PAID = {
    "dropped": Fault(answers=False),
    "too slow": Fault(wait_before_answer_s=1.5 * TIMEOUT_S),
    "500 after the work": Fault(status=500),
    "a text too few": Fault(drop_texts=1),
}
LOST_AND_FREE = {
    "dropped": Fault(answers=False, bills=False),
    "500": Fault(status=500, bills=False),
    "503": Fault(status=503, bills=False),
}


@pytest.mark.parametrize("fault", LOST_BUT_PAID.values(), ids=LOST_BUT_PAID)
def test_lost_answer_that_was_paid_for_is_counted_told_and_asked_again(
    server, service, ledger, capsys, fault
):
    service.faults.extend([Fault(), fault])
    outcomes = translate_texts(TEXTS, make_deepl(server[0], timeout_s=TIMEOUT_S), ledger)
    assert read(outcomes) == translated(TEXTS)
    assert service.twice == sum(count(text) for text in service.bodies[1]["text"])
    assert ledger.bill().lost == service.twice
    assert ledger.bill().total == service.bill
    assert f"deepl: {ledger.bill().lost:,} characters were paid" in capsys.readouterr().err


@pytest.mark.parametrize("fault", LOST_AND_FREE.values(), ids=LOST_AND_FREE)
def test_lost_request_that_was_not_billed_is_sent_again_for_free(
    deepl, service, ledger, capsys, fault
):
    service.faults.extend([Fault(), fault])
    outcomes = translate_texts(TEXTS, deepl, ledger)
    assert read(outcomes) == translated(TEXTS)
    assert service.twice == 0
    assert ledger.bill().lost == 0
    assert ledger.bill().total == service.bill
    assert "were paid" not in capsys.readouterr().err


@pytest.mark.slow
def test_request_that_is_billed_after_it_was_given_up_is_seen(server, service, ledger):
    service.faults.append(Fault(wait_before_billing_s=1.5 * TIMEOUT_S))
    deepl = make_deepl(server[0], timeout_s=TIMEOUT_S, settle_s=1.2 * TIMEOUT_S)
    translate_texts(["a cat"], deepl, ledger)
    assert service.bill == 2 * len("a cat")
    assert ledger.bill().lost == len("a cat")


def test_other_work_of_the_same_key_is_not_taken_for_ours(deepl, service, ledger):
    """The counter grows between the calls and, by little, while a request is in doubt."""
    translate_texts(TEXTS[:50], deepl, ledger)
    service.counter_before += 10_000
    service.faults.append(Fault(answers=False, bills=False))
    translate_texts(TEXTS, deepl, ledger)
    assert ledger.bill().lost == 0
    assert ledger.bill().total == service.bill


def test_service_that_is_silent_for_good_is_given_up_and_nothing_is_lost(deepl, service, ledger):
    service.faults.extend([Fault(), *[Fault(answers=False, bills=False)] * 3])
    with pytest.raises(ServiceError, match="did not answer a request 3 times"):
        translate_texts(TEXTS, deepl, ledger)
    assert read(translate_texts(TEXTS, deepl, ledger)) == translated(TEXTS)
    assert service.twice == 0


def test_too_many_requests_are_waited_for_as_long_as_deepl_says(deepl, service, ledger):
    service.faults.append(Fault(status=429, bills=False, retry_after="1"))
    assert read(translate_texts(["a cat"], deepl, ledger)) == ["옮김 a cat"]
    assert service.times[1] - service.times[0] >= 1
    assert service.bill == ledger.bill().total == len("a cat")


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (403, r"403.*expected a valid key"),
        (413, r"413.*expected a request below 128 KiB"),
        (456, r"456.*expected characters left"),
        (400, r"400.*expected a request that DeepL accepts"),
    ],
)
def test_refusal_is_one_line_costs_nothing_and_keeps_what_was_done(
    deepl, service, ledger, status, message
):
    service.faults.extend([Fault(), Fault(status=status, bills=False)])
    with pytest.raises(ServiceError, match=message) as raised:
        translate_texts(TEXTS, deepl, ledger)
    assert "\n" not in str(raised.value)
    assert len(service.times) == 2, "a refusal is never repeated"
    assert read(translate_texts(TEXTS, deepl, ledger)) == translated(TEXTS)
    assert service.twice == 0
    assert ledger.bill().total == service.bill


def test_quota_ends_the_work_with_all_of_it_stored(deepl, service, ledger):
    service.quota = 6000
    with pytest.raises(ServiceError, match="456"):
        translate_texts(TEXTS, deepl, ledger)
    assert 0 < service.bill <= 6000
    assert len(service.times) == len(service.bodies)
    service.quota = None
    translate_texts(TEXTS, deepl, ledger)
    assert service.twice == 0


def test_usage_is_asked_again_since_asking_is_free(deepl, service, ledger):
    service.silent_usage = 3
    assert read(translate_texts(["a cat"], deepl, ledger)) == ["옮김 a cat"]


def test_request_stays_in_doubt_while_the_usage_is_not_to_be_had(deepl, service, ledger):
    service.faults.append(Fault(answers=False, silences_usage=True))
    with pytest.raises(ServiceError, match="does not tell its usage"):
        translate_texts(["a cat"], deepl, ledger)
    assert ledger.bill().in_doubt == 5
    service.silent_usage = 0
    translate_texts(["a cat"], deepl, ledger)
    assert (ledger.bill().answered, ledger.bill().lost, ledger.bill().in_doubt) == (5, 5, 0)


def test_missing_client_names_the_extra(deepl, ledger, monkeypatch):
    monkeypatch.setitem(sys.modules, "deepl", None)
    with pytest.raises(MissingExtraError, match=r"kot-platypus\[translate\]"):
        translate_texts(["a cat"], deepl, ledger)


def test_service_out_of_reach_is_an_error_with_a_remedy(ledger):
    with pytest.raises(ServiceError, match="expected a connection to DeepL"):
        translate_texts(["a cat"], make_deepl("http://127.0.0.1:9"), ledger)
    assert ledger.bill().total == 0


@pytest.mark.one_in(4)
@pytest.mark.parametrize("seed", range(4))
def test_bill_is_exact_whatever_goes_wrong(server, service, deepl, tmp_path, seed):
    """A random storm of faults; the work is begun again after every error that ends it."""
    rng = random.Random(seed)
    kinds = [*LOST_AND_FREE.values(), Fault(answers=False), Fault(status=500), Fault()]
    kinds += [Fault(status=456, bills=False), Fault(status=403, bills=False)]
    service.faults.extend(rng.choices(kinds, k=12))
    texts = make_texts(300, seed)
    for _ in range(20):
        with open_ledger(tmp_path / "ledger") as ledger:
            try:
                outcomes = translate_texts(texts, deepl, ledger)
            except ServiceError:
                continue
            break
    assert read(outcomes) == translated(texts)
    with open_ledger(tmp_path / "ledger") as ledger:
        bill = ledger.bill()
    assert (bill.answered, bill.lost, bill.in_doubt) == (
        service.bill - service.twice,
        service.twice,
        0,
    )


# --- the budget --------------------------------------------------------------------------------


def test_work_stops_before_the_request_that_would_exceed_the_budget(deepl, service, ledger):
    with pytest.raises(BudgetError, match=r"expected no more than the budget of 5,000"):
        translate_texts(TEXTS, deepl, ledger, budget_chars=5000)
    assert 0 < service.bill <= 5000
    assert len(service.bodies) == 1


def test_work_goes_on_with_a_larger_budget(deepl, service, ledger):
    with pytest.raises(BudgetError):
        translate_texts(TEXTS, deepl, ledger, budget_chars=5000)
    outcomes = translate_texts(TEXTS, deepl, ledger, budget_chars=50_000)
    assert read(outcomes) == translated(TEXTS)
    assert service.twice == 0


def test_same_budget_again_pays_nothing_more(deepl, service, ledger):
    for _ in range(2):
        with pytest.raises(BudgetError):
            translate_texts(TEXTS, deepl, ledger, budget_chars=5000)
    assert len(service.times) == 1


def test_budget_that_just_suffices_suffices(deepl, service, ledger):
    needed = estimate(TEXTS, deepl, ledger).characters
    with pytest.raises(BudgetError):
        translate_texts(TEXTS, deepl, ledger, budget_chars=1)
    translate_texts(TEXTS, deepl, ledger, budget_chars=needed)


def test_lost_answer_is_asked_again_within_the_budget_only(deepl, service, ledger):
    service.faults.append(Fault(answers=False))
    with pytest.raises(BudgetError):
        translate_texts(["a cat"], deepl, ledger, budget_chars=9)
    assert service.bill == ledger.bill().lost == 5


def test_accounts_have_budgets_of_their_own_and_share_translations(deepl, service, tmp_path):
    for account, texts in (("one", TEXTS[:60]), ("two", TEXTS)):
        with open_ledger(tmp_path / "ledger", account) as ledger:
            translate_texts(texts, deepl, ledger, budget_chars=6000)
    assert service.twice == 0


# --- the estimate ------------------------------------------------------------------------------


def test_estimate_sends_nothing_and_needs_no_key(deepl, service, ledger, monkeypatch):
    monkeypatch.delenv("DEEPL_AUTH_KEY")
    found = estimate(["a cat", "a cat", "a dog 7", "42", ""], deepl, ledger)
    assert (found.texts, found.characters, found.stored) == (2, len("a cat") + len("a dog "), 0)
    assert found.price == pytest.approx(25e-6 * 11)
    assert service.times == []


def test_estimate_leaves_out_what_is_stored(deepl, ledger):
    translate_texts(["a cat"], deepl, ledger)
    found = estimate(["a cat", "a dog"], deepl, ledger)
    assert (found.texts, found.characters, found.stored) == (1, 5, 1)


def test_free_account_costs_nothing(deepl, ledger, monkeypatch):
    monkeypatch.setenv("DEEPL_AUTH_KEY", "abc:fx")
    assert estimate(["a cat"], deepl, ledger).price == 0


def test_estimate_is_what_will_be_billed(deepl, service, ledger):
    texts = [text.replace("&", "and").replace("<", "on") for text in TEXTS]
    expected = estimate(texts, deepl, ledger).characters
    translate_texts(texts, deepl, ledger)
    assert service.bill == expected
