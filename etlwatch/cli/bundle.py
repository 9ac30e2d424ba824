"""`etlwatch bundle RUN FILE` and `etlwatch open FILE`: a run to hand on, and how it is looked at."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from etlwatch.cli import connect, faults, output
from etlwatch.cli.connect import RUN_FORMS, find_run
from etlwatch.cli.dashboard import open_dashboard
from etlwatch.cli.faults import Unsuccessful
from etlwatch.cli.options import flags, looks_options, store_option
from etlwatch.cli.show import detail_lines, read_detail
from etlwatch.cli.terminal import has_screen, report
from etlwatch.text.numbers import number_of
from tracking_core.errors import ConfigurationError

if TYPE_CHECKING:
    from tracking_core.records import Bundle

COPY_SECONDS = 60.0
"""How long the store may take for each answer: here a person waits for all of a run, not for a screen."""


@click.command(epilog=f"RUN is {RUN_FORMS}.")
@store_option
@click.argument("run")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--overwrite", is_flag=True, help="Take the place of a file that is there already.")
@click.option(
    "--text",
    type=click.Choice(["none", "redacted", "all"]),
    default="redacted",
    show_default=True,
    help="What to keep of notes, tags, errors and commands; redacted masks what looks like a secret.",
)
def bundle(run: str, file: Path, overwrite: bool, text: Literal["none", "redacted", "all"]) -> None:
    """Copy one RUN into one FILE that a colleague can open.

    All of the run is in it, and what its verdict needs: what its job's baseline says, what is known of its errors, the
    tracking switch. `etlwatch open FILE` shows the same screens as here and now, also tomorrow and without the store;
    every command reads it as --dsn sqlite:///FILE. The store's password is not in it. Secrets in texts are masked once
    more, as far as their form shows them; names (jobs, phases, endpoints) are kept with every --text.
    """
    from etlwatch.reading.bundle import bundle_run, size_words

    try:
        with connect.store() as store, store.reader(COPY_SECONDS) as reader:
            made = bundle_run(
                reader, lambda view: find_run(view, run), file, source=store.label, overwrite=overwrite, text=text
            )
    except FileExistsError:
        mend = "name another file, or --overwrite to take its place"
        raise Unsuccessful(f"{file} is there already, nothing was written: {mend}") from None
    except ConfigurationError as error:
        raise faults.bad_configuration(error) from None
    except OSError as error:
        raise Unsuccessful(f"{file} cannot be written: {error.strerror or error}") from None
    parts = f"{number_of(made.requests, 'request')}, {number_of(made.history, 'more run')} of its job"
    parts += f", {size_words(made.size)}"
    report(f"bundled {made.run.id} of {made.run.job}: {parts}; to look at it: etlwatch open {file}")
    if made.left_out:
        report(f"in it are {', '.join(made.left_out)}")


@click.command("open")
@looks_options
@click.argument("file", type=click.Path(path_type=Path))
def open_command(file: Path) -> int | None:
    """Open the dashboard on a FILE that `bundle` made.

    It shows the run as it stood when the bundle was made, on the store's clock of that moment. Where there is no
    terminal, it prints the run.
    """
    flags()["dsn"] = f"sqlite:///{file.absolute()}"
    flags().pop("target", None)
    about = _about(file)
    if has_screen():
        return open_dashboard(about)
    with connect.reader() as reader:
        detail = read_detail(reader, str(about.run_id))
    output.write_table(lambda look: detail_lines(detail, look))
    return None


def _about(file: Path) -> Bundle:
    """Return what a file says of itself; Unsuccessful for one that is there and is no bundle."""
    with connect.reader() as reader:
        about: Bundle | None = getattr(reader, "bundle", None)
    if about is None:
        raise Unsuccessful(
            f"{file} is no bundle but a store of its own; to look at it: etlwatch --dsn sqlite:///{file}"
        )
    return about
