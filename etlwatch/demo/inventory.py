"""The job `inventory`: tables of the Python distributions on this machine and of their files.

Its phases count units of their own. A distribution that cannot be read is recorded as an error, and the run goes on.
"""

import csv
import sys
from collections.abc import Sequence
from contextlib import closing
from importlib.metadata import Distribution, distributions
from pathlib import Path

from etlwatch.demo.jobs import Pacer, job_parser, tracked_run
from tracking_core import ETLContext, ETLRunContext
from tracking_core.dataclass import dataclass

JOB = "inventory"
FILES_AT_ONCE = 200

# SQL in the job's own file, so that a job can be copied whole.
_CREATE = """
CREATE TABLE distributions (name TEXT, version TEXT, files INTEGER, bytes INTEGER);
CREATE TABLE files (distribution TEXT, path TEXT, bytes INTEGER);
"""
_ADD_DISTRIBUTION = "INSERT INTO distributions VALUES (?, ?, ?, ?)"
_ADD_FILE = "INSERT INTO files VALUES (?, ?, ?)"


class UnreadableDistributionError(Exception):
    """A directory looks like a distribution, and its metadata cannot be read or has no name."""


@dataclass(frozen=True, slots=True)
class Installed:
    """One distribution and its recorded files."""

    name: str
    version: str
    files: tuple[Path, ...]
    sizes: tuple[int, ...] = ()
    """Of the files, in bytes; 0 for a missing one."""


class Inventory:
    """The three phases, sharing one context and one run."""

    def __init__(self, run: ETLRunContext, context: ETLContext, *, pace_s: float = 0.0) -> None:
        """Prepare the phases; `pace_s` spreads them over so many seconds, 0 does not wait."""
        self._run = run
        self._context = context
        self._pace_s = pace_s

    def take(self, roots: Sequence[str]) -> None:
        """Take the inventory of the given directories."""
        self._load(self._measure(self._extract(list(distributions(path=list(roots))))))

    def _extract(self, found: Sequence[Distribution]) -> list[Installed]:
        self._run.log_source_count("distributions", len(found))
        installed = []
        pacer = Pacer(self._pace_s * 0.2, len(found))
        with self._context.phase("extract", total_distributions=len(found)):
            for each in found:
                files = 0
                try:
                    installed.append(read_distribution(each))
                    files = len(installed[-1].files)
                except UnreadableDistributionError as error:
                    # Recorded, and not in the tables: the source count shows the difference.
                    self._run.log_error(error, phase="extract")
                self._context.update_progress(distributions=1, files=files)
                pacer.rest()
        self._run.log_source_count("files", sum(len(each.files) for each in installed))
        return installed

    def _measure(self, found: Sequence[Installed]) -> list[Installed]:
        total = sum(len(each.files) for each in found)
        pacer = Pacer(self._pace_s * 0.6, sum(len(each.files) // FILES_AT_ONCE + 1 for each in found))
        measured = []
        with self._context.phase("transform", total_distributions=len(found), total_files=total):
            for each in found:
                sizes: list[int] = []
                # At least one round, so that a distribution without a file list is a step too.
                for start in range(0, len(each.files) + 1, FILES_AT_ONCE):
                    batch = each.files[start : start + FILES_AT_ONCE]
                    sizes += map(size_of, batch)
                    self._context.update_progress(files=len(batch))
                    pacer.rest()
                measured.append(Installed(each.name, each.version, each.files, tuple(sizes)))
                self._context.update_progress(distributions=1)
        return measured

    def _load(self, installed: Sequence[Installed]) -> None:
        connection = self._context.get_db_connection()
        connection.executescript(_CREATE)
        total = sum(len(each.files) for each in installed)
        pacer = Pacer(self._pace_s * 0.2, len(installed))
        with self._context.phase("load", total_distributions=len(installed), total_files=total):
            for each in installed:
                row = (each.name, each.version, len(each.files), sum(each.sizes))
                connection.execute(_ADD_DISTRIBUTION, row)
                files = zip(each.files, each.sizes, strict=True)
                connection.executemany(_ADD_FILE, [(each.name, str(path), size) for path, size in files])
                connection.commit()
                self._context.update_progress(distributions=1, files=len(each.files))
                pacer.rest()


def read_distribution(found: Distribution) -> Installed:
    """Return a distribution with its recorded files; raises `UnreadableDistributionError`."""
    place = getattr(found, "_path", found)
    try:
        metadata = found.metadata
        fields = {key: metadata[key] for key in ("Name", "Version") if key in metadata}
        files = tuple(Path(str(file.locate())) for file in found.files or ())
    except (OSError, ValueError, csv.Error) as error:
        raise UnreadableDistributionError(f"{place} cannot be read") from error
    if not fields.get("Name"):
        raise UnreadableDistributionError(f"{place} has no name")
    return Installed(fields["Name"], fields.get("Version", ""), files)


def size_of(path: Path) -> int:
    """Return the size of a file in bytes, 0 for a missing one."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def main(arguments: Sequence[str]) -> None:
    """Run the job; it completes when every readable distribution is in the inventory."""
    parser = job_parser(JOB, "List every Python distribution on this machine.")
    parser.add_argument("--root", action="append", metavar="DIR", help="look only here (may be repeated)")
    options = parser.parse_args(arguments)
    roots = options.root or sys.path
    with tracked_run(JOB, options.notes or f"Python distributions in {len(roots)} places") as (run, directory):
        context = ETLContext(f"sqlite:///{directory}/inventory.db", units=("distributions", "files"), run=run)
        with closing(context.get_db_connection()):
            Inventory(run, context, pace_s=options.pace).take(roots)
