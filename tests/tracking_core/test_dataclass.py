"""The light dataclass behaves as the standard one does: each case is made with both and compared."""

from __future__ import annotations

import copy
import dataclasses
import pickle
import threading
import weakref
from collections.abc import Callable
from typing import Any, ClassVar

import pytest

from tests.support.imported import modules_loaded_by
from tracking_core import dataclass as light
from tracking_core.records import Switch


def families(make: Any) -> list[Any]:
    """Return the same classes made by a module with `dataclass` and `field`."""

    @make.dataclass(frozen=True, slots=True, kw_only=True)
    class Frozen:
        """A frozen record."""

        name: str
        count: int = 3
        seen: dict[str, int] = make.field(default_factory=dict)
        hidden: int = make.field(default=0, compare=False, repr=False)
        shared: ClassVar[int] = 9

        @property
        def twice(self) -> int:
            return 2 * self.count

    @make.dataclass(slots=True)
    class Loose:
        first: int
        rest: list[int] = make.field(default_factory=list)

        def __post_init__(self) -> None:
            self.rest = [*self.rest, self.first]

    @make.dataclass
    class Plain:
        only: int = 1

    @make.dataclass(frozen=True, slots=True)
    class Single:
        value: float

    return [Frozen, Loose, Plain, Single]


CASES: list[Callable[..., Any]] = [
    lambda frozen, *_: repr(frozen(name="a", hidden=4)),
    lambda frozen, *_: (frozen(name="a", hidden=4) == frozen(name="a"), frozen(name="a") == frozen(name="b")),
    lambda frozen, *_: frozen(name="a", count=5).twice + frozen.shared,
    lambda frozen, *_: dataclasses.asdict(frozen(name="a", seen={"x": 1})),
    lambda frozen, *_: repr(dataclasses.replace(frozen(name="a"), count=7)),
    lambda frozen, *_: [field.name for field in dataclasses.fields(frozen)],
    lambda frozen, *_: dataclasses.is_dataclass(frozen),
    lambda frozen, *_: frozen.__match_args__,
    lambda frozen, *_: frozen("a"),
    lambda frozen, *_: frozen(),
    lambda frozen, *_: frozen(name="a", other=1),
    lambda frozen, *_: setattr(frozen(name="a"), "name", "b"),
    lambda frozen, *_: hash(frozen(name="a")),
    lambda frozen, *_: copy.deepcopy(frozen(name="a", seen={"x": 1})) == frozen(name="a", seen={"x": 1}),
    lambda frozen, *_: hasattr(frozen(name="a"), "__dict__"),
    lambda _, loose, *__: repr(loose(1, [2])),
    lambda _, loose, *__: loose(1).rest is loose(1).rest,
    lambda _, loose, *__: hash(loose(1)),
    lambda _, __, plain, ___: (repr(plain()), plain.only, plain(2) == plain(2), plain(2) == 2),
    lambda _, __, plain, ___: vars(plain(2)),
    lambda _, __, plain, ___: weakref.ref(record := plain(2))() is record,
    lambda *classes: (hash(classes[3](1.5)), classes[3](1.5) == classes[3](1.5), classes[3].__match_args__),
]


def outcome(case: Callable[..., Any], classes: list[Any]) -> object:
    try:
        return case(*classes)
    except (TypeError, AttributeError) as error:
        return type(error), str(error) if isinstance(error, TypeError) else ""


@pytest.mark.parametrize("number", range(len(CASES)))
def test_a_case_has_the_outcome_of_the_standard_one(number: int) -> None:
    assert outcome(CASES[number], families(light)) == outcome(CASES[number], families(dataclasses))


def test_a_record_survives_pickling() -> None:
    from datetime import UTC, datetime

    switch = Switch(
        scope="global", job="", enabled=False, changed_at=datetime.now(UTC), changed_by="ana", reason="move"
    )
    assert pickle.loads(pickle.dumps(switch)) == switch
    assert light.replace(switch, enabled=True).enabled


def test_the_first_instances_may_be_made_by_many_threads() -> None:
    for _ in range(20):
        frozen = families(light)[0]
        made: list[Any] = []
        threads = [
            threading.Thread(target=lambda made=made, kind=frozen: made.append(kind(name="a"))) for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert made == [frozen(name="a")] * 8


def test_the_standard_ones_module_is_not_loaded() -> None:
    assert not {"dataclasses", "inspect"} & modules_loaded_by("from tracking_core.records import Run; repr(Run)")
