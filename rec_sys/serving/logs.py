"""The service's log: one event a line, on standard error, libraries' own lines included."""

import logging
import sys
import traceback
from typing import TextIO

import structlog
from structlog.typing import EventDict, ExcInfo, Processor

from rec_sys.settings import ServingSettings
from rec_sys.shown_text import escape_controls


def _without_colours(_: object, __: str, event: EventDict) -> EventDict:
    """uvicorn gives each line a second time, with a terminal's colours."""
    event.pop("color_message", None)
    return event


def _one_line(_: object, __: str, event: EventDict) -> EventDict:
    """What others wrote neither steers a terminal nor begins a line of its own."""
    return {
        name: escape_controls(value).replace("\n", r"\n") if isinstance(value, str) else value
        for name, value in event.items()
    }


def _write_trace(output: TextIO, raised: ExcInfo) -> None:
    output.write(escape_controls("".join(traceback.format_exception(*raised))))


def configure_logs(settings: ServingSettings) -> None:
    """Sends every event of this process through one formatter."""
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(),
        _without_colours,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    # Traces without the values of variables: a request's text or token may be among them.
    without_values = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
    for_people = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=_write_trace)
    finish: list[Processor] = [_one_line, for_people]  # JSON escapes by itself
    if settings.log_format == "json":
        finish = [structlog.processors.ExceptionRenderer(without_values), structlog.processors.JSONRenderer()]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    remove = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=[remove, *finish]))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    # What these say of each request stands in our own event already.
    for name in ("uvicorn.access", "httpx", "httpcore", "asyncio"):
        logging.getLogger(name).setLevel(max(level, logging.WARNING))
