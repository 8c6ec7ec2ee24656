"""The original programs once more, as plainly as can be, for the combinations no golden covers.

Nothing here is shared with the package but the documents and the names of their columns. The
goldens hold this copy too (test_originals.py).
"""

from __future__ import annotations

import random

import torch

LETTERS = {"원인": "왜냐하면", "결과": "그래서"}


def ask(protocol, task, d):
    """(context, choices to score, choices inside shots) of one document."""
    harness = protocol == "ko-harness"
    if task == "boolq":
        if harness:
            question = f"질문: 다음 문장이 내용에 있는 사실과 일치하는가?\n문장: {d['question']}"
            return f"내용: {d['paragraph']}\n{question}\n응답: ", *2 * ([" 아니오", " 예"],)
        return f"{d['paragraph']} 질문: {d['question']} 답변: ", *2 * ([" 아니오", " 예"],)
    if task == "copa":
        connector = LETTERS[d["question"].strip()]
        space = "  " if protocol == "lm-eval" else " "
        bare = [d["alternative_1"], d["alternative_2"]]
        spaced = [" " + text for text in bare]
        return f"{d['premise']}{space}{connector}", bare if harness else spaced, spaced
    if task == "hellaswag":
        endings = [" " + d[f"ending_{i}"] for i in range(1, 5)]
        return (d["context"] if harness else "문장: " + d["context"]), endings, endings
    if task == "sentineg":
        if harness:
            return d["sentence"], *2 * ([" (부정)", " (긍정)"],)
        return f"문장: {d['sentence']} 긍부정:", *2 * ([" 부정", " 긍정"],)
    if harness:
        context = (
            f"문장1: {d['context_1']}\n문장2: {d['context_2']}\n질문: 문장1과 문장2에서 쓰인 단어 "
        )
        return context + f"[{d['word']}]가 같은 뜻으로 쓰였나?\n응답: ", *2 * (["아니오", "예"],)
    context = f"문장1: {d['context_1']} 문장2: {d['context_2']} "
    return context + f"두 문장에서 {d['word']}가 같은 뜻으로 쓰였나?", *2 * ([" 아니오", " 예"],)


def list_requests(protocol, task, data, num_fewshot, limit=None):
    """Every (context, continuation), question by question."""
    documents = list(data.test)
    rng = random.Random(1234 if protocol == "lm-eval" else 42)
    if protocol != "lm-eval":
        rng.shuffle(documents)
    requests = []
    for document in documents[:limit]:
        prompt = ""
        for shot in rng.sample(data.train, num_fewshot) if num_fewshot else []:
            context, _, golds = ask(protocol, task, shot)
            prompt += context + golds[shot["label"]] + "\n\n"
        context, choices, _ = ask(protocol, task, document)
        whole = prompt + context
        if protocol == "ko-harness" and task == "copa":
            whole = whole.strip()
        requests += [(whole, choice) for choice in choices]
    return requests


def score(model, tokenizer, protocol, context, continuation):
    """The log-likelihood of one request, computed alone."""
    if protocol == "lm-eval":
        trailing = len(context) - len(context.rstrip())
        if trailing:
            continuation = context[-trailing:] + continuation
            context = context[:-trailing]
        alone = tokenizer(context)["input_ids"]
        seam = len(alone)
        ids = alone + tokenizer(context + continuation)["input_ids"][seam:]
    else:
        ids = tokenizer(context, add_special_tokens=False)["input_ids"]
        seam = len(ids)
        ids = ids + tokenizer(continuation, add_special_tokens=False)["input_ids"]
    scored = len(ids) - seam
    limit = model.config.max_position_embeddings + 1
    if protocol == "polyglot-bos":  # ours: BOS stays whatever is cut
        ids = [tokenizer.bos_token_id, *ids[-(limit - 1) :]]
    ids = torch.tensor(ids[-limit:])
    with torch.inference_mode():
        logprobs = model(ids[None, :-1]).logits[0].double().log_softmax(-1)
    return float(logprobs.gather(1, ids[1:, None])[-scored:].sum())
