"""Settings given in Python: composed as a command line's are, and what is wrong with them said in Python's terms."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rec_sys.contracts import InputError
from rec_sys.processes import quote

if TYPE_CHECKING:
    from rec_sys.inference.infer import InferSettings
    from rec_sys.settings import Settings

FRAMES: Final = "frames"  # the folder below output_dir where `fit` puts its frames
_TABLE: Final = "data=table"
# Of `infer`'s settings those that are arguments of the methods here.
_OF_A_QUESTION: Final = ("user_id", "reviews", "users", "limit", "format", "output")
_OF_TRAINING: Final = 'settings are texts, given as ReviewGraphRecommender("NAME=VALUE")'
OF_ANSWERS: Final = 'settings of answers are texts, given as serving=["NAME=VALUE"] or load("outputs", "NAME=VALUE")'
_A_SETTING: Final = re.compile(r"\b(?!output_dir)[a-z_]\w*(?:\.\w+)*=")
_SAID_IN_PYTHON: Final = (
    (r"\(command line", "(given in Python"),
    (r"\bcommand line\b", "the settings"),
    (r"\bto the command\b", "to the settings"),
    (r"add --multirun for a run with each, or, if", "if"),
    (r"--help shows .*", "rec-sys train --help shows every setting"),
    (r"run rec_sys\.train\.train first, or give .* bundle=\.\.\.", "call fit first, or give the folder it wrote to"),
    (r"run rec_sys\.vector_database\.create_vectorbase first", "fit or load again"),
)


def compose_training(given: Sequence[str], output_dir: Path, frames: Sequence[str] = ()) -> "Settings":
    """The settings of a training; `frames` are those that say where its frames are.

    Raises:
        InputError: One is wrong, or chooses other data than the frames.
    """
    from rec_sys.entry import compose_settings
    from rec_sys.settings import Settings

    _check_texts(given)
    if frames:
        given = [text for text in given if text != _TABLE]
    chosen = [text for text in given if _name_of(text) in ("data", "data.reviews_path", "data.metadata_path")]
    if frames and chosen:
        raise InputError(
            f"the setting {chosen[0]} and a frame of reviews both say what to train on",
            where="fit",
            remedy="leave one of them out",
        )
    with in_python(output_dir):
        table = [_TABLE, "data.name=frame"] if frames else []
        return compose_settings([*table, *frames, *given, f"output_dir={quote(output_dir)}"], Settings)


def check_training(given: Sequence[str], output_dir: Path) -> None:
    """Composes what `fit` will, as far as it is known before its frames are.

    Raises:
        InputError: A setting is wrong.
    """
    names = [_name_of(text) for text in given if isinstance(text, str) and text != _TABLE]
    is_of_data = any(name.startswith("data.") for name in names) or _TABLE in given
    if is_of_data and not {"data", "data.reviews_path"} & {*names}:
        try:
            compose_training(given, output_dir, ["data.reviews_path=frame"])
        except InputError as refused:
            try:
                compose_training(given, output_dir)  # they may be those of the sample
            except InputError:
                raise refused from None
    elif given:
        compose_training(given, output_dir)


def compose_serving(given: Sequence[str], output_dir: Path) -> "InferSettings":
    """The settings of answers.

    Raises:
        InputError: One is wrong, or belongs to a single question.
    """
    from rec_sys.entry import compose_settings
    from rec_sys.inference.infer import InferSettings

    _check_texts(given, OF_ANSWERS)
    if asked := [text for text in given if _name_of(text) in _OF_A_QUESTION]:
        raise InputError(
            f"{asked[0]} is of a single question",
            where="serving settings",
            remedy="give users, reviews and k to recommend and recommend_for_reviews",
        )
    with in_python(output_dir, OF_ANSWERS):
        return compose_settings([f"output_dir={quote(output_dir)}", *given], InferSettings, "infer")


@contextmanager
def in_python(output_dir: Path, how: str = _OF_TRAINING) -> Iterator[None]:
    """Says the errors of a command in Python's terms: where it proposes settings, `how` they are given here."""
    try:
        yield
    except InputError as error:
        what, where, remedy = (_said_in_python(part, output_dir) for part in (error.what, error.where, error.remedy))
        if _A_SETTING.search(remedy) and how not in remedy:
            remedy += f"; {how}"
        InputError.__init__(error, what, where=where, remedy=remedy)  # it stays of its own kind
        raise


def _said_in_python(text: str, output_dir: Path) -> str:
    for what in ("reviews", "products"):
        for path in (f"{output_dir / FRAMES / what}.parquet", f"{what}.parquet"):
            text = text.replace(path, f"the frame {what}")
    for said, meant in _SAID_IN_PYTHON:
        text = re.sub(said, meant, text)
    return text


def _name_of(setting: str) -> str:
    return setting.partition("=")[0].lstrip("+~")


def _check_texts(given: Sequence[object], how: str = _OF_TRAINING) -> None:
    for setting in given:
        if not isinstance(setting, str):
            raise InputError(f"{setting!r} is no setting", where="the settings", remedy=how)
        if _name_of(setting) == "output_dir":
            raise InputError(
                "output_dir is an argument of its own", where=setting, remedy="give output_dir=... beside the settings"
            )
