"""What the figures do not say: only statements that follow from the run's own files.

What was cut or left out stands in a table of its own (``funnel``).
"""

from __future__ import annotations

from collections.abc import Iterator

from kot_platypus.recipe import Recipe
from kot_platypus.report.sentences import name_condition, select_kobest_pairs
from kot_platypus.results.run import RunResults
from kot_platypus.results.schema import ALL, BASE, TUNED
from kot_platypus.results.wording import format_count, format_interval, name_task


def list_limits(results: RunResults) -> list[str]:
    """The run's limits, the most general first, each one or two sentences."""
    return [
        *_limit_training(results),
        *_limit_problems(results),
        *_limit_kobest(results),
        *_limit_intervals(results),
    ]


def _limit_training(results: RunResults) -> Iterator[str]:
    verdict = results.contamination
    if verdict is not None and not verdict.is_clean:
        yield (
            f"The training rows are contaminated: {verdict.describe()}. Scores on these "
            "benchmarks do not show what the model can do."
        )
    if results.losses:
        yield (
            f"One training run with one seed ({results.recipe.seed}). The intervals cover the "
            "choice of questions, not how much another seed would change."
        )
    if parameters := results.training.get("parameters"):
        yield (
            f"The model has {format_count(parameters / 1e6)} million parameters. "
            "Nothing here says how larger models would behave."
        )
    tokens = results.training.get("tokens_seen", 0)
    for folder, manifest in results.manifests.items():
        stage, _, arm = folder.partition("/")
        if stage == "train" and arm != TUNED and manifest.get("tokens_seen", tokens) < tokens:
            yield (
                f"The model trained on {name_condition(results.recipe, arm)} had the same examples "
                "and optimizer steps. Its responses are shorter, so it saw "
                f"{format_count(manifest['tokens_seen'])} tokens, the main one "
                f"{format_count(tokens)}."
            )


def _limit_problems(results: RunResults) -> Iterator[str]:
    tuned, base = results.problems.get(TUNED), results.problems.get(BASE)
    if tuned is None or ALL not in tuned.results:
        return
    score = tuned.results[ALL]
    low, high = score.accuracy.ci95
    yield (
        f"The reasoning test has {format_count(score.n)} problems; the tuned model's interval is "
        f"{100 * (high - low):.0f} points wide."
    )
    if shared := _list_shared_families(results.recipe):
        yield (
            f"The held-out problems are generated, from the families also trained on "
            f"({', '.join(shared)}), with settings and names that no training problem has. "
            "They show whether the model learnt to solve these, not whether it reasons elsewhere."
        )
    if base is not None and base.num_fewshot != tuned.num_fewshot:
        yield (
            f"The base model is shown {base.num_fewshot or 'no'} worked examples in its prompt, "
            f"because untrained it cannot know the form of an answer; the tuned model is shown "
            f"{tuned.num_fewshot or 'none'}."
        )
    unread = [
        f"{name_condition(results.recipe, who)} {every.n - every.num_parsed} of {every.n}"
        for who, part in results.problems.items()
        if (every := part.results.get(ALL)) is not None and every.num_parsed < every.n
    ]
    if unread:
        yield f"Outputs that state no answer count as wrong: {', '.join(unread)}."


def _list_shared_families(recipe: Recipe) -> list[str]:
    """Families of problems both trained on and tested; a null list means every family."""
    trained = [source.families for source in recipe.data.sources if source.name == "problems"]
    if not trained:
        return []
    tested = recipe.data.heldout_families
    known = {family for families in trained for family in families or ()}
    if any(families is None for families in trained):
        return sorted(tested) if tested is not None else ["all of them"]
    return sorted(known if tested is None else known & set(tested))


def _limit_kobest(results: RunResults) -> Iterator[str]:
    evaluate = results.recipe.evaluate
    if results.kobest and evaluate.kobest_dir == "mini":
        yield (
            "The KoBEST scores come from KoT's own small set in KoBEST's format. They cannot be "
            "compared with scores on KoBEST."
        )
    if results.kobest and evaluate.limit is not None:
        yield (
            f"KoBEST: at most the first {format_count(evaluate.limit)} questions of each task in "
            "the protocol's order, not the whole test sets."
        )
    for who, scores in results.kobest.items():
        name, ties = name_condition(results.recipe, who), scores.ties
        if scores.bos is not None and scores.bos.reads_badly:
            yield f"KoBEST, {name}: {scores.bos.describe(scores.protocol.name)}."
        if ties.tied:
            yield (
                f"KoBEST, {name}: {format_count(ties.tied)} of {format_count(ties.n)} questions "
                "end in an exact tie, where the first of the equals counts."
            )


def _limit_intervals(results: RunResults) -> Iterator[str]:
    pairs = select_kobest_pairs(results)
    if len(pairs) > 1:
        yield (
            f"{len(pairs)} KoBEST comparisons stand side by side, uncorrected: about one interval "
            "in twenty misses zero by chance alone."
        )
    if pairs:
        widest = max(pairs, key=lambda pair: pair.difference.ci95[1] - pair.difference.ci95[0])
        yield (
            f"The widest KoBEST interval ({name_task(widest.task)}, {widest.num_fewshot}-shot) "
            f"runs from {format_interval(widest.difference, 'score_difference')}."
        )
