"""The runnable code blocks of the second seed, statement by statement.

Changed only in the import line and the full pipeline's indentation slip.
What the blocks leave to the reader (extractor, transformer, loader, batches) stands around them.
"""

# ruff: noqa: G004, PTH202, SIM108 - the seed's statements as they stand
from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from psycopg.conninfo import conninfo_to_dict

from tests.tracking_core.etl_doubles import SEED_KEYS, set_memory
from tracking_core import ETLContext

logger = logging.getLogger("job")

CHATS = {
    "conversations": {
        "8:ada": {"MessageList": ["hello", "are you there?", "yes"]},
        "8:grace": {"MessageList": ["compiled"]},
    }
}


class Extractor:
    """Read a chat export."""

    def extract(self, file_path: str, context: ETLContext) -> dict[str, Any]:
        with Path(file_path).open(encoding="utf-8") as file:
            raw: dict[str, Any] = json.load(file)
        for conversation in raw["conversations"].values():
            context.update_progress(conversations=1, messages=len(conversation["MessageList"]))
        return raw


class Transformer:
    """Bring a chat export into rows."""

    def transform(self, raw_data: dict[str, Any], context: ETLContext, user_display_name: str) -> dict[str, Any]:
        rows = {}
        for key, conversation in raw_data["conversations"].items():
            rows[key] = [f"{user_display_name}: {message}" for message in conversation["MessageList"]]
            context.update_progress(conversations=1, messages=len(rows[key]))
        return {"conversations": rows, "message_count": sum(len(messages) for messages in rows.values())}


class Loader:
    """Count rows as loaded."""

    def load(self, transformed_data: dict[str, Any], context: ETLContext) -> dict[str, Any]:
        for messages in transformed_data["conversations"].values():
            context.update_progress(conversations=1, messages=len(messages))
        return {"status": "completed", "export_id": 42}


def run_etl_pipeline(file_path: str, user_display_name: str) -> dict[str, Any]:
    context = ETLContext(db_config={"host": "localhost", "dbname": "skype_db"}, batch_size=200)

    extractor = Extractor()
    transformer = Transformer()
    loader = Loader()

    results: dict[str, Any] = {"success": False, "phases": {}}

    try:
        context.start_phase("extract")

        raw_data = extractor.extract(file_path, context)

        extraction_result = {
            "status": "completed",
            "file_path": file_path,
            "file_size_bytes": os.path.getsize(file_path),
        }

        extract_stats = context.end_phase(extraction_result)
        results["phases"]["extract"] = extract_stats

        context.start_phase(
            "transform",
            total_conversations=len(raw_data.get("conversations", {})),
            total_messages=sum(len(c.get("MessageList", [])) for c in raw_data.get("conversations", {}).values()),
        )

        transformed_data = transformer.transform(raw_data, context, user_display_name)

        transform_result = {
            "status": "completed",
            "conversations_count": len(transformed_data["conversations"]),
            "messages_count": transformed_data["message_count"],
        }
        transform_stats = context.end_phase(transform_result)
        results["phases"]["transform"] = transform_stats

        context.start_phase(
            "load",
            total_conversations=len(transformed_data["conversations"]),
            total_messages=transformed_data["message_count"],
        )

        load_result = loader.load(transformed_data, context)

        load_stats = context.end_phase(load_result)
        results["phases"]["load"] = load_stats

        results["success"] = True
        results["export_id"] = load_result.get("export_id")

    except Exception as e:
        if context.current_phase:
            error_details = context.record_error(context.current_phase, e)
            results["error"] = error_details
        else:
            results["error"] = {"error_type": type(e).__name__, "error_message": str(e)}
    finally:
        context.close_db_connection()

        context.statistics["total"]["end_time"] = datetime.now()
        context.statistics["total"]["duration_seconds"] = (
            context.statistics["total"]["end_time"] - context.statistics["total"]["start_time"]
        ).total_seconds()

        results["statistics"] = context.statistics

    return results


def test_the_full_pipeline_completes(tmp_path: Path) -> None:
    export = tmp_path / "export.json"
    export.write_text(json.dumps(CHATS), encoding="utf-8")
    results = run_etl_pipeline(str(export), "Ada")
    assert results["success"]
    assert results["export_id"] == 42
    assert list(results["phases"]) == ["extract", "transform", "load"]
    for statistics in results["phases"].values():
        assert set(SEED_KEYS) | {"status", "peak_memory_mb"} <= set(statistics)
        assert statistics["status"] == "completed"
    assert results["phases"]["extract"]["file_size_bytes"] == export.stat().st_size
    assert results["phases"]["transform"]["conversations_count"] == 2
    assert results["phases"]["load"]["message_percent"] == 100.0
    total = results["statistics"]["total"]
    assert (total["conversations_processed"], total["messages_processed"]) == (6, 12)
    assert total["duration_seconds"] > 0
    assert "errors" not in results["statistics"]


def test_the_full_pipeline_records_the_error_of_a_damaged_file(tmp_path: Path) -> None:
    export = tmp_path / "export.json"
    export.write_text('{"conversations": {', encoding="utf-8")
    results = run_etl_pipeline(str(export), "Ada")
    assert not results["success"]
    assert (results["error"]["error_type"], results["error"]["phase"]) == ("JSONDecodeError", "extract")
    assert "in extract\n" in results["error"]["traceback"]
    assert results["statistics"]["errors"] == [results["error"]]
    assert results["statistics"]["total"]["duration_seconds"] > 0


def test_initialization() -> None:
    context = ETLContext(
        db_config={"host": "localhost", "dbname": "skype_db", "user": "user", "password": "password"},
        batch_size=200,
        memory_limit_mb=1024,
        parallel_processing=True,
    )
    assert (context.batch_size, context.memory_limit_mb, context.parallel_processing) == (200, 1024, True)


def proper_phase_management(context: ETLContext, error: Exception | None) -> None:
    context.start_phase("extract")

    try:
        if error is not None:
            raise error

        context.end_phase({"status": "completed"})
    except Exception as e:
        context.record_error("extract", e)
        context.end_phase({"status": "failed"})
        raise


def test_best_practice_1_proper_phase_management_completes() -> None:
    context = ETLContext()
    proper_phase_management(context, None)
    assert context.phase_status["extract"] == "completed"


def test_best_practice_1_proper_phase_management_fails_and_raises() -> None:
    context = ETLContext()
    with pytest.raises(ValueError, match="row 7"):
        proper_phase_management(context, ValueError("row 7"))
    assert context.current_phase is None
    assert context.statistics["phases"]["extract"]["status"] == "failed"
    assert context.statistics["errors"][0]["error_message"] == "row 7"


def count_messages(data: Any) -> int:
    """Count the messages of a batch, or of a whole export."""
    conversations = data["conversations"].values() if isinstance(data, dict) else data
    return sum(len(conversation["MessageList"]) for conversation in conversations)


def test_best_practice_2_regular_progress_updates() -> None:
    context = ETLContext()
    context.start_phase("transform")
    processed = []
    process_batch = processed.append
    batches = [list(CHATS["conversations"].values())] * 3

    for i, batch in enumerate(batches):
        process_batch(batch)

        context.update_progress(conversations=len(batch), messages=count_messages(batch))

        if i % 10 == 0:
            logger.info(f"Processed {i}/{len(batches)} batches")

    assert len(processed) == 3
    assert context.progress_tracker.processed == {"conversations": 6, "messages": 12}


def resource_management(context: ETLContext) -> Any:
    try:
        connection = context.get_db_connection()

        return connection.execute("SELECT 1").fetchone()

    finally:
        context.close_db_connection()


def test_best_practice_3_resource_management_on_sqlite(tmp_path: Path) -> None:
    context = ETLContext(f"sqlite:///{tmp_path / 'job.db'}")
    for _ in range(2):
        assert resource_management(context) == (1,)


def test_best_practice_3_resource_management_on_postgresql(postgres_dsn: str) -> None:
    context = ETLContext(db_config=conninfo_to_dict(postgres_dsn))
    for _ in range(2):
        assert resource_management(context) == (1,)


def error_handling(context: ETLContext, error: Exception) -> None:
    try:
        raise error
    except MemoryError as e:
        logger.error(f"Memory limit exceeded: {e}")
        context.record_error("transform", e)
        raise
    except Exception as e:
        logger.error(f"Error processing data: {e}")
        context.record_error("transform", e)
        raise


@pytest.mark.parametrize("error", [MemoryError("full"), KeyError("row")])
def test_best_practice_4_error_handling(error: Exception) -> None:
    context = ETLContext()
    with pytest.raises(type(error)):
        error_handling(context, error)
    assert context.statistics["errors"][0]["error_type"] == type(error).__name__
    assert context.get_phase_status("transform") == "failed"


class CustomDataParser:
    def parse(self, data: str) -> list[str]:
        return data.split(",")


def default_parse(data: str) -> list[str]:
    return [data]


@pytest.mark.parametrize(("shared", "expected"), [(True, ["a", "b"]), (False, ["a,b"])])
def test_best_practice_5_dependency_management(shared: bool, expected: list[str]) -> None:
    context = ETLContext()
    data = "a,b"
    if shared:
        parser = CustomDataParser()
        context.set_resource("data_parser", parser)

    parser = context.get_resource("data_parser")
    if parser:
        parsed_data = parser.parse(data)
    else:
        parsed_data = default_parse(data)

    assert parsed_data == expected


def extract_with_finally(context: ETLContext, error: Exception | None) -> None:
    try:
        context.start_phase("extract")
        if error is not None:
            raise error
    finally:
        if context.current_phase == "extract":
            context.end_phase()


def test_pitfall_forgetting_to_end_a_phase() -> None:
    context = ETLContext()
    extract_with_finally(context, None)
    with pytest.raises(OSError, match="unreadable"):
        extract_with_finally(context, OSError("unreadable"))
    assert context.get_phase_status("extract") == "failed"
    context.start_phase("transform")


def get_batches(data: list[int], batch_size: int) -> Iterator[list[int]]:
    for start in range(0, len(data), batch_size):
        yield data[start : start + batch_size]


@pytest.mark.parametrize(("used_mb", "raises"), [(1000.0, False), (1100.0, True)])
def test_pitfall_memory_management_issues(used_mb: float, raises: bool) -> None:
    data = list(range(250))
    processed: list[list[int]] = []

    def process_batch(batch: list[int]) -> None:
        processed.append(batch)
        set_memory(context.memory_monitor, used_mb)

    context = ETLContext(memory_limit_mb=1024)

    def process_all() -> None:
        for batch in get_batches(data, batch_size=context.batch_size):
            process_batch(batch)

            context.memory_monitor.check_memory()

    if raises:
        with pytest.raises(MemoryError, match=r"Memory usage \(1100\.00 MB\) exceeds limit \(1024 MB\)"):
            process_all()
        assert len(processed) == 1
    else:
        process_all()
        assert [len(batch) for batch in processed] == [100, 100, 50]


def test_pitfall_incorrect_progress_tracking() -> None:
    context = ETLContext()

    def extract_initial_data() -> dict[str, Any]:
        return CHATS

    context.start_phase("extract")

    data = extract_initial_data()
    total_conversations = len(data["conversations"])
    total_messages = count_messages(data)

    context.progress_tracker.total_conversations = total_conversations
    context.progress_tracker.total_messages = total_messages

    context.update_progress(conversations=1, messages=1)
    statistics = context.end_phase()
    assert (statistics["total_conversations"], statistics["total_messages"]) == (2, 4)
    assert (statistics["conversation_percent"], statistics["message_percent"]) == (50.0, 25.0)


class DatabaseOperation:
    def __init__(self, context: ETLContext) -> None:
        self.context = context

    def __enter__(self) -> Any:
        self.connection = self.context.get_db_connection()
        return self.connection

    def __exit__(self, exc_type: object, exc_val: object, exc_tb: object) -> None:
        pass


def use_twice(context: ETLContext) -> tuple[Any, Any]:
    with DatabaseOperation(context) as connection:
        first = connection.execute("SELECT 1").fetchone()
    with DatabaseOperation(context) as again:
        assert again is connection
        return first, again.execute("SELECT 2").fetchone()


def test_pitfall_database_connection_management_on_sqlite(tmp_path: Path) -> None:
    context = ETLContext(f"sqlite:///{tmp_path / 'job.db'}")
    assert use_twice(context) == ((1,), (2,))
    context.close_db_connection()


def test_pitfall_database_connection_management_on_postgresql(postgres_dsn: str) -> None:
    context = ETLContext(postgres_dsn)
    assert use_twice(context) == ((1,), (2,))
    context.close_db_connection()
