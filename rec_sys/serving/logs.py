"""The service's log: one event a line, on standard error, libraries' own lines included."""

import logging
import sys
import traceback
from collections.abc import Mapping
from typing import Final, TextIO

import structlog
from structlog.typing import EventDict, ExcInfo, Processor

from rec_sys.settings import ServingSettings
from rec_sys.shown_text import escape_controls, strip_secrets

_A_SECOND: Final = 1.0


class OneASecond(logging.Filter):
    """Of warnings that clients can cause as often as they like, one a second of each kind; it counts the others.

    A kind is a place in a library's code. The service's own events pass: each is about one request.
    """

    def __init__(self) -> None:
        super().__init__()
        self._said: dict[tuple[str, int, str], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the line is written."""
        if record.levelno < logging.WARNING or isinstance(record.msg, Mapping):
            return True
        error = type(record.exc_info[1]).__name__ if record.exc_info else ""
        kind = (record.pathname, record.lineno, error)
        last, left_out = self._said.get(kind, (-_A_SECOND, 0))
        if record.created - last < _A_SECOND:
            self._said[kind] = (last, left_out + 1)
            return False
        self._said[kind] = (record.created, 0)
        if left_out:
            record.msg, record.args = f"{record.getMessage()} ({left_out:,} more like it before)", ()
        return True


def _without_colours(_: object, __: str, event: EventDict) -> EventDict:
    """uvicorn gives each line a second time, with a terminal's colours."""
    event.pop("color_message", None)
    return event


def _without_secrets(_: object, __: str, event: EventDict) -> EventDict:
    """An address in an error may have a password."""
    return {name: _stripped(value) for name, value in event.items()}


def _stripped(value: object) -> object:
    if isinstance(value, str):
        return strip_secrets(value)
    if isinstance(value, Mapping):
        return {name: _stripped(one) for name, one in value.items()}
    return [_stripped(one) for one in value] if isinstance(value, list | tuple) else value


def _one_line(_: object, __: str, event: EventDict) -> EventDict:
    """What others wrote neither steers a terminal nor begins a line of its own."""
    return {
        name: escape_controls(value).replace("\n", r"\n") if isinstance(value, str) else value
        for name, value in event.items()
    }


def _write_trace(output: TextIO, raised: ExcInfo) -> None:
    output.write(escape_controls(strip_secrets("".join(traceback.format_exception(*raised)))))


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
    finish: list[Processor] = [_without_secrets, _one_line, for_people]  # JSON escapes by itself
    if settings.log_format == "json":
        finish = [
            structlog.processors.ExceptionRenderer(without_values),
            _without_secrets,
            structlog.processors.JSONRenderer(),
        ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    remove = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=[remove, *finish]))
    handler.addFilter(OneASecond())
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    # What these say of each request stands in our own event already.
    for name in ("uvicorn.access", "httpx", "httpcore", "asyncio"):
        logging.getLogger(name).setLevel(max(level, logging.WARNING))
