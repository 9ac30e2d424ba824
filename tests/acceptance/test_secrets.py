"""P18: a secret in whatever a job records reaches neither store nor spool nor log, also when the job is killed."""

from pathlib import Path

import pytest

from tests.acceptance.once import BOTH_ONCE
from tests.support.job import job_process
from tests.support.peek import peek
from tests.support.ports import free_port
from tracking_core.config import resolve

SECRET = "hunter2-planted"
PLANTED = f"""
import logging
logging.basicConfig(level="DEBUG")
SECRET = "{SECRET}"
tracker = SimpleETLTracker(DSN, deadline=1, record_command="full")
run = ETLRunContext(tracker, f"password={{SECRET}} in notes", job=f"https://{{SECRET}}@host/job")
run.__enter__()
tags = {{"dsn": f"postgresql://u:{{SECRET}}@h/d", "token": SECRET, "x": "ghp_" + SECRET.replace("-", "") * 3}}
tracker.start_run("tags", tags=tags)
other = tracker.start_run(f"https://{{SECRET}}@host/notes")
for page in range(700 if os.environ["TRACKING_DELIVERY"] == "buffered" else 7):
    run.log_request(f"/x?api_key={{SECRET}}&page={{page % 7}}", page, 100, 200, 100, 12)
    run.log_request("https://u:" + SECRET + "@host/y", page, 100, 200, 100, 12.5)
run.log_request("/x", 0, 1, 500, 0, 1, error=f"Authorization: Bearer {{SECRET}}")
run.log_request("/x", 0, 1, 500, 0, 1, error=ValueError("{{'password': '" + SECRET + "'}}"))
run.log_request("/x" * 600 + f"?sig={{SECRET}}", 0, 1, 200, 0, 1)
run.log_source_count(f"https://{{SECRET}}@host/entity", 5)
run.log_error(f"Set-Cookie: sid={{SECRET}}", phase=f"token={{SECRET}}")
run.log_error("x" * 70_000 + f" password={{SECRET}}" + "y" * 70_000)
tracker.log_phase(run.run_id, f"token={{SECRET}}", "running")
try:
    password = SECRET; raise RuntimeError(f"cannot log in with --password {{SECRET}}")
except RuntimeError as error:
    error.add_note(f"X-Api-Key: {{SECRET}}")
    run.log_error(error)
tracker.end_run(other, False, f"ended with pwd={{SECRET}}")
"""
WORKING = PLANTED + "run.__exit__(None, None, None); tracker.close()"
KILLED = (
    PLANTED
    + """
tracker.flush(5)
run.log_request(f"/x?api_key={SECRET}", 0, 1, 200, 1, 1)
os.kill(os.getpid(), signal.SIGKILL)
"""
)


def run_planted(source: str, dsn: str, **environ: str) -> str:
    """Run a job and return what it wrote; its source, which is its command line, holds the secret."""
    with job_process(source, dsn, **environ) as process:
        out, err = process.communicate(timeout=40)
    return out + err


def stored_text(dsn: str) -> str:
    """Return every byte of a store, as it lies in its file, or every row of every table of the server."""
    path = resolve(dsn).path
    if path is not None:
        return "".join(each.read_bytes().decode("latin-1") for each in path.parent.glob(f"{path.name}*"))
    tables = peek(dsn, "SELECT table_name FROM information_schema.tables WHERE table_schema = 'tracking'")
    return "".join(str(peek(dsn, f'SELECT t::text FROM tracking."{name}" AS t')) for (name,) in tables)


def files_below(directory: Path) -> str:
    return "".join(each.read_bytes().decode("latin-1") for each in directory.rglob("*") if each.is_file())


@BOTH_ONCE
@pytest.mark.parametrize("source", [WORKING, KILLED], ids=["ended", "killed"])
def test_no_secret_reaches_the_store_or_the_log(store_dsn: str, delivery: str, source: str) -> None:
    said = run_planted(source, store_dsn, TRACKING_DELIVERY=delivery, TRACKING_DEADLINE="20")
    held = stored_text(store_dsn)
    assert "https://***@host/job" in held
    assert held.count("api_key=***") >= 7
    assert SECRET not in said + held
    assert SECRET.replace("-", "") not in held


@pytest.mark.parametrize("source", [WORKING, KILLED], ids=["ended", "killed"])
def test_no_secret_reaches_the_spool_or_the_log(tmp_path: Path, delivery: str, source: str) -> None:
    dsn = f"postgresql://u:{SECRET}@127.0.0.1:{free_port()}/x"
    said = run_planted(source, dsn, TRACKING_DELIVERY=delivery, TRACKING_SPOOL_DIR=str(tmp_path))
    kept = files_below(tmp_path)
    assert "api_key=***" in kept
    assert "the store does not take what it is given" in said
    assert SECRET not in said + kept


STUCK = """
from tracking_core.delivery import rows
made = rows.plain_columns
rows.plain_columns = lambda *given: time.sleep(30) or made(*given)
"""


def test_no_secret_reaches_the_spool_when_a_process_leaves_its_writer_behind(tmp_path: Path, store_dsn: str) -> None:
    said = run_planted(STUCK + WORKING, store_dsn, TRACKING_DELIVERY="buffered", TRACKING_SPOOL_DIR=str(tmp_path))
    kept = files_below(tmp_path)
    assert "api_key=***" in kept
    assert SECRET not in said + kept + stored_text(store_dsn)
