"""What is kept of an error."""

import dataclasses
import subprocess
import sys
import traceback
from typing import Any, NoReturn

import pytest

from tracking_core.failures import TEXT_BYTES, Failure, keep_ends


def raised(error: BaseException) -> BaseException:
    """Return `error` after it was raised and caught."""
    try:
        raise error
    except BaseException as caught:
        return caught


def parse(text: str) -> int:
    return int(text)


def failure_of_parsing(text: str) -> Failure:
    try:
        parse(text)
    except ValueError as error:
        return Failure.from_error(error)
    raise AssertionError(text)


def test_a_raised_exception_gives_type_message_and_its_own_traceback() -> None:
    failure = failure_of_parsing("seven")
    assert failure.error_type == "ValueError"
    assert failure.message == "invalid literal for int() with base 10: 'seven'"
    assert failure.traceback.startswith("Traceback (most recent call last):\n")
    assert "in parse\n" in failure.traceback
    assert failure.traceback.endswith(f"ValueError: {failure.message}\n")


def test_the_traceback_is_the_errors_own_while_another_is_handled() -> None:
    kept = raised(KeyError("mine"))
    try:
        raise RuntimeError("another")
    except RuntimeError:
        failure = Failure.from_error(kept)
    assert failure.traceback == "".join(traceback.format_exception(kept))
    assert "another" not in failure.traceback


def test_causes_notes_and_groups_are_in_the_traceback() -> None:
    error = ExceptionGroup("two batches", [ValueError("first"), OSError("second")])
    error.add_note("while loading contacts")
    try:
        raise error from TimeoutError("no answer")
    except ExceptionGroup as caught:
        failure = Failure.from_error(caught)
    for words in (
        "TimeoutError: no answer",
        "while loading contacts",
        "ValueError: first",
        "OSError: second",
    ):
        assert words in failure.traceback


def test_an_exception_that_was_never_raised_has_a_traceback_without_frames() -> None:
    assert Failure.from_error(ValueError("made, not raised")).traceback == "ValueError: made, not raised\n"


def test_a_string_has_the_type_str_and_an_empty_traceback() -> None:
    try:
        raise RuntimeError("being handled")
    except RuntimeError:
        failure = Failure.from_error("source file is empty")
    assert (failure.error_type, failure.message, failure.traceback) == ("str", "source file is empty", "")


def test_the_message_of_an_error_without_text_is_empty() -> None:
    assert Failure.from_error(KeyboardInterrupt()).message == ""


@pytest.mark.parametrize(
    ("other", "kind", "text"), [(None, "NoneType", "None"), (7, "int", "7"), (b"bytes", "bytes", "b'bytes'")]
)
def test_any_other_object_has_its_types_name_and_its_text(other: object, kind: str, text: str) -> None:
    failure = Failure.from_error(other)
    assert (failure.error_type, failure.message, failure.traceback) == (kind, text, "")


def test_the_kind_of_a_message_is_what_the_caller_says() -> None:
    assert Failure.from_error("no rows").error_type == "str"
    assert Failure.from_error("no rows", plain="message").error_type == "message"


def test_a_group_is_named_after_its_first_leaf_and_says_how_many_more_there_are() -> None:
    leaf = ExceptionGroup("unhandled errors in a TaskGroup", [ExceptionGroup("inner", [KeyError("id")])])
    assert Failure.from_error(leaf).error_type == "KeyError"
    assert Failure.from_error(leaf).message == "'id'"
    several = ExceptionGroup("unhandled errors in a TaskGroup", [ValueError("row 7"), leaf, OSError("full")])
    failure = Failure.from_error(several)
    assert (failure.error_type, failure.message) == ("ValueError", "row 7 (and 2 more in ExceptionGroup)")
    assert "OSError: full" in failure.traceback
    # One more failing task makes no new kind of error.
    assert failure.fingerprint == Failure.from_error(ValueError("row 8")).fingerprint


class UnprintableError(Exception):
    def __str__(self) -> NoReturn:
        raise RuntimeError("no words")


class Notes:
    """Notes that cannot be walked."""

    def __iter__(self) -> NoReturn:
        raise RuntimeError("no notes")


def test_an_exception_whose_str_raises_still_gives_a_record() -> None:
    failure = Failure.from_error(raised(UnprintableError()))
    assert (failure.error_type, failure.message) == ("UnprintableError", "<unprintable UnprintableError>")
    assert "in raised\n" in failure.traceback


def test_an_exception_whose_traceback_cannot_be_written_still_gives_a_record(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object) -> NoReturn:
        raise RecursionError

    monkeypatch.setattr("tracking_core.failures.traceback.format_exception", fail)
    failure = Failure.from_error(ValueError("kept"))
    assert failure.traceback == "ValueError: kept\n(the traceback could not be written)\n"


def test_odd_notes_do_not_cost_the_record() -> None:
    error = ValueError("kept")
    error.__notes__ = Notes()  # type: ignore[assignment]
    assert Failure.from_error(raised(error)).message == "kept"


def test_a_long_traceback_keeps_head_and_tail_with_a_mark_between() -> None:
    failure = Failure.from_error(raised(ValueError("x" * 200_000 + "the end")))
    assert len(failure.traceback.encode()) <= TEXT_BYTES
    assert failure.traceback.startswith("Traceback (most recent call last):\n")
    assert "bytes left out ...]" in failure.traceback
    assert failure.traceback.endswith("the end\n")
    assert failure.message.endswith("the end")


@pytest.mark.parametrize("character", ["a", "é", "…", "🙂", "\ud800"])
def test_keeping_the_ends_counts_bytes_and_cuts_no_character(character: str) -> None:
    for limit in range(100, 109):
        shortened = keep_ends(character * 500, limit)
        assert len(shortened.encode("utf-8", "surrogatepass")) <= limit
        head, mark, tail = shortened.split("\n")
        assert set(head) == set(tail) == {character}
        left_out = (500 - len(head) - len(tail)) * len(character.encode("utf-8", "surrogatepass"))
        assert mark == f"[... {left_out} bytes left out ...]"


def test_keeping_the_ends_leaves_what_fits_alone() -> None:
    assert keep_ends("é" * 50, 100) == "é" * 50


def test_a_fingerprint_has_sixteen_hexadecimal_digits() -> None:
    fingerprint = failure_of_parsing("seven").fingerprint
    assert len(fingerprint) == 16
    assert set(fingerprint) <= set("0123456789abcdef")


def test_the_same_failing_function_has_one_fingerprint_whatever_the_values() -> None:
    assert failure_of_parsing("seven").fingerprint == failure_of_parsing("eight").fingerprint


def load(directory: str, blank_lines: int, function: str = "load") -> Failure:
    """Fail in a function of a file of its own, at a line of its own."""
    source = "\n" * blank_lines + f"def {function}():\n    raise ValueError('row {blank_lines}')\n"
    namespace: dict[str, Any] = {}
    exec(compile(source, f"{directory}/loader.py", "exec"), namespace)
    try:
        namespace[function]()
    except ValueError as error:
        return Failure.from_error(error)
    raise AssertionError


def test_a_fingerprint_knows_no_line_numbers_and_no_directories() -> None:
    assert load("/srv/a", 0).fingerprint == load("/home/b/checkout", 40).fingerprint


def called_by_another(text: str) -> Failure:
    return failure_of_parsing(text)


def test_a_message_of_another_kind_is_another_fingerprint_and_another_caller_is_not() -> None:
    def failing(message: str) -> str:
        return Failure.from_error(raised(ValueError(message))).fingerprint

    assert failing("disk full") != failing("row 3 is short") == failing("row 17 is short")
    assert called_by_another("seven").fingerprint == failure_of_parsing("seven").fingerprint


def test_another_function_or_another_type_is_another_fingerprint() -> None:
    assert load("/srv/a", 0).fingerprint != load("/srv/a", 0, "store").fingerprint
    assert Failure.from_error(ValueError("x")).fingerprint != Failure.from_error(KeyError("x")).fingerprint


def descend(depth: int) -> None:
    if depth == 0:
        raise ValueError("bottom")
    descend(depth - 1)


def test_the_depth_of_a_recursion_does_not_change_the_fingerprint() -> None:
    fingerprints = set()
    for depth in (1, 30):
        try:
            descend(depth)
        except ValueError as error:
            fingerprints.add(Failure.from_error(error).fingerprint)
    assert len(fingerprints) == 1


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("row 17 of 900 is short", "row 3 of 12 is short"),
        (
            "no contact 3f2b8c1e-9d41-4c7a-8e55-0123456789ab",
            "no contact 00000000-1111-2222-3333-AAAAaaaaBBBB",
        ),
        ("object at 0x7f3a99 is gone", "object at 0xDEADBEEF is gone"),
        ("commit 9f86d081884c is unknown", "commit 60303ae22b99 is unknown"),
        ("no column 'name'", "no column 'a surname'"),
        ('no file "a.json"', 'no file "b c.json"'),
    ],
)
def test_messages_without_frames_are_grouped_past_their_varying_parts(one: str, other: str) -> None:
    assert Failure.from_error(one).fingerprint == Failure.from_error(other).fingerprint


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("source file is empty", "source file is missing"),
        ("can't open the source's file", "can't close the source's file"),
        ("facade failed", "decade failed"),
    ],
)
def test_messages_of_another_kind_keep_their_own_fingerprint(one: str, other: str) -> None:
    assert Failure.from_error(one).fingerprint != Failure.from_error(other).fingerprint


def test_a_fingerprint_is_the_same_in_every_process() -> None:
    code = "from tracking_core.failures import Failure; print(Failure.from_error('row 7 is short').fingerprint)"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == Failure.from_error("row 7 is short").fingerprint


def test_a_failure_cannot_be_changed_and_keeps_no_error_alive() -> None:
    failure = Failure.from_error("fixed")
    with pytest.raises(dataclasses.FrozenInstanceError):
        failure.message = "changed"  # type: ignore[misc]
    assert not hasattr(failure, "__dict__")
    assert {type(getattr(failure, field.name)) for field in dataclasses.fields(failure)} == {str}
