"""One run, several processes: each worker attaches to the run by its id and records into it.

Run it: python examples/worker_pool.py
"""

import multiprocessing

from tracking_core import ETLRunContext, SimpleETLTracker

PAGES, WORKERS = 12, 3


def work(run_id: int, pages: list[int]) -> None:
    tracker = SimpleETLTracker()
    run = tracker.attach(run_id)  # does not end the run: who began it does
    for page in pages:
        run.log_request("/products", page * 100, 100, 200, 100, 12.5)
    tracker.close()


if __name__ == "__main__":
    multiprocessing.set_start_method("spawn")
    tracker = SimpleETLTracker()
    with ETLRunContext(tracker, "Product catalogue", job="product-catalogue") as run:
        pages = [list(range(number, PAGES, WORKERS)) for number in range(WORKERS)]
        workers = [multiprocessing.Process(target=work, args=(run.run_id, each)) for each in pages]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    metrics = tracker.get_run_metrics(run.run_id)
    print(metrics.total_requests if metrics else 0, "requests")
