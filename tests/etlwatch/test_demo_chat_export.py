"""The chat export is the same for the same seed, as odd as real ones, and damaged only on request."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from etlwatch.demo.chat_export import write_export


def export(path: Path, **how: Any) -> dict[str, Any]:
    write_export(path / "export.json", **how)
    document: dict[str, Any] = json.loads((path / "export.json").read_text(encoding="utf-8"))
    return document


def test_the_same_seed_writes_the_same_file(tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        write_export(tmp_path / name, seed=seed, messages=200)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes() != (tmp_path / "c").read_bytes()


def test_an_export_holds_about_as_many_messages_as_wished(tmp_path: Path) -> None:
    conversations = export(tmp_path)["conversations"]
    assert len(conversations) == 60
    assert 5500 < sum(len(conversation["MessageList"]) for conversation in conversations) < 6500


def test_an_export_holds_the_scripts_and_gaps_of_real_ones(tmp_path: Path) -> None:
    conversations = export(tmp_path)["conversations"]
    text = json.dumps(conversations, ensure_ascii=False)
    assert all(sample in text for sample in ("👩‍👩‍👧‍👦", "مرحبا", "了解", "&amp;", "\u200b"))
    assert any(conversation["displayName"] is None for conversation in conversations)


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
