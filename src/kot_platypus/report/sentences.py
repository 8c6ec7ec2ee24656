"""The sentences that follow from a run's figures, and what its models are called in them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from kot_platypus.recipe import Recipe
from kot_platypus.results.guesses import CHANCE, Guess, guess_problems
from kot_platypus.results.run import RunResults
from kot_platypus.results.schema import (
    ALL,
    AT_ONCE,
    BASE,
    ROUND,
    SEED,
    TUNED,
    ChoiceDifference,
    Difference,
    Estimate,
    Seeds,
    SeedsDifference,
)
from kot_platypus.results.wording import (
    NBSP,
    count_noun,
    format_count,
    format_interval,
    format_p,
    format_percent,
    format_points,
    name_task,
)

_TARGETS = {
    "rationale_answer": ("chain of thought", "chains of thought"),
    "rationale": ("rationale only", "rationales alone"),
    "answer": ("answers only", "answers alone"),
    "shuffled_rationale": ("shuffled rationales", "shuffled rationales"),
}
"""What a model was trained to write, as a label and in a sentence."""

# --- names -------------------------------------------------------------------------------------


def name_condition(recipe: Recipe, who: str) -> str:
    """What distinguishes a model within the run: ``base``, or what it was trained to write."""
    if who == BASE:
        return "base"
    if who == AT_ONCE:
        return "no rationale"  # short: it labels a row of a picture
    if who == f"{ROUND}0":
        return "given rows"
    if who.startswith(ROUND):
        return f"round {who.removeprefix(ROUND)}"
    if who == TUNED and recipe.self_taught:
        return f"round {recipe.self_taught.rounds}"
    if who.startswith(SEED):
        return f"{name_condition(recipe, TUNED)}, seed {who.removeprefix(SEED)}"
    return _TARGETS.get(recipe.train.target if who == TUNED else who, (who,))[0]


def name_benchmark(recipe: Recipe) -> str:
    """KoBEST, or what stands in for it."""
    where = recipe.evaluate.kobest_dir
    if where is None:
        return "KoBEST"
    return "KoBEST mini" if where == "mini" else "KoBEST (local files)"


# --- sentences ---------------------------------------------------------------------------------


def write_headline(results: RunResults) -> str:
    """The run's result in one sentence, whatever its sign; of several seeds their mean."""
    tuned, base = results.problems.get(TUNED), results.problems.get(BASE)
    if tuned is None or ALL not in tuned.results:
        return _headline_without_problems(results)
    score, seeds = tuned.results[ALL], results.comparison.seeds
    after = format_percent(seeds.mean.value if seeds else score.accuracy.value)
    mean = f" (the mean of {count_noun(len(seeds.accuracy), 'seed')})" if seeds else ""
    solved = f"{after} of {format_count(score.n)} held-out problems{mean}"
    if base is None or ALL not in base.results:
        return f"The tuned model solves {solved}; there is nothing to compare it with."
    before = format_percent(base.results[ALL].accuracy.value)
    pairs = _list_tuned_pairs(results)
    pair = next((pair for pair in pairs if pair.b == BASE), None)
    if pair is None:
        return f"The tuned model solves {solved}, the base model {before}; they were not compared."
    rest = _add_baseline(results.recipe, pairs)
    if pair.difference.sign == 0:
        return (
            f"No difference shown: the tuned model solves {solved}, the base model {before}{rest}."
        )
    verb = "raised" if pair.difference.sign > 0 else "lowered"
    return (
        f"Training {verb} the share of held-out problems solved from {before} to "
        f"{after}{mean}{rest}."
    )


def _list_tuned_pairs(results: RunResults) -> Sequence[Difference | SeedsDifference]:
    """The main training against the others: at all its seeds, if it has several."""
    seeds = results.comparison.seeds
    return seeds.differences if seeds else [p for p in results.comparison.problems if p.a == TUNED]


def _add_baseline(recipe: Recipe, pairs: Sequence[Difference | SeedsDifference]) -> str:
    """A clause on the fairest comparison: the best of the trainings on other targets or rows."""
    others = [pair for pair in pairs if pair.b not in (BASE, AT_ONCE)]
    if not others:
        return ""
    pair = min(others, key=lambda pair: pair.difference.value)
    other = _name_in_sentence(recipe, pair.b)
    if pair.difference.sign == 0:
        return f"; no difference from {other} is shown"
    relation = "above" if pair.difference.sign > 0 else "below"
    return f", {format_distance(pair.difference)} points {relation} {other}"


def _headline_without_problems(results: RunResults) -> str:
    if results.comparison.kobest:
        return write_kobest_sentence(results)
    if results.training:
        return "A model was trained; nothing was compared."
    return "Nothing was trained or compared yet."


def write_details(results: RunResults) -> list[str]:
    """The sentences under the headline: the paired differences, then KoBEST."""
    pairs = results.comparison.problems
    lines = []
    if pairs:
        parts = "; ".join(_describe_difference(results.recipe, pair) for pair in pairs)
        same = f"the same {format_count(pairs[0].n)} problems"
        lines.append(f"Compared pair by pair on {same}: {parts}.")
    if seeds := results.comparison.seeds:
        lines.append(_describe_seeds(results.recipe, seeds))
    if results.comparison.kobest and TUNED in results.problems:
        lines.append(write_kobest_sentence(results))
    return lines


def _describe_seeds(recipe: Recipe, seeds: Seeds) -> str:
    """What the main training solves at every seed, and their mean against the others."""
    each = ", ".join(map(format_percent, seeds.accuracy.values()))
    said = (
        f"{format_points(pair.difference.value)} points against "
        f"{_name_in_sentence(recipe, pair.b)} ({format_interval(pair.difference, 'points')}, "
        f"p{NBSP}{format_relation(pair.p_value)})"
        for pair in seeds.differences
        if pair.b != AT_ONCE
    )
    return (
        f"Trained at {count_noun(len(seeds.accuracy), 'seed')} ({each} solved), "
        f"{format_percent(seeds.mean.value)} on average: {'; '.join(said)}. "
        "These intervals cover the choice of seeds too, roughly, since there are few; p that of "
        "problems alone."
    )


def _describe_difference(recipe: Recipe, pair: Difference) -> str:
    """One paired difference with its interval; both models named when it is not about ours."""
    first = "" if pair.a == TUNED else f"{_name_in_sentence(recipe, pair.a)} "
    interval = format_interval(pair.difference, "points")
    shown = ", no difference shown" if pair.difference.sign == 0 else ""
    return (
        f"{first}{format_points(pair.difference.value)} points against "
        f"{_name_in_sentence(recipe, pair.b)} (95% interval {interval}, "
        f"p{NBSP}{format_relation(pair.p_value)}{shown})"
    )


def format_distance(difference: Estimate) -> str:
    """How far apart two are, in points without a sign."""
    return format_points(abs(difference.value)).lstrip("+")


def format_relation(p_value: float | None) -> str:
    """What follows ``p``: ``= 0.040`` or ``< 0.001``, unbroken."""
    text = format_p(p_value)
    return (text if text.startswith("<") else f"= {text}").replace(" ", NBSP)


def _name_in_sentence(recipe: Recipe, who: str) -> str:
    if who == BASE:
        return "the base model"
    if who == AT_ONCE:
        return "the same model made to answer at once"
    if who.startswith(ROUND):
        return "training on the given rows" if who == f"{ROUND}0" else name_condition(recipe, who)
    target = recipe.train.target if who == TUNED else who
    return f"training on {_TARGETS.get(target, (target,))[-1]}"


def write_kobest_sentence(results: RunResults) -> str:
    """How many of the KoBEST comparisons with the base model went up, down or nowhere."""
    pairs = select_kobest_pairs(results)
    up = sum(pair.verdict > 0 for pair in pairs)
    down = sum(pair.verdict < 0 for pair in pairs)
    same = len(pairs) - up - down
    where = f"{name_benchmark(results.recipe)} (macro F1, {count_noun(len(pairs), 'comparison')})"
    if same == len(pairs):
        return f"On {where} no difference from the base model is shown."
    counts = [f"{count or 'none'} {verb}" for count, verb in ((up, "rose"), (down, "fell"))]
    rest = f"{same or 'none'} {'shows' if same == 1 else 'show'} no difference"
    return f"Against the base model on {where}, {counts[0]}, {counts[1]}, {rest}."


def select_kobest_pairs(results: RunResults) -> list[ChoiceDifference]:
    """The comparisons of the tuned model with the base model in macro F1, in file order."""
    wanted = (TUNED, BASE, "macro_f1")
    pairs = results.comparison.kobest
    return [pair for pair in pairs if (pair.a, pair.b, pair.metric) == wanted]


def describe_audit(results: RunResults) -> str:
    """What is known of the training rows: errors, duplicates, text of benchmarks."""
    audit, verdict = results.audit, results.contamination
    sentences = []
    if audit is not None:
        sentences.append(
            f"Checks of the rows: {audit['rows_with_errors']:,} of {audit['rows']:,} have errors, "
            f"{count_noun(audit['duplicates'], 'duplicate')}."
        )
    if verdict is None:
        sentences.append("The training rows were not checked for contamination.")
    else:
        sentences.append(f"Contamination: {verdict.describe()}.")
    return " ".join(sentences)


# --- limits ------------------------------------------------------------------------------------


def list_limits(results: RunResults) -> list[str]:
    """What the figures do not say, the most general first: only what follows from the run's files.

    What was cut or left out stands in a table of its own (``funnel``).
    """
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
    seeds = results.recipe.training_seeds
    if results.losses and len(seeds) == 1:
        yield (
            f"One training run with one seed ({seeds[0]}). The intervals cover the "
            "choice of questions, not how much another seed would change."
        )
    if results.losses and len(seeds) > 1:
        yield (
            f"What is not named by its seed was trained at one ({seeds[0]}), the controls too. "
            f"Only figures of {len(seeds)} seeds say how much another would change."
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


def list_guesses(results: RunResults) -> list[Guess]:
    """What guessing scores on a run's held-out problems; nothing where none were answered."""
    answers = next(iter(results.answers.values()), ())
    return guess_problems(answers) if answers else []


def describe_guesses(results: RunResults) -> str:
    """What guessing would score on the held-out problems, in one sentence; empty without them."""
    said = [
        f"{format_percent(guess.accuracy)} by chance (one of the answers that a question mentions)"
        if guess.name == CHANCE
        else f"{format_percent(guess.accuracy)} by the best of four simple rules ({guess.name})"
        for guess in list_guesses(results)
    ]
    return f"Without reasoning: {', '.join(said)}." if said else ""


def _list_shared_families(recipe: Recipe) -> list[str]:
    """Families of problems both trained on and tested; a null list means every family."""
    data = recipe.data
    trained = [source.families for source in data.sources if source.name == "problems"]
    if not trained or data.heldout:  # tested on problems of the user's own
        return []
    if data.heldout_families is not None:
        return sorted(filter(data.trains_on, data.heldout_families))
    if None in trained:
        return ["all of them"]
    return sorted({family for families in trained for family in families or ()})


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
