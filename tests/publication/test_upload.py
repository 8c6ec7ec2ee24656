"""Real uploads through huggingface_hub's client to a Hub on the loopback, killed and resumed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from kot_platypus.cli import app
from kot_platypus.errors import ServiceError
from kot_platypus.publication.plan import plan_dataset, plan_model, read_upload
from kot_platypus.publication.upload import upload_plan
from tests.killing import kill_when
from tests.publication.hub_server import TOKEN, FakeHub

TO = "minsu/model"
# huggingface_hub 2.4 sends large files in a way that httpx would have otherwise.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")


def test_everything_goes_up_in_one_private_commit(run: Path, hub: FakeHub) -> None:
    plan = plan_model(run)
    address = upload_plan(plan, TO, public=False, endpoint=hub.address)
    repository = hub.repositories[TO]
    assert address.startswith(f"{hub.address}/{TO}/commit/")
    assert repository.private
    assert len(repository.commits) == 1
    assert repository.files == {each.destination: read_upload(each) for each in plan.uploads}
    assert len(hub.puts) == 2  # the weights; the rest are regular files


@pytest.mark.slow
def test_the_same_again_sends_and_commits_nothing(run: Path, hub: FakeHub) -> None:
    plan = plan_model(run)
    upload_plan(plan, TO, public=False, endpoint=hub.address)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("huggingface_hub.hf_api.logger.warning", lambda *_: None)
        upload_plan(plan, TO, public=False, endpoint=hub.address)
    assert len(hub.puts) == 2
    assert len(hub.repositories[TO].commits) == 1


def test_a_data_set_goes_up_publicly_where_asked(dataset: Path, hub: FakeHub) -> None:
    upload_plan(plan_dataset(dataset), "minsu/rows", public=True, endpoint=hub.address)
    assert not hub.repositories["minsu/rows"].private
    assert "POST /datasets/minsu/rows.git/info/lfs/objects/batch" in hub.requests
    assert len(hub.puts) == 1


def test_a_public_repository_is_no_private_place(run: Path, hub: FakeHub) -> None:
    upload_plan(plan_model(run), TO, public=True, endpoint=hub.address)
    before = dict(hub.repositories[TO].files)
    (run / "report.html").write_text("new")
    with pytest.raises(ServiceError, match="is public"):
        upload_plan(plan_model(run), TO, public=False, endpoint=hub.address)
    assert hub.repositories[TO].files == before


def test_refusals_are_one_line_without_the_token(
    run: Path, hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.fail_commit = 403
    with pytest.raises(ServiceError, match=r"did not commit the files \(HTTP 403\)") as refused:
        upload_plan(plan_model(run), TO, public=False, endpoint=hub.address)
    assert TOKEN not in str(refused.value)
    monkeypatch.setenv("HF_TOKEN", "hf_another")
    with pytest.raises(ServiceError, match="HTTP 401") as refused:
        upload_plan(plan_model(run), TO, public=False, endpoint=hub.address)
    assert "hf_another" not in str(refused.value)
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", "nowhere")
    with pytest.raises(ServiceError, match="no token"):
        upload_plan(plan_model(run), TO, public=False, endpoint=hub.address)


@pytest.mark.slow
def test_a_killed_upload_goes_on_where_it_was(run: Path, hub: FakeHub) -> None:
    environment = {
        **os.environ,
        "HF_ENDPOINT": hub.address,
        "HF_HUB_DISABLE_XET": "1",
        "MPLCONFIGDIR": str(run),
    }
    command = [sys.executable, "-m", "kot_platypus", "publish", str(run), "--to", TO]
    hub.stall_from = 2
    kill_when(hub.stalled.is_set, command, env=environment)
    hub.release.set()
    assert len(hub.objects) == 1
    assert hub.repositories[TO].commits == []
    assert hub.repositories[TO].files == {}
    first = hub.puts[0]
    hub.stall_from = None
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert hub.puts.count(first) == 1  # what was up was not sent twice
    plan = plan_model(run)
    assert hub.repositories[TO].files == {u.destination: read_upload(u) for u in plan.uploads}
    assert len(hub.repositories[TO].commits) == 1
    assert TOKEN not in done.stdout + done.stderr


# --- the command -------------------------------------------------------------------------------


def test_a_dry_run_lists_all_files_and_asks_nobody(run: Path, hub: FakeHub) -> None:
    done = CliRunner().invoke(app, ["publish", str(run), "--to", TO, "--dry-run"])
    assert done.exit_code == 0, done.output
    plan = plan_model(run)
    for upload in plan.uploads:
        assert f"{upload.destination} " in done.stdout
        assert f"{upload.size:,}" in done.stdout
    assert "Not uploaded (--dry-run): model minsu/model, private." in done.stdout
    assert hub.requests == []


@pytest.mark.parametrize("options", [(), ("--dry-run",)])
def test_a_secret_stops_the_command_before_anything_is_sent(
    run: Path, hub: FakeHub, options: tuple[str, ...]
) -> None:
    secret = "hf_" + "aB3" * 11
    with (run / "README.md").open("a") as file:
        file.write(f"\n{secret}\n")
    done = CliRunner().invoke(app, ["publish", str(run), "--to", TO, *options])
    assert done.exit_code == 1
    assert "a Hugging Face token" in done.stdout
    assert secret not in done.output
    assert hub.requests == []


@pytest.mark.parametrize("to", ["name", "a/b/c", "a b/c", "-a/b"])
def test_a_name_that_the_hub_would_not_take_is_refused(run: Path, to: str) -> None:
    done = CliRunner().invoke(app, ["publish", str(run), "--to", to, "--dry-run"])
    assert done.exit_code == 2
