"""Ids as Python holds them, read as the files' are: a text without blanks around it, a whole number as its digits."""

from collections.abc import Iterable
from numbers import Integral, Rational, Real
from typing import TYPE_CHECKING, Any, Final

from rec_sys.contracts import InputError
from rec_sys.settings import MISSING_VALUES

if TYPE_CHECKING:
    import polars as pl

# From here on neighbours are more than 1 apart: digits are lost.
_EXACT: Final = {"float16": 2.0**11, "float32": 2.0**24, "float64": 2.0**53}


def text_ids(values: Iterable[object], name: str) -> list[str]:
    """Ids of a list, a series, an array or whatever gives one after another.

    Args:
        values: The ids.
        name: What the argument is called.

    Raises:
        InputError: It is one text, a frame or a table of ids, or one of them is missing or no id.
    """
    is_text = isinstance(values, str | bytes)
    if is_text or not isinstance(values, Iterable) or hasattr(values, "columns") or getattr(values, "ndim", 1) != 1:
        kind = "one text" if is_text else type(values).__name__
        remedy = f"give {name}=[...], or a column of a frame"
        raise InputError(f"{name} is {kind}, and a list of ids is asked for", where=name, remedy=remedy)
    return [text_id(value, f"{name}[{place}]") for place, value in enumerate(values)]


def text_id(value: Any, where: str) -> str:
    """An id as the data has it.

    Raises:
        InputError: It is missing, or neither a text nor a whole number.
    """
    value = value.as_py() if hasattr(value, "as_py") else value
    text = value.replace("\x00", "").strip() if isinstance(value, str) else str(value)
    if not text or text in MISSING_VALUES:
        raise InputError(f"an id is missing: {value!r}", where=where, remedy="leave out what has none")
    if isinstance(value, str):
        if not text.isascii() and text.encode(errors="ignore").decode() != text:
            raise InputError(f"an id has half of a character: {value!r}", where=where, remedy="spell it as in the data")
        return text
    # Decimal is no Rational; and true and false would become 1 and 0.
    is_number = isinstance(value, Integral | Real) or type(value).__name__ == "Decimal"
    exact = _EXACT.get(type(value).__name__, _EXACT["float64"])
    is_exact = isinstance(value, Rational) or abs(value) < exact if is_number else False
    if isinstance(value, bool) or not is_exact or value != int(value):
        raise InputError(
            f"{text} of type {type(value).__name__} is no id: ids are texts or whole numbers",
            where=where,
            remedy="give each id as a text, spelled as in the data",
        )
    return str(int(value))


def check_id_column(column: "pl.Series", what: str) -> None:
    """Looks whether a column's type can name users or products.

    Raises:
        InputError: It cannot; the column, its type and what to do are named.
    """
    import polars as pl

    dtype, known = column.dtype, column.drop_nulls()
    if dtype.is_integer() or dtype in (pl.String, pl.Categorical, pl.Enum, pl.Null):
        return
    shown, example = f"frame[{column.name!r}]", f", such as {known.head(1).to_list()[0]!r}" if len(known) else ""
    if dtype.is_float() or dtype.is_decimal():
        numbers = known.cast(pl.Float64).drop_nans()
        exact = _EXACT.get(str(dtype).lower(), _EXACT["float64"])
        odd = numbers.filter((numbers != numbers.round()) | (numbers.abs() >= exact))
        if odd.is_empty():
            return
        example = f", such as {odd[0]!r}"
        remedy = f"read the ids as texts, or as Int64, from where {shown} comes from: these digits are not theirs"
    elif dtype.is_nested():
        remedy = f"take one id a row: frame.explode({column.name!r}) for lists, one field of a record"
    elif dtype == pl.Binary:
        remedy = f"make them texts: {shown}.astype(str) for UUIDs, else decode the bytes"
    else:
        remedy = f"make them texts where they are ids, as {shown}.astype(str) or .cast(pl.String); else name another"
    raise InputError(
        f"the column {column.name!r} is {dtype}{example}, and ids are texts or whole numbers",
        where=f"the frame {what}",
        remedy=remedy,
    )
