"""The card: metadata that the Hub reads, and figures that agree with the run's files."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from huggingface_hub import ModelCard
from huggingface_hub.repocard_data import model_index_to_eval_results
from huggingface_hub.utils import validate_repo_id

from kot_platypus.recipe import Recipe, SourceSection, load_recipe
from kot_platypus.report.card import (
    describe_model,
    describe_source,
    escape_markdown,
    fence,
    render_card,
    write_badge,
)
from kot_platypus.report.page import render_page
from kot_platypus.report.runs import make_run
from kot_platypus.report.sentences import list_limits
from kot_platypus.report.tables import list_badges, tabulate_machine
from kot_platypus.results.run import RunResults, load_results
from kot_platypus.results.schema import Rationales

from .run_builder import ATTACK, SHOTS, TASKS, write_run


@pytest.fixture(scope="module")
def results(finished_run: Path) -> RunResults:
    return load_results(finished_run)


def change_recipe(results: RunResults, **changes: Any) -> RunResults:
    values = results.recipe.model_dump()
    for key, value in changes.items():
        section, _, field = key.partition("__")
        values[section] = {**values[section], field: value} if field else value
    return results.model_copy(update={"recipe": Recipe.model_validate(values)})


def test_the_metadata_is_valid_and_complete(results: RunResults) -> None:
    data = ModelCard(render_card(results)).data
    assert data.language == ["ko"]
    assert data.license == "gemma"
    assert data.base_model == "google/gemma-3-270m"
    assert data.library_name == "transformers"
    assert data.model_name == "small-run"
    assert data.pipeline_tag == "text-generation"
    assert data.metrics == ["accuracy", "exact_match", "f1"]


def test_the_metadata_has_every_result_with_its_protocol(results: RunResults) -> None:
    found = ModelCard(render_card(results)).data.eval_results
    kobest = [result for result in found if result.dataset_config in TASKS]
    assert len(kobest) == len(TASKS) * len(SHOTS) * 4
    for result in kobest:
        scores = results.kobest["cot"].results[result.dataset_config]
        shots = result.metric_args["num_fewshot"]
        name = "macro_f1" if result.metric_name.startswith("macro F1") else "acc"
        name += "_norm" if "length-normalised" in result.metric_name else ""
        assert result.metric_type == ("f1" if "f1" in name else "accuracy")
        assert result.metric_value == getattr(scores[shots], name).value
        assert result.metric_name.endswith(f", {shots}-shot")
        assert "protocol polyglot" in result.dataset_name
        assert result.dataset_args["protocol_fingerprint"].startswith("0123456789ab")
    problems = {r.dataset_config: r for r in found if r.metric_type == "exact_match"}
    assert set(problems) == set(results.problems["cot"].results)
    whole = results.problems["cot"].results["all"]
    assert problems["all"].metric_value == whole.accuracy.value


def test_the_metadata_survives_the_hubs_own_reading(results: RunResults) -> None:
    """What ``ModelCard.validate`` does beyond these parsers happens on the Hub."""
    source = {"name": "hub", "path": "kyujinpy/KoCoT_2000"}
    card = render_card(change_recipe(results, data__sources=[source]))
    written = describe_model(change_recipe(results, data__sources=[source]))
    read = ModelCard(card)
    assert read.data.to_dict() == written.to_dict()
    assert read.data.eval_results == written.eval_results
    name, again = model_index_to_eval_results(read.data.to_dict()["model-index"])
    assert (name, again) == ("small-run", written.eval_results)
    for repo in (read.data.base_model, *read.data.datasets):
        validate_repo_id(repo)
    assert card.startswith("---\n")
    assert set(yaml.safe_load(card.split("\n---\n")[0])) >= {
        "license", "language", "base_model", "datasets", "tags", "model-index",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("model", "licence", "base"),
    [
        ("beomi/llama-2-ko-7b", "llama2", "beomi/llama-2-ko-7b"),
        ("EleutherAI/polyglot-ko-1.3b", "apache-2.0", "EleutherAI/polyglot-ko-1.3b"),
        ("someone/else", None, "someone/else"),
        ("/home/me/models/tiny-llama", None, None),
    ],
)
def test_licence_and_base_model_are_stated_only_where_known(
    results: RunResults, model: str, licence: str | None, base: str | None
) -> None:
    card = render_card(change_recipe(results, model__name=model))
    data = ModelCard(card).data
    assert data.license == licence
    assert data.base_model == base
    assert "/home/me" not in card


@pytest.mark.one_in(2)
@pytest.mark.parametrize("override", ["model.name=/models/tiny-llama-ko", "train.num_epochs=7"])
def test_a_shipped_recipe_that_ran_otherwise_is_not_described_as_shipped(
    results: RunResults, override: str
) -> None:
    shipped, other = load_recipe("demo"), load_recipe("demo", [override])
    said = "Gemma 3 270M learns to reason"
    assert said in render_card(results.model_copy(update={"recipe": shipped}))
    for text in (
        render_card(results.model_copy(update={"recipe": other})),
        render_page([make_run(results.model_copy(update={"recipe": other}))]),
    ):
        assert said not in text
        assert "under ten minutes" not in text
    card = render_card(results.model_copy(update={"recipe": other}))
    name = "tiny-llama-ko" if "tiny" in override else "google/gemma-3-270m"
    (sentence,) = [line for line in card.splitlines() if line.startswith("This model is ")]
    assert name in sentence


def test_the_mark_of_a_changed_commit_is_kept(results: RunResults) -> None:
    commit = "0123456789abcdef0123456789abcdef01234567-dirty"
    manifests = {"merged": {"machine": {"commit": commit}}}
    changed = results.model_copy(update={"manifests": manifests})
    assert dict(tabulate_machine(changed))["commit"] == "0123456789ab-dirty"
    assert "0123456789ab-dirty" in render_page([make_run(changed)])


def test_page_says_what_was_computed_in(results: RunResults) -> None:
    manifests = {
        "train": {"config": {"dtype": "bfloat16"}},
        "base": {"config": {"dtype": "float32"}},
    }
    changed = results.model_copy(update={"manifests": manifests})
    assert ("dtype", "bfloat16 / float32") in tabulate_machine(changed)


def test_hub_data_is_listed_with_its_licence(results: RunResults) -> None:
    source = {"name": "hub", "path": "kyujinpy/KoCoT_2000"}
    card = render_card(change_recipe(results, data__sources=[source]))
    assert ModelCard(card).data.datasets == ["kyujinpy/KoCoT_2000"]
    assert "non-commercial" in card
    local = SourceSection(name="file", path="/home/me/rows.jsonl")
    assert describe_source(local)[0] == "rows.jsonl"


def test_scores_of_kobest_itself_are_filed_under_kobest(results: RunResults) -> None:
    card = render_card(change_recipe(results, evaluate__kobest_dir=None))
    found = ModelCard(card).data.eval_results
    assert {r.dataset_type for r in found if r.dataset_config in TASKS} == {"skt/kobest_v1"}
    assert {r.dataset_type for r in ModelCard(render_card(results)).data.eval_results} == {"local"}


def test_the_tables_have_upstreams_layout(results: RunResults) -> None:
    card = render_card(results)
    table = card[card.index("## COPA (F1)") :].split("\n\n")[2]
    assert table.splitlines() == [
        "| Model | 0-shot | 5-shot |",
        "| --- | --- | --- |",
        "| gemma-3-270m | 0.4812 | 0.5012 |",
        "| **small-run(ours)** | 0.5025 | 0.5225 |",
    ]
    assert "| **small-run(ours)** | 0.5925 ▲ | 0.6125 ▲ |" in card  # SentiNeg: shown
    assert "| learning_rate | `2e-5` |" in card
    assert "| base_model | `google/gemma-3-270m` |" in card
    assert "| lora_target_modules | `all-linear` |" in card
    lines = card.splitlines()
    for above, line, below in zip(lines, lines[1:], lines[2:], strict=False):
        if line.startswith("| ---"):  # a header, then rows of as many cells
            assert above.count("|") == line.count("|") == below.count("|")


def test_every_figure_is_on_the_card(results: RunResults) -> None:
    card = render_card(results)
    for part in results.kobest.values():
        for score in (s for by_shot in part.results.values() for s in by_shot.values()):
            for e in (score.acc, score.acc_norm, score.macro_f1, score.macro_f1_norm):
                assert f"{e.value:.4f} ({e.ci95[0]:.4f}–{e.ci95[1]:.4f})" in card
    for tested in results.problems.values():
        for row in tested.results.values():
            interval = f"{100 * row.accuracy.ci95[0]:.1f}–{100 * row.accuracy.ci95[1]:.1f}%"
            figures = f"{100 * row.accuracy.value:.1f}% | {interval} | {row.n} | {row.num_parsed}"
            assert figures in card


def test_usage_shows_the_templates_prompt(results: RunResults) -> None:
    assert 'prompt = "질문: {source}\\n답변:\\n"' in render_card(results)
    given = render_card(results, prompt="Q: {source}\nA:")
    code = re.search(r"```python\n(.*?)\n```", given, flags=re.DOTALL)
    assert code is not None
    compile(code.group(1), "usage", "exec")
    assert 'prompt = "Q: {source}\\nA:"' in code.group(1)


def test_text_from_the_recipe_stays_text(results: RunResults) -> None:
    hostile = f"{ATTACK} [a](javascript:b) | `c`\n---\n# d"
    card = render_card(change_recipe(results, description=hostile, name=hostile))
    body = card.split("\n---\n", 2)[-1]
    assert ATTACK not in body
    assert "[a](" not in body.replace("\\[a\\](", "")
    assert "\n# d" not in body
    assert ModelCard(card).data.language == ["ko"]
    assert escape_markdown("a_b *c* _d_") == r"a_b \*c\* \_d\_"
    assert fence("``` x", "sh").startswith("````sh\n")


def test_limits_follow_from_the_files(results: RunResults) -> None:
    card = render_card(results)
    assert "one seed (42)" in card
    assert "at most the first 100 questions" in card
    assert "| shots that did not fit, BoolQ 5-shot, mean | 0.7 | 5 |" in card
    assert "cannot be compared with scores on KoBEST" in card
    assert "base 106 of 400" in card
    plain = change_recipe(results, evaluate__limit=None, evaluate__kobest_dir=None)
    assert "at most the first" not in render_card(plain)
    assert "own small set" not in render_card(plain)


def test_usage_snippet_keeps_the_special_tokens_of_training(results: RunResults) -> None:
    """Training encodes the prompt with the tokenizer's own BOS; a Gemma without it is another."""
    assert "add_special_tokens" not in render_card(results)


def test_usage_snippet_of_a_model_trained_with_its_chat_template_uses_it(
    results: RunResults,
) -> None:
    card = render_card(change_recipe(results, train__template="chat"))
    code = re.search(r"```+python\n(.*?)\n```", card, re.DOTALL)
    assert code
    compile(code.group(1), "usage", "exec")
    assert "tokenizer.apply_chat_template(" in code.group(1)
    assert "return_tensors" in code.group(1)


def test_badges_say_only_what_the_files_say(results: RunResults) -> None:
    badges = [write_badge(*badge) for badge in list_badges(results)]
    assert badges[0] == (
        "![base: gemma-3-270m](https://img.shields.io/badge/base-gemma--3--270m-blue)"
    )
    assert "contamination-not%20checked-orange" in badges[-1]
    assert "contamination-none%20found-blue" in write_badge(
        *list_badges(check_rows(results, 0))[-1]
    )
    assert "3%20of%20900%20rows-orange" in write_badge(*list_badges(check_rows(results, 3))[-1])
    hostile = write_badge("base", "a](javascript:b)<x>_-/한")
    assert re.fullmatch(r"!\[[^\[\]<>]*\]\(https://img\.shields\.io/badge/[\w%.~-]+\)", hostile)


def test_card_has_the_evaluation_command(results: RunResults) -> None:
    expected = (
        "kot eval --model merged --protocol polyglot --tasks copa,hellaswag,boolq,sentineg,wic "
        "--num-fewshot 0,5 --limit 100 --kobest-dir mini --out scores"
    )
    assert f"```sh\n{expected}\n```" in render_card(results)
    private = change_recipe(results, evaluate__kobest_dir="/home/me/kobest")
    assert "--kobest-dir KOBEST_DIR" in render_card(private)
    assert "/home/me" not in render_card(private)


# --- contamination -----------------------------------------------------------------------------


def check_rows(results: RunResults, leaked_rows: int) -> RunResults:
    found = {"items": 1000, "items_found": leaked_rows, "rows": leaked_rows}
    verdict = {
        "data_sha256": "0" * 64,
        "rows": 900,
        "leaked_rows": leaked_rows,
        "benchmarks": [{"name": "kobest/copa/test", "sha256": "0", **found}],
    }
    training = {**results.training, "contamination": verdict}
    return results.model_copy(update={"manifests": {**results.manifests, "train/cot": training}})


def test_card_says_that_rows_were_not_checked(results: RunResults) -> None:
    assert "The training rows were not checked for contamination." in render_card(results)


def test_card_says_what_rows_were_checked_against(results: RunResults) -> None:
    card = render_card(check_rows(results, 0))
    assert "Contamination: none of 900 rows hold text of kobest/copa/test." in card
    assert "contaminated" not in card


def test_card_names_contamination_as_the_first_limit(results: RunResults) -> None:
    card = render_card(check_rows(results, 3))
    limits = card.partition("# Limits")[2].strip()
    assert limits.startswith(
        "- The training rows are contaminated: 3 of 900 rows hold text of kobest/copa/test."
    )


def test_card_and_report_say_that_a_model_reads_badly_without_bos(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    file = run / "evaluate" / "cot" / "kobest" / "results.json"
    facts = json.loads(file.read_text(encoding="utf-8"))
    facts["bos"] = {"nats_without": 6.84, "nats_with": 2.47, "reads_badly": True}
    facts["ties"] = {"tied": 7, "same_tokens": 0, "n": 100}
    file.write_text(json.dumps(facts), encoding="utf-8")
    limits = list_limits(load_results(run))
    found = [limit for limit in limits if "reads badly without BOS: 6.8 against 2.5 nats" in limit]
    assert len(found) == 1
    assert "polyglot gives none, see polyglot-bos" in found[0]
    assert any("7 of 100 questions end in an exact tie" in limit for limit in limits)


def test_problems_of_ones_own_are_never_called_generated(tmp_path):
    """Also where the training rows are generated."""
    write_run(tmp_path / "run")
    path = tmp_path / "run" / "recipe.yaml"
    recipe = path.read_text("utf-8").replace("heldout_problems: 400", "heldout_problems: 0")
    path.write_text(recipe.replace("heldout: null", "heldout: mine.jsonl"), "utf-8")
    results = load_results(tmp_path / "run")
    assert results.recipe.data.heldout == "mine.jsonl"
    said = " ".join([*list_limits(results), render_page([make_run(results)]), render_card(results)])
    assert "generated, from the families" not in said
    assert "Generated Korean problems" not in said
    assert "Share of held-out problems solved" in said


def test_what_the_checks_say_of_rationales_stands_beside_the_scores(results: RunResults) -> None:
    assert "Contradicts" not in render_card(results)
    part = results.problems["cot"]
    score = part.results["all"].model_copy(
        update={"rationales": Rationales(n=391, korean=0.875, loops=7, contradictions=2)}
    )
    changed = part.model_copy(update={"results": {**part.results, "all": score}})
    card = render_card(results.model_copy(update={"problems": results.problems | {"cot": changed}}))
    rows = [line for line in card.splitlines() if line.startswith("| All |")]
    assert [row.split(" | ")[-3:] for row in rows if "**" in row] == [["87.5%", "7", "2 |"]]
    assert {row.count("|") for row in rows} == {11}


def test_settings_tell_the_seeds_of_the_training_from_that_of_the_data(results: RunResults) -> None:
    assert "| seed | `42` |" in render_card(results)
    card = render_card(change_recipe(results, seeds=(1, 2, 3)))
    assert "| seed | `1, 2, 3` |" in card
    assert "seed | `42` |" in card
