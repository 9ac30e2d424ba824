"""The job `conversation-import`: its sample exports, its phases, and the errors of damaged exports."""

import contextlib
import json
import sqlite3
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from etlwatch.demo import conversation_import
from etlwatch.demo.conversation_import import DamagedExportError, import_export, in_batches, plain_text, write_export
from tracking_core import ETLContext, SimpleETLTracker
from tracking_core.store import open_store


def export(path: Path, **how: Any) -> dict[str, Any]:
    write_export(path / "export.json", **how)
    document: dict[str, Any] = json.loads((path / "export.json").read_text(encoding="utf-8"))
    return document


def test_the_same_seed_writes_the_same_file(tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        write_export(tmp_path / name, seed=seed, messages=200)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes() != (tmp_path / "c").read_bytes()


def test_an_export_holds_about_the_requested_number_of_messages(tmp_path: Path) -> None:
    conversations = export(tmp_path)["conversations"]
    assert len(conversations) == 60
    assert 5500 < sum(len(conversation["MessageList"]) for conversation in conversations) < 6500


def test_one_time_is_spoilt_on_request(tmp_path: Path) -> None:
    times = [
        message["originalarrivaltime"]
        for conversation in export(tmp_path, damage="time")["conversations"]
        for message in conversation["MessageList"]
    ]
    spoilt = []
    for time in times:
        try:
            datetime.fromisoformat(time)
        except ValueError:
            spoilt.append(time)
    assert spoilt == ["2023-02-30T25:61:00Z"]


def test_a_truncated_export_is_no_json(tmp_path: Path) -> None:
    with pytest.raises(json.JSONDecodeError):
        export(tmp_path, damage="truncated")


@pytest.fixture
def recording_dsn(store_dsn: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Name a fresh store in the environment, where a job looks for it."""
    monkeypatch.setenv("TRACKING_DSN", store_dsn)
    return store_dsn


def test_a_sound_export_is_loaded_whole(tmp_path: Path) -> None:
    messages = sum(len(each["MessageList"]) for each in export(tmp_path, messages=900)["conversations"])
    context = ETLContext(f"sqlite:///{tmp_path / 'chat.db'}")
    import_export(tmp_path / "export.json", context)
    with contextlib.closing(sqlite3.connect(tmp_path / "chat.db")) as result:
        assert result.execute("SELECT count(*), count(DISTINCT conversation) FROM messages").fetchone() == (
            messages,
            60,
        )
        assert result.execute("SELECT count(*) FROM messages WHERE text LIKE '%<b>%'").fetchone() == (0,)
    assert context.statistics["total"]["messages_processed"] == 3 * messages
    assert context.phase_status == {"extract": "completed", "transform": "completed", "load": "completed"}


def test_a_run_records_its_phases_with_their_counts_and_memory(tmp_path: Path, recording_dsn: str) -> None:
    messages = sum(len(each["MessageList"]) for each in export(tmp_path, messages=900)["conversations"])
    conversation_import.main(["--messages", "900"])
    (run,) = SimpleETLTracker(recording_dsn).get_recent_runs()
    assert (run.job, run.status, run.errors) == ("conversation-import", "completed", 0)
    with open_store(recording_dsn).reader(5.0) as reader:
        phases = reader.phases([run.run_id])
    assert [(phase.phase, phase.status) for phase in phases] == [
        ("extract", "completed"),
        ("transform", "completed"),
        ("load", "completed"),
    ]
    for phase in phases:
        assert phase.counters == {
            "conversations": {"total": 60, "processed": 60},
            "messages": {"total": messages, "processed": messages},
        }
        assert phase.memory_mb is not None


def test_a_damaged_message_fails_the_run_with_its_traceback_and_cause(recording_dsn: str) -> None:
    with pytest.raises(DamagedExportError, match=r"message 37-\d+ of conversation .* cannot be read"):
        conversation_import.main(["--messages", "900", "--damage", "time"])
    (run,) = SimpleETLTracker(recording_dsn).get_recent_runs()
    assert (run.status, run.errors) == ("failed", 1)
    with open_store(recording_dsn).reader(5.0) as reader:
        status = {phase.phase: phase.status for phase in reader.phases([run.run_id])}
        (error,) = reader.errors(run.run_id)
    assert status == {"extract": "completed", "transform": "failed", "load": "pending"}
    assert (error.phase, error.error_type.rpartition(".")[2]) == ("transform", "DamagedExportError")
    assert "ValueError" in error.traceback
    assert "direct cause" in error.traceback
    assert "conversation_import.py" in error.traceback


def test_a_truncated_export_fails_in_its_extraction(recording_dsn: str) -> None:
    with pytest.raises(DamagedExportError, match="is not a complete chat export"):
        conversation_import.main(["--damage", "truncated"])
    (run,) = SimpleETLTracker(recording_dsn).get_recent_runs()
    with open_store(recording_dsn).reader(5.0) as reader:
        (error,) = reader.errors(run.run_id)
    assert (run.status, error.phase) == ("failed", "extract")
    assert "JSONDecodeError" in error.traceback


@pytest.mark.parametrize("document", ["[]", "{}", '{"userId": "me", "conversations": [{"id": "x"}]}', "\udcff"])
def test_a_file_that_is_no_export_is_refused(tmp_path: Path, document: str) -> None:
    path = tmp_path / "export.json"
    path.write_bytes(document.encode("utf-8", "surrogateescape"))
    with pytest.raises(DamagedExportError) as raised:
        import_export(path, ETLContext(f"sqlite:///{tmp_path / 'chat.db'}"))
    assert raised.value.__cause__ is not None


@pytest.mark.parametrize(
    ("rich", "plain"),
    [
        ("Can you send the <b>latest</b>?", "Can you send the latest?"),
        ("a &amp; b &lt;c&gt;", "a & b <c>"),
        ("two\r\nlines", "two\nlines"),
        ("", ""),
    ],
)
def test_rich_text_becomes_plain(rich: str, plain: str) -> None:
    assert plain_text(rich) == plain


def test_batches_hold_everything_once() -> None:
    assert list(in_batches([1, 2, 3, 4, 5], 2)) == [[1, 2], [3, 4], [5]]
    assert list(in_batches([], 2)) == []
