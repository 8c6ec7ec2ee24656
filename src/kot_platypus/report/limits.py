"""What the figures do not say: only statements that follow from the run's own files."""

from __future__ import annotations

from kot_platypus.recipe import Recipe
from kot_platypus.report.sentences import name_condition, select_kobest_pairs
from kot_platypus.results.run import RunResults
from kot_platypus.results.schema import ALL, BASE, TUNED
from kot_platypus.results.wording import format_count, format_interval, name_task


def list_limits(results: RunResults) -> list[str]:
    """The run's limits, the most general first, each one or two sentences."""
    return [
        *_limit_contamination(results),
        *_limit_training(results),
        *_limit_problems(results),
        *_limit_kobest(results),
    ]


def _limit_contamination(results: RunResults) -> list[str]:
    verdict = results.contamination
    if verdict is None or verdict.is_clean:
        return []
    return [
        f"The training rows are contaminated: {verdict.describe()}. Scores on these benchmarks do "
        "not show what the model can do."
    ]


def _limit_training(results: RunResults) -> list[str]:
    limits = []
    if results.losses:
        limits.append(
            f"One training run with one seed ({results.recipe.seed}). The intervals cover the "
            "choice of questions, not how much another seed would change."
        )
    parameters = results.training.get("parameters")
    if parameters:
        limits.append(
            f"The model has {format_count(parameters / 1e6)} million parameters. "
            "Nothing here says how larger models would behave."
        )
    dropped = results.training.get("num_dropped")
    if dropped:
        limits.append(
            f"{format_count(dropped)} training examples were dropped because they did not fit "
            f"{format_count(results.recipe.train.cutoff_len)} tokens."
        )
    return limits + _limit_budgets(results)


def _limit_budgets(results: RunResults) -> list[str]:
    """What is and is not equal between the trainings that are compared."""
    tokens = results.training.get("tokens_seen", 0)
    limits = []
    for folder, manifest in results.manifests.items():
        stage, _, arm = folder.partition("/")
        if stage == "train" and arm != TUNED and manifest.get("tokens_seen", tokens) < tokens:
            limits.append(
                f"The model trained on {name_condition(results.recipe, arm)} had the same examples "
                "and optimizer steps. Its responses are shorter, so it saw "
                f"{format_count(manifest['tokens_seen'])} tokens, the main one "
                f"{format_count(tokens)}."
            )
    return limits


def _limit_problems(results: RunResults) -> list[str]:
    tuned = results.problems.get(TUNED)
    if tuned is None or ALL not in tuned.results:
        return []
    score = tuned.results[ALL]
    low, high = score.accuracy.ci95
    limits = [
        f"The reasoning test has {format_count(score.n)} problems; the tuned model's interval is "
        f"{100 * (high - low):.0f} points wide."
    ]
    shared = _list_shared_families(results.recipe)
    if shared:
        limits.append(
            f"The held-out problems are generated, from the families also trained on "
            f"({', '.join(shared)}), with settings and names that no training problem has. "
            "They show whether the model learnt to solve these, not whether it reasons elsewhere."
        )
    base = results.problems.get(BASE)
    if base is not None and base.num_fewshot != tuned.num_fewshot:
        limits.append(
            f"The base model is shown {base.num_fewshot or 'no'} worked examples in its prompt, "
            f"because untrained it cannot know the form of an answer; the tuned model is shown "
            f"{tuned.num_fewshot or 'none'}."
        )
    return limits + _limit_parsing(results)


def _limit_parsing(results: RunResults) -> list[str]:
    """Outputs without an answer count as wrong: say how many there are."""
    missing = {
        name_condition(results.recipe, who): (score.n - score.num_parsed, score.n)
        for who, part in results.problems.items()
        if (score := part.results.get(ALL)) is not None and score.num_parsed < score.n
    }
    if not missing:
        return []
    counts = ", ".join(f"{who} {count} of {n}" for who, (count, n) in missing.items())
    limits = [f"Outputs that state no answer count as wrong: {counts}."]
    most = results.recipe.reason.max_new_tokens
    cut = {
        name_condition(results.recipe, who): sum(
            answer.answer is None and answer.num_tokens >= most for answer in answers
        )
        for who, answers in results.answers.items()
    }
    if any(cut.values()):
        counts = ", ".join(f"{who} {count}" for who, count in cut.items() if count)
        limits.append(
            f"Of these, so many were still going on when cut off at {most} tokens: {counts}."
        )
    return limits


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


def _limit_kobest(results: RunResults) -> list[str]:
    if not results.kobest:
        return []
    evaluate, limits = results.recipe.evaluate, []
    if evaluate.kobest_dir == "mini":
        limits.append(
            "The KoBEST scores come from KoT's own small set in KoBEST's format. They cannot be "
            "compared with scores on KoBEST."
        )
    if evaluate.limit is not None:
        limits.append(
            f"KoBEST: at most the first {format_count(evaluate.limit)} questions of each task in "
            "the protocol's order, not the whole test sets."
        )
    for who, scores in results.kobest.items():
        name = name_condition(results.recipe, who)
        if scores.bos is not None and scores.bos.reads_badly:
            limits.append(f"KoBEST, {name}: {scores.bos.describe(scores.protocol.name)}.")
        if scores.ties.tied:
            limits.append(
                f"KoBEST, {name}: {format_count(scores.ties.tied)} of "
                f"{format_count(scores.ties.n)} questions end in an exact tie, where the first of "
                "the equals counts."
            )
    return limits + _limit_intervals(results) + _limit_shots(results)


def _limit_intervals(results: RunResults) -> list[str]:
    pairs = select_kobest_pairs(results)
    limits = []
    if len(pairs) > 1:
        limits.append(
            f"{len(pairs)} KoBEST comparisons stand side by side, uncorrected: about one interval "
            "in twenty misses zero by chance alone."
        )
    if pairs:
        widest = max(pairs, key=lambda pair: pair.difference.ci95[1] - pair.difference.ci95[0])
        limits.append(
            f"The widest KoBEST interval ({name_task(widest.task)}, {widest.num_fewshot}-shot) "
            f"runs from {format_interval(widest.difference, 'score_difference')}."
        )
    return limits


def _limit_shots(results: RunResults) -> list[str]:
    """Prompts too long for the model lose their first shots."""
    scores = results.kobest.get(TUNED)
    if scores is None:
        return []
    cut = [
        f"{name_task(task)} {shots}-shot keeps {score.effective_shots:.1f}"
        for task, by_shot in scores.results.items()
        for shots, score in by_shot.items()
        if score.effective_shots < shots - 0.05
    ]
    if not cut:
        return []
    return ["Long prompts lose their first shots. On average: " + "; ".join(cut) + "."]
