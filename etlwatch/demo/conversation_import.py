"""The job `conversation-import`: bring a messenger's export into tables.

Owns the pipeline: it makes the context, begins and ends the phases, and closes what was opened. The work is
done by the components of `conversations`. Run it alone with `python -m etlwatch.demo.conversation_import
[FILE]`: without a file it first writes a sample (`chat_export`), on request a damaged one, whose failure is
then worth looking at.
"""

import logging
from collections.abc import Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import get_args

from etlwatch.demo.chat_export import Damage, write_export
from etlwatch.demo.conversations import Extractor, Loader, TextCleaner, Transformer
from etlwatch.demo.job_options import job_parser, result_file
from tracking_core import ETLContext, ETLRunContext, SimpleETLTracker

JOB = "conversation-import"

logger = logging.getLogger(__name__)


def import_export(path: Path, context: ETLContext) -> int:
    """Take one export through all three phases and return the number of its messages.

    Whatever goes wrong is recorded with the phase it happened in, and raised.
    """
    extractor, transformer, loader = Extractor(), Transformer(), Loader()
    try:
        context.start_phase("extract")
        export = extractor.extract(path, context)
        context.end_phase({"status": "completed", "file_size_bytes": path.stat().st_size})

        totals = {"total_conversations": len(export.conversations), "total_messages": export.message_count}
        context.start_phase("transform", **totals)
        conversations = transformer.transform(export, context)
        context.end_phase()

        context.start_phase("load", **totals)
        context.end_phase(loader.load(export.owner, conversations, context))
    except Exception as error:
        if context.current_phase:
            context.record_error(context.current_phase, error)
            context.end_phase({"status": "failed"})
        raise
    finally:
        context.close_db_connection()
        context.finalize()
    return export.message_count


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the job; 0 when the export was loaded. A damaged one raises, and the process ends with status 1."""
    parser = job_parser(JOB, "Import a chat export.")
    parser.add_argument("export", nargs="?", type=Path, metavar="FILE", help="the export; without it a sample")
    parser.add_argument("--seed", type=int, default=1, help="which sample to write")
    parser.add_argument("--messages", type=int, default=6000, help="how long the sample is")
    parser.add_argument("--damage", choices=get_args(Damage), default="none", help="how to spoil the sample")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    with ExitStack() as stack:
        result: Path = stack.enter_context(result_file(options.result, "conversations.db"))
        path = options.export
        if path is None:
            path = result.with_suffix(".json")
            write_export(path, seed=options.seed, messages=options.messages, damage=options.damage)
        tracker = stack.enter_context(closing(SimpleETLTracker()))
        run = stack.enter_context(ETLRunContext(tracker, options.notes or f"Import of {path.name}", job=JOB))
        context = ETLContext(f"sqlite:///{result}", batch_size=100, memory_limit_mb=1024, run=run)
        context.set_resource("text_cleaner", TextCleaner())
        context.set_resource("seconds_per_phase", options.pace / len(context.phase_status))
        messages = import_export(path, context)
        logger.info("%s: %d messages loaded", path.name, messages)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
