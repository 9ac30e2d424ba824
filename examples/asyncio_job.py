"""Many requests at once in an event loop: buffered delivery, where no call waits for the store.

Run it: python examples/asyncio_job.py
"""

import asyncio
import time

from tracking_core import ETLRunContext, SimpleETLTracker

PAGES = 40


async def fetch(page: int) -> list[int]:
    await asyncio.sleep(0.005)  # stands for your HTTP client
    return list(range(page * 10, page * 10 + 10))


async def main() -> int:
    tracker = SimpleETLTracker(delivery="buffered")
    slots = asyncio.Semaphore(8)
    with ETLRunContext(tracker, "Orders of the shop", job="orders-export") as run:

        async def one(page: int) -> int:
            async with slots:
                began = time.monotonic()
                orders = await fetch(page)
                run.log_request("/orders", page * 10, 10, 200, len(orders), (time.monotonic() - began) * 1000)
                return len(orders)

        fetched = sum(await asyncio.gather(*map(one, range(PAGES))))
    tracker.close()
    return fetched


if __name__ == "__main__":
    print(asyncio.run(main()), "orders")
