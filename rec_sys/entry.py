"""How every command starts and ends: settings are composed and validated, mistakes end in one clear message.

Hydra composes; this module asks it once before `hydra.main` runs, so that a wrong setting is answered with the
nearest valid name and exit code 2 before anything is written.
"""

import argparse
import faulthandler
import gc
import io
import itertools
import logging
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext, redirect_stdout, suppress
from pathlib import Path
from typing import Final, NoReturn, TypeVar

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import ValidationError

from rec_sys.console import error_console, say, say_error, say_trace
from rec_sys.contracts import InputError
from rec_sys.files import atomic_file, explain_disk_errors, forbidden
from rec_sys.settings import Section
from rec_sys.settings_errors import (
    check_overrides,
    explain_composition,
    explain_interpolation,
    explain_missing,
    explain_validation,
)
from rec_sys.settings_help import help_text
from rec_sys.settings_request import Request, store_defaults
from rec_sys.shown_text import SECRET_NAMES, shorten, strip_secrets
from rec_sys.stopping import interrupt_waits, stopping_signals

# Threads of torch that spin while they wait bring a busy machine to a halt: an epoch of a second took two minutes
# beside other work. It must be said before torch is imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

_HERE: Final = Path(__file__).resolve().parent
# In a checkout beside the package, in an installed package inside it.
CONFIG_DIR: Final = next(folder for folder in (_HERE / "config", _HERE.parent / "config") if folder.is_dir())
_FAILED: Final = 1
_REFUSED: Final = 2
_OWN_LOGS: Final = ("rec_sys", "triton_utils", "__main__")
_OTHER_FLAGS: Final = frozenset(  # of Hydra's
    {
        *("--hydra-help", "--version", "--shell-completion", "-sc", "--config-path", "-cp", "--config-name", "-cn"),
        *("--config-dir", "-cd", "--experimental-rerun"),
    }
)

SettingsType = TypeVar("SettingsType", bound=Section)


def run_entry(run: Callable[[SettingsType], None], settings_type: type[SettingsType], config_name: str) -> NoReturn:
    """Runs a command with its validated settings and ends the process.

    The exit code is 0 when it ends well, 2 after an `InputError`, a full disk or a file that may not be used (one
    message, no stack trace), 1 after any other exception (its whole stack trace), 130 after an interrupt and 143 after
    SIGTERM. Both signals unwind the stack, so that context managers clean up.
    """
    with suppress(io.UnsupportedOperation):  # standard error is no file, as in a notebook
        faulthandler.enable()  # a library that dies of SIGBUS or SIGSEGV says where, instead of nothing
    gc.set_threshold(10_000)  # the usual 700 cost a sixth of training's imports, whose 660,000 objects stay
    os.environ["HYDRA_FULL_ERROR"] = "1"  # an error of Hydra's own comes here whole instead of ending the process
    codes: list[int] = []

    @hydra.main(version_base=None, config_path=str(CONFIG_DIR), config_name=config_name)
    def start(config: DictConfig) -> None:
        # Nothing is raised into Hydra, which would print lines of its own; in a multirun the other runs go on.
        try:
            _strip_sweep_file()
            overrides = tuple(HydraConfig.get().overrides.task)
            settings = _validate(config, settings_type, Request(settings_type, CONFIG_DIR, config_name, overrides))
            interrupt_waits()
            with explain_disk_errors(getattr(settings, "output_dir", Path.cwd())):
                run(settings)
        except Exception as error:
            codes.append(_report(error))

    show_log()
    with stopping_signals() as received:
        try:
            wanted = _check_command_line(settings_type, config_name, run.__globals__["__doc__"] or "")
            if wanted is not None:
                store_defaults(settings_type)
                with _settings_without_secrets(wanted) if wanted.cfg or wanted.info else nullcontext():
                    start()
        except InputError as error:
            codes.append(_report(error))
        except (HydraException, OmegaConfBaseException, RecursionError) as error:
            first_line = shorten(str(error).partition("\n")[0])
            codes.append(_report(InputError(first_line, where="command line", remedy="--help shows what it takes")))
        except (KeyboardInterrupt, SystemExit):
            if not received:
                raise
    # Libraries turn an interrupt into exits and errors of their own (Lightning exits with 1), so the signal decides.
    if received:
        say_error("\ninterrupted; start the same command again to go on")
        sys.exit(128 + received[0])
    sys.exit(min(codes, default=0))


def _strip_sweep_file() -> None:
    """Takes the secrets out of what Hydra notes of a multirun before its first run: the whole command line."""
    hydra_config = HydraConfig.get()
    path = Path(hydra_config.sweep.dir) / "multirun.yaml"
    if hydra_config.mode is RunMode.MULTIRUN and path.is_file():
        written = path.read_text(encoding="utf-8")
        if (stripped := strip_secrets(written)) != written:
            with atomic_file(path) as unfinished:
                unfinished.write_text(stripped, encoding="utf-8")


def show_log() -> None:
    """Shows the user on stderr what a command logs; each line appears at once, with the seconds since the start.

    Of libraries only warnings are shown.
    """
    console, began = error_console(), time.perf_counter()

    class Shown(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.levelno >= logging.WARNING or record.name.startswith(_OWN_LOGS):
                # A line break in what others wrote must not begin a line that looks like one of ours.
                text = strip_secrets(self.format(record)).replace("\n", "\n    ")
                console.print(f"[{time.perf_counter() - began:6.1f} s] {text}")

    logging.getLogger().addHandler(Shown())
    for name in _OWN_LOGS:
        logging.getLogger(name).setLevel(logging.INFO)


def show_errors_alone() -> None:
    """Leaves out what another process of the same command tells its user as well."""
    for name in _OWN_LOGS:
        logging.getLogger(name).setLevel(logging.ERROR)


def compose_settings(
    overrides: Iterable[str], settings_type: type[SettingsType], config_name: str = "config"
) -> SettingsType:
    """The settings that a command line asks for, from one of the files in config/, given without its ending.

    Raises:
        InputError: A key, a group's choice or a value does not exist or is out of range.
    """
    request = Request(settings_type, CONFIG_DIR, config_name, tuple(overrides))
    return _validate(_compose(request), settings_type, request)


def _validate(config: DictConfig, settings_type: type[SettingsType], request: Request) -> SettingsType:
    """The settings in a composed configuration; the request only serves to say where a mistake stands."""
    try:
        missing = sorted(OmegaConf.missing_keys(config))
        if missing:
            raise explain_missing(missing, request)
        return settings_type.model_validate(OmegaConf.to_container(config, resolve=True))
    except ValidationError as error:
        raise explain_validation(error, request) from error
    except (OmegaConfBaseException, RecursionError) as error:
        raise explain_interpolation(error, request) from error


def _compose(request: Request) -> DictConfig:
    check_overrides(request)
    try:
        return request.compose(request.overrides)
    except (HydraException, OmegaConfBaseException, ValueError, RecursionError) as error:  # ValueError for `hydra=1`
        raise explain_composition(error, request) from error


@contextmanager
def _settings_without_secrets(wanted: argparse.Namespace) -> Iterator[None]:
    """Hydra prints settings (`--cfg`, `--info`) as they were given, passwords and tokens too."""
    with redirect_stdout(io.StringIO()) as printed:
        yield
    is_secret = (wanted.package or "").rpartition(".")[2] in SECRET_NAMES
    say("***" if is_secret else strip_secrets(printed.getvalue()).rstrip("\n"))


class _FlagParser(argparse.ArgumentParser):
    """Says what is wrong with a flag without the secret that may have been given with it."""

    def error(self, message: str) -> NoReturn:
        """Raises `InputError`."""
        raise InputError(strip_secrets(message), where="command line", remedy="--help shows what it takes")


def _check_command_line(settings_type: type[Section], config_name: str, purpose: str) -> argparse.Namespace | None:
    """Composes and validates every run that the command line asks for, or answers `--help`.

    Returns:
        The flags, which say what is left to do; None for nothing.

    Raises:
        InputError: One of them has a wrong setting.
    """
    # Those of Hydra's flags that change what is to be checked. Under any other one Hydra alone knows what is read.
    parser = _FlagParser(add_help=False, allow_abbrev=False)
    for flags in (("--help", "-h"), ("--multirun", "-m"), ("--run", "-r"), ("--resolve",)):
        parser.add_argument(*flags, action="store_true")
    parser.add_argument("--package", "-p")
    parser.add_argument("--cfg", "-c", choices=("job", "hydra", "all"))
    infos = ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath")
    parser.add_argument("--info", "-i", nargs="?", const="all", choices=infos)
    known, rest = parser.parse_known_args()
    typed = [text for text in rest if not text.startswith("-")]
    flags_given = {text.partition("=")[0] for text in rest if text.startswith("-")}
    if unknown := sorted(flags_given - _OTHER_FLAGS):  # without their values, which may be secrets
        parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    if known.help:
        text = help_text(Request(settings_type, CONFIG_DIR, config_name, tuple(typed)), purpose)
        try:
            say(text)
        except BrokenPipeError:  # whoever reads it, such as `head`, has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return None
    if typed == rest:
        for overrides in _runs(typed) if known.multirun else [tuple(typed)]:
            request = Request(settings_type, CONFIG_DIR, config_name, overrides)
            config = _compose(request)
            if not (known.cfg or known.info):
                _validate(config, settings_type, request)
    return known


def _runs(overrides: list[str]) -> Iterator[tuple[str, ...]]:
    """The command lines that a multirun stands for, one for every combination of the values given."""
    parser = OverridesParser.create()
    options: list[list[str]] = []
    for text in overrides:
        try:
            override = parser.parse_override(text)
            values = list(override.sweep_string_iterator()) if override.is_sweep_override() else None
        except HydraException:
            # Unreadable, which the check of each run explains; or glob(...), which only Hydra can expand.
            values = None
            if "=glob(" in text:
                continue
        options.append([text] if values is None else [f"{override.get_key_element()}={value}" for value in values])
    return itertools.product(*options)


def _report(error: Exception) -> int:
    """Tells the user about a failed run; the exit code it deserves."""
    if isinstance(error, PermissionError) and error.filename is not None:
        error = forbidden(error)
    if isinstance(error, InputError):
        say_error(f"error: {error}")
        return _REFUSED
    if isinstance(error, BrokenPipeError):  # whoever reads it, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    say_trace(error)
    return _FAILED
