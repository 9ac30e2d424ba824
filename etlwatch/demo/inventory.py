"""The job `inventory`: tables of what is installed for Python on this machine.

Extract reads every distribution's metadata and file list (`distributions`), transform looks at the files themselves,
load fills the tables. Alone: `python -m etlwatch.demo.inventory --result inventory.db`.
"""

import base64
import hashlib
import logging
from collections.abc import Sequence
from contextlib import ExitStack, closing
from pathlib import Path

from etlwatch.demo.distributions import (
    FileRecord,
    Quirk,
    RawDistribution,
    Requirement,
    UnreadableDistributionError,
    duplicated_names,
    find_distributions,
    is_usual_version,
    kind_of_file,
    normalise_licence,
    normalise_name,
    parse_requirement,
    read_distribution,
    search_roots,
)
from etlwatch.demo.jobs import Pacer, job_parser, result_file
from tracking_core import ETLContext, ETLRunContext, SimpleETLTracker
from tracking_core.dataclass import dataclass

# SQL in the job's own file, so that a job can be copied whole. The last inventory is replaced.
BEGIN_AFRESH = """
DROP TABLE IF EXISTS distributions;
CREATE TABLE distributions (
    distribution_id INTEGER PRIMARY KEY, name TEXT, version TEXT, summary TEXT, licence TEXT,
    requires_python TEXT, installer TEXT, location TEXT, files INTEGER, bytes INTEGER
);
DROP TABLE IF EXISTS files;
CREATE TABLE files (distribution_id INTEGER, path TEXT, kind TEXT, bytes INTEGER, condition TEXT);
DROP TABLE IF EXISTS dependencies;
CREATE TABLE dependencies (
    distribution_id INTEGER, needs TEXT, extras TEXT, specifier TEXT, marker TEXT, extra TEXT,
    installed INTEGER
);
DROP TABLE IF EXISTS quirks;
CREATE TABLE quirks (distribution_id INTEGER, kind TEXT, detail TEXT);
"""
ADD_DISTRIBUTION = "INSERT INTO distributions VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
ADD_FILE = "INSERT INTO files VALUES (?, ?, ?, ?, ?)"
ADD_DEPENDENCY = "INSERT INTO dependencies VALUES (?, ?, ?, ?, ?, ?, ?)"
ADD_QUIRK = "INSERT INTO quirks VALUES (?, ?, ?)"


JOB = "inventory"
FILES_AT_ONCE = 200
FILES_TO_VERIFY = 4000  # at most so many contents are read, spread over all files, so that a run stays short
LARGEST_FILE_TO_VERIFY = 256 * 1024

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class InstalledFile:
    """One file as it is on the disk."""

    path: str
    kind: str
    size: int | None  # bytes, None when it is missing
    condition: str  # present, missing, unchanged or changed (the last two only where the content was read)


@dataclass(frozen=True, slots=True, kw_only=True)
class InstalledDistribution:
    """One distribution, interpreted."""

    raw: RawDistribution
    name: str  # normalised
    licence: str
    requirements: tuple[Requirement, ...]
    files: tuple[InstalledFile, ...]
    quirks: tuple[Quirk, ...]


class Inventory:
    """The three phases, sharing one context and one run."""

    def __init__(self, run: ETLRunContext, context: ETLContext, *, pace_s: float = 0.0) -> None:
        """Prepare the phases; `pace_s` spreads them over so many seconds, 0 does not wait."""
        self._run = run
        self._context = context
        self._pace_s = pace_s

    def take(self, roots: Sequence[Path]) -> int:
        """Take the inventory of the given directories; return the number of distributions in it."""
        found = self._extract(find_distributions(roots))
        installed = self._transform(found)
        self._load(installed)
        return len(installed)

    def _extract(self, paths: Sequence[Path]) -> list[RawDistribution]:
        self._run.log_source_count("distributions", len(paths))
        found = []
        with self._context.phase("extract", total_distributions=len(paths)):
            pacer = Pacer(self._pace_s * 0.2, len(paths))
            for path in paths:
                files = 0
                try:
                    raw = read_distribution(path)
                except UnreadableDistributionError as error:
                    # Recorded, and not in the tables: the source count shows the difference.
                    self._run.log_error(error, phase="extract")
                else:
                    found.append(raw)
                    files = len(raw.files)
                self._context.update_progress(distributions=1, files=files)
                pacer.rest()
        self._run.log_source_count("files", sum(len(raw.files) for raw in found))
        return found

    def _transform(self, found: Sequence[RawDistribution]) -> list[InstalledDistribution]:
        total = sum(len(raw.files) for raw in found)
        twice = duplicated_names(normalise_name(raw.name) for raw in found)
        verify_every = total // FILES_TO_VERIFY + 1
        seen = 0
        installed = []
        with self._context.phase("transform", total_distributions=len(found), total_files=total):
            pacer = Pacer(self._pace_s * 0.6, sum(len(raw.files) // FILES_AT_ONCE + 1 for raw in found))
            for raw in found:
                files: list[InstalledFile] = []
                # At least one round, so that a distribution without a file list is a step too.
                for start in range(0, len(raw.files) + 1, FILES_AT_ONCE):
                    batch = raw.files[start : start + FILES_AT_ONCE]
                    for record in batch:
                        files.append(check_file(raw.location, record, verify=seen % verify_every == 0))
                        seen += 1
                    self._context.update_progress(files=len(batch))
                    pacer.rest()
                installed.append(interpret(raw, files, twice))
                self._context.update_progress(distributions=1)
        return installed

    def _load(self, installed: Sequence[InstalledDistribution]) -> None:
        names = {distribution.name for distribution in installed}
        total = sum(len(distribution.files) for distribution in installed)
        with self._context.phase("load", total_distributions=len(installed), total_files=total):
            connection = self._context.get_db_connection()
            connection.executescript(BEGIN_AFRESH)
            pacer = Pacer(self._pace_s * 0.2, len(installed))
            for number, distribution in enumerate(installed, start=1):
                connection.execute(ADD_DISTRIBUTION, _distribution_row(number, distribution))
                connection.executemany(
                    ADD_FILE,
                    [(number, file.path, file.kind, file.size, file.condition) for file in distribution.files],
                )
                connection.executemany(
                    ADD_DEPENDENCY,
                    [
                        (
                            number,
                            need.name,
                            need.extras,
                            need.specifier,
                            need.marker,
                            need.extra,
                            need.name in names,
                        )
                        for need in distribution.requirements
                    ],
                )
                connection.executemany(ADD_QUIRK, [(number, quirk.kind, quirk.detail) for quirk in distribution.quirks])
                if number % self._context.batch_size == 0:
                    connection.commit()
                self._context.update_progress(distributions=1, files=len(distribution.files))
                pacer.rest()
            connection.commit()


def _distribution_row(number: int, distribution: InstalledDistribution) -> tuple[object, ...]:
    raw = distribution.raw
    return (
        number,
        distribution.name,
        raw.version,
        raw.summary,
        distribution.licence,
        raw.requires_python,
        raw.installer,
        str(raw.location),
        len(distribution.files),
        sum(file.size or 0 for file in distribution.files),
    )


def check_file(location: Path, record: FileRecord, *, verify: bool) -> InstalledFile:
    """Look at one recorded file on the disk; `verify` compares the content of a small one with its digest."""
    path = location / record.path
    kind = kind_of_file(record.path)
    try:
        size = path.stat().st_size
        condition = "present"
        algorithm, _, expected = record.digest.partition("=")
        if verify and algorithm == "sha256" and size <= LARGEST_FILE_TO_VERIFY:
            digest = base64.urlsafe_b64encode(hashlib.sha256(path.read_bytes()).digest()).decode().rstrip("=")
            condition = "unchanged" if digest == expected else "changed"
    except OSError:
        return InstalledFile(path=record.path, kind=kind, size=None, condition="missing")
    return InstalledFile(path=record.path, kind=kind, size=size, condition=condition)


def interpret(raw: RawDistribution, files: Sequence[InstalledFile], twice: frozenset[str]) -> InstalledDistribution:
    """Interpret a distribution's metadata; oddities are added to its quirks."""
    name = normalise_name(raw.name)
    licence = normalise_licence(raw.licence_expression, raw.classifiers, raw.licence_text)
    quirks = list(raw.quirks)
    if raw.version and not is_usual_version(raw.version):
        quirks.append(Quirk(kind="odd version", detail=raw.version))
    if licence == "unknown":
        quirks.append(Quirk(kind="no licence", detail=(raw.licence_text or "")[:80]))
    if name in twice:
        quirks.append(Quirk(kind="installed more than once", detail=str(raw.location)))
    requirements = []
    for text in raw.requires:
        requirement = parse_requirement(text)
        if requirement is None:
            quirks.append(Quirk(kind="odd requirement", detail=text[:80]))
        else:
            requirements.append(requirement)
    for condition in ("missing", "changed"):
        count = sum(file.condition == condition for file in files)
        if count:
            quirks.append(Quirk(kind=f"{condition} files", detail=str(count)))
    return InstalledDistribution(
        raw=raw,
        name=name,
        licence=licence,
        requirements=tuple(requirements),
        files=tuple(files),
        quirks=tuple(quirks),
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the job; return 0 when every readable distribution is in the inventory."""
    parser = job_parser(JOB, "List every Python distribution on this machine.")
    parser.add_argument("--root", action="append", type=Path, metavar="DIR", help="look only here (may be repeated)")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    roots = tuple(options.root or search_roots())
    notes = options.notes or f"Python distributions in {len(roots)} places"
    with ExitStack() as stack:
        result = stack.enter_context(result_file(options.result, "inventory.db"))
        tracker = stack.enter_context(closing(SimpleETLTracker()))
        run = stack.enter_context(ETLRunContext(tracker, notes, job=JOB))
        context = ETLContext(f"sqlite:///{result}", batch_size=20, units=("distributions", "files"), run=run)
        stack.callback(context.close_db_connection)
        count = Inventory(run, context, pace_s=options.pace).take(roots)
        logger.info("%d distributions in %s", count, result)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
