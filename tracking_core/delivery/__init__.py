"""The ways to a store: immediate or buffered.

A tracker checks arguments and passes on raw events, plain tuples; everything that costs time (cleaning, counting,
building rows, talking to a store) is done by a delivery, so a buffered one can do it on a thread of its own. Every
method of a delivery is safe to call from any thread and raises only what comes from outside. What it returns is
"recorded": committed or spooled (immediate), accepted (buffered). It is False when tracking is off, when the store
holds no such run, and when neither store nor spool took the event.
"""

from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from tracking_core.delivery.buffered import BufferedDelivery
    from tracking_core.delivery.immediate import ImmediateDelivery

Delivery: TypeAlias = "ImmediateDelivery | BufferedDelivery"
