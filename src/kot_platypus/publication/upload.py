"""Sending a plan to the Hub: large files one by one, then one commit that makes all visible.

The Hub keeps a large file by its content as soon as it is up, so a command that was killed and is
typed again does not send it twice, and needs no notes of its own. Until the one commit at the end
the repository shows nothing of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from kot_platypus.errors import ServiceError
from kot_platypus.progress import console
from kot_platypus.publication.plan import Plan

MESSAGE = "Published with kot"


def upload_plan(plan: Plan, repo_id: str, *, public: bool, endpoint: str | None = None) -> str:
    """Send everything; return the commit's address.

    The token is the environment's (``HF_TOKEN``) or that of ``hf auth login``. A new repository is
    private unless ``public``; an existing one stays as it is. Raises ServiceError when there is no
    token, when the repository is public and ``public`` was not asked for, or when the Hub refuses
    or cannot be reached: run the same command again.
    """
    from huggingface_hub import CommitOperationAdd, HfApi, get_token

    if get_token() is None:
        raise ServiceError(
            "no token for the Hub",
            expected="the environment variable HF_TOKEN, or a login",
            hint="Run: hf auth login",
        )
    api = HfApi(endpoint=endpoint)
    with _explain("create or find the repository"):
        api.create_repo(repo_id, repo_type=plan.kind, private=not public, exist_ok=True)
        is_private = bool(api.repo_info(repo_id, repo_type=plan.kind).private)
    if not is_private and not public:
        raise ServiceError(
            f"{repo_id} is public",
            expected="a private repository, or --public",
            hint="Pass --public, or another name with --to.",
        )
    if is_private and public:
        console.print(f"  {repo_id} is private and stays so: change that in its settings")
    operations = [
        CommitOperationAdd(
            path_in_repo=each.destination,
            path_or_fileobj=each.source if each.cleaned is None else each.cleaned,
        )
        for each in plan.uploads
    ]
    for number, operation in enumerate(operations, start=1):
        place = f"[{number}/{len(operations)}] {operation.path_in_repo}"
        with _explain(f"send {operation.path_in_repo}"):
            api.preupload_lfs_files(
                repo_id, [operation], repo_type=plan.kind, free_memory=False, num_threads=1
            )
        console.print(f"  {place}", markup=False, highlight=False)
    with _explain("commit the files"):
        commit = api.create_commit(repo_id, operations, commit_message=MESSAGE, repo_type=plan.kind)
    return str(commit.commit_url)


@contextmanager
def _explain(what: str) -> Iterator[None]:
    """Turn the client's errors into one line without its texts, whose addresses may be signed."""
    import httpx
    from huggingface_hub.errors import HfHubHTTPError

    try:
        yield
    except (HfHubHTTPError, httpx.HTTPError, OSError, RuntimeError, ValueError) as error:
        cause: BaseException = error.__cause__ or error
        response = getattr(cause, "response", None)
        status = getattr(response, "status_code", None)
        reason = f"HTTP {status}" if status else type(cause).__name__
        hint = (
            "Check HF_TOKEN's rights and --to."
            if status in (401, 403, 404)
            else ("Run the same command again: files that are up are not sent twice.")
        )
        raise ServiceError(
            f"the Hub did not {what} ({reason})", expected="an answer", hint=hint
        ) from None
