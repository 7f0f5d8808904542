"""Libraries written in Rust that fail where they did not expect to: what they raise passes every `except Exception`."""

from asyncio import CancelledError
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

# What else passes `except Exception`: wishes that a process, a task or a generator ends.
_WISHES: Final = (KeyboardInterrupt, SystemExit, GeneratorExit, CancelledError)


class PanicError(RuntimeError):
    """A library failed where it did not expect to."""


@contextmanager
def panics_as_errors() -> Iterator[None]:
    """Turns a panic inside the block into an error like others; each library's has a type of its own, without a name.

    Raises:
        PanicError: A library panicked.
    """
    try:
        yield
    except (Exception, *_WISHES):
        raise
    except BaseException as error:
        raise PanicError(str(error)) from error
