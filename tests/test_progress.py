from __future__ import annotations

from kot_platypus import progress


def test_a_log_line_counts_what_an_earlier_process_did_but_not_its_time(monkeypatch, capsys):
    clock = iter([0.0, 0.0, 20.0, 40.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    with progress.show_progress("Training", 30, "steps", done=20) as advance:
        advance(2)
        advance(2, "loss 1.0")
    lines = [line.strip() for line in capsys.readouterr().err.splitlines()]
    assert lines == [
        "Training: 22/30 steps, 80 s left",
        "Training: 24/30 steps, 60 s left  loss 1.0",
    ]
