"""How a CSV is written, found in its head: separator, quoting, header, and where the rows begin."""

import csv
import io
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final, Literal

from rec_sys.contracts import InputError
from rec_sys.raw_files.content import LONGEST_LINE, encoding_of, open_raw
from rec_sys.raw_files.encodings import not_utf8, unmarked_utf16

Quoting = Literal["auto", "none", "standard"]

SEPARATORS: Final = (",", "\t", ";", "|", "::")
MARK: Final = "\x1e"  # ASCII's record separator stands for a separator of several characters, which csv cannot read
HEAD_LINES: Final = 10_000
LONGEST_ROW: Final = 1_000  # lines; beyond it a quote was opened and never closed
_HEADER_WITHIN: Final = 50  # lines above which a report's title and remarks may stand
_SAMPLE: Final = 1_000  # rows that tell widths and numbers
_SEPARATOR_LINE: Final = re.compile(r'^"?sep=(.)"?\s*$', re.IGNORECASE)


@dataclass(frozen=True)
class TableFormat:
    """What the settings say of how a table is written; "auto" and None are found out.

    Args:
        separator: Stands between the fields, one character or several.
        quoting: none: a quotation mark is a letter; standard: it encloses a field.
        header: Whether a line names the columns; without one they are called 1, 2, 3.
        comment: Lines that begin with it are skipped.
        encoding: As `open_raw` takes it.
    """

    separator: str = "auto"
    quoting: Quoting = "auto"
    header: bool = True
    comment: str | None = None
    encoding: str = "auto"


DEFAULT_FORMAT: Final = TableFormat()


@dataclass(frozen=True)
class TableLayout:
    """How a CSV is written.

    Attributes:
        names: The columns, in the order of the fields; some may be empty.
        before: Lines before the first row: those of the header, remarks, blank ones.
        numbers: Places of the columns that hold numbers alone, which tell a row from a line of a text.
        settled: Whether the settings and not the head chose the quoting.
    """

    separator: str
    quoting: Literal["none", "standard"]
    names: tuple[str, ...]
    before: int
    comment: str | None
    encoding: str
    numbers: tuple[int, ...]
    settled: bool

    def describe(self, header: bool) -> str:
        """For the log and the summary."""
        shown = {"\t": "tab", " ": "blank"}.get(self.separator, self.separator)
        begin = f"header in line {self.before}" if header else "no header"
        return f"{self.encoding}, separator {shown}, quoting {self.quoting}, {begin}"

    def parse(self, lines: Iterable[str], strict: bool = True) -> Any:
        """A csv reader of lines whose separator has been marked."""
        return csv_reader(lines, self.separator, self.quoting, strict)


def csv_reader(lines: Iterable[str], separator: str, quoting: str, strict: bool) -> Any:
    """A csv reader of lines whose separator has been marked; a strict one refuses a quote in a wrong place."""
    csv.field_size_limit(LONGEST_LINE)  # its own is 128 kB
    delimiter = MARK if len(separator) > 1 else separator
    if quoting == "none":
        return csv.reader(lines, delimiter=delimiter, quoting=csv.QUOTE_NONE)
    return csv.reader(lines, delimiter=delimiter, strict=strict)


def mark_separator(lines: list[str], separator: str) -> list[str]:
    """Lines as `csv_reader` takes them."""
    return [line.replace(separator, MARK) for line in lines] if len(separator) > 1 else lines


def find_layout(path: Path, form: TableFormat, columns: Sequence[str] = ()) -> TableLayout:
    """Finds out how a CSV is written.

    Args:
        path: The file.
        form: What is known of it.
        columns: Names that are looked for in the header.

    Raises:
        InputError: The file is JSON, empty or in another encoding.
    """
    head = _read_head(path, form)
    given = _SEPARATOR_LINE.match(head[0])
    start = 1 if given else 0
    separator = given.group(1) if given and form.separator == "auto" else form.separator
    if form.header:
        at, separator = _find_header(head, start, separator, form.comment, set(columns))
        raw = head[at].removeprefix("#") if head[at].startswith("#") else head[at]
        names = _split(raw, separator)
        start = at + 1
    else:
        separator = _separator_of_rows(head[start:]) if separator == "auto" else separator
        names = []
    body = mark_separator(_without_comments(head[start:], form.comment), separator)
    names = names or [str(place + 1) for place in range(_usual_width(body, separator))]
    names = _fit_names(names, body, separator, "none" if form.quoting == "none" else "standard")
    whole = len(head) < HEAD_LINES
    numbers = _numeric_columns(body, separator, "standard")
    quoting = form.quoting if form.quoting != "auto" else _choose_quoting(body, separator, len(names), numbers, whole)
    return TableLayout(
        separator=separator,
        quoting=quoting,
        names=tuple(names),
        before=start,
        comment=form.comment,
        encoding=encoding_of(path, form.encoding),
        numbers=numbers if quoting == "standard" else _numeric_columns(body, separator, quoting),
        settled=form.quoting != "auto",
    )


def _read_head(path: Path, form: TableFormat) -> list[str]:
    with open_raw(path, form.encoding, by_line=True) as stream:
        text = io.TextIOWrapper(stream, encoding="utf-8", newline="")
        try:
            head = list(islice(text, HEAD_LINES))
        except UnicodeDecodeError as error:
            raise not_utf8(path) from error
    first = next((line for line in head if line.strip()), "")
    if "\x00" in first and first.count("\x00") >= len(first) // 3:
        if (unmarked := unmarked_utf16(path)) is None:
            remedy = "save it as CSV or Parquet with the tool that wrote it"
            raise InputError("this is no text: its first line is full of NULs", where=f"{path}, line 1", remedy=remedy)
        remedy = f"add data.encoding={unmarked}"
        raise InputError("this is UTF-16 without its byte order mark", where=f"{path}, line 1", remedy=remedy)
    if first.lstrip().startswith(("{", "[")):
        remedy = "give one object a line, or one array of objects"
        raise InputError("this is JSON and no table", where=str(path), remedy=remedy)
    return head or [""]


def _find_header(
    head: list[str], start: int, separator: str, comment: str | None, columns: set[str]
) -> tuple[int, str]:
    """The line that names most of the columns looked for, or else the first of a row's width; and its separator."""
    lines = [
        (at, line)
        for at, line in enumerate(head[start : start + _HEADER_WITHIN], start)
        if line.strip() and not _is_comment(line, comment)
    ]
    best, found = (0, False, 0, 0), None
    for at, line in lines:
        for mark in SEPARATORS if separator == "auto" else (separator,):
            names = _split(line.removeprefix("#"), mark)
            key = (len(columns & set(names)), not line.startswith("#"), -at, len(names))
            if key[0] and key > best:
                best, found = key, (at, mark)
    if found is not None:
        return found
    separator = _separator_of_rows(head[start:]) if separator == "auto" else separator
    usual = _usual_width(head[start:], separator)
    fitting = [at for at, line in lines if len(_split(line, separator)) == usual and not line.startswith("#")]
    return (fitting or [at for at, _ in lines] or [start])[0], separator


def _split(line: str, separator: str) -> list[str]:
    (marked,) = mark_separator([line], separator)
    return [name.strip() for name in next(csv_reader([marked], separator, "standard", False), [])]


def _without_comments(lines: list[str], comment: str | None) -> list[str]:
    """The lines that are not blank; one within a quoted text, after an odd number of quotes, is no comment."""
    kept, is_quoted = [], False
    for line in lines:
        if line.strip() and (is_quoted or not _is_comment(line, comment)):
            kept.append(line)
            is_quoted ^= comment is not None and line.count('"') % 2 == 1
    return kept


def _is_comment(line: str, comment: str | None) -> bool:
    return comment is not None and line.startswith(comment)


def _separator_of_rows(lines: list[str]) -> str:
    """The separator that cuts most lines into equally many fields, two at least; of equal ones the more fields."""
    best, chosen = (0, 0), ","
    for mark in SEPARATORS:
        usual = _usual_width(lines, mark)
        score = (sum(len(_split(line, mark)) == usual for line in lines[:_SAMPLE]), usual)
        if usual > 1 and score > best:
            best, chosen = score, mark
    return chosen


def _usual_width(lines: list[str], separator: str) -> int:
    widths = Counter(len(_split(line, separator)) for line in lines[:_SAMPLE] if line.strip())
    return widths.most_common(1)[0][0] if widths else 0


def _choose_quoting(
    body: list[str], separator: str, width: int, numbers: tuple[int, ...], whole: bool
) -> Literal["none", "standard"]:
    """Standard, unless quotation marks are letters: read as such, far fewer lines are lost or of a wrong width."""
    if not any('"' in line for line in body):
        return "standard"
    swallowed = _count_swallowed(body, separator, width, numbers, whole)
    if not swallowed:
        return "standard"
    plain = list(csv_reader(body, separator, "none", False))
    enclosed = sum(any(len(field) > 1 and field[0] == field[-1] == '"' for field in fields) for fields in plain)
    odd = sum(len(fields) != width for fields in plain)
    return "none" if 2 * odd <= swallowed and enclosed < len(body) / 2 else "standard"


def _count_swallowed(body: list[str], separator: str, width: int, numbers: tuple[int, ...], whole: bool) -> int:
    """Lines of the head that standard quoting loses or breaks."""
    lost = last = 0
    reader = csv_reader(body, separator, "standard", True)
    while True:
        try:
            fields = next(reader)
        except StopIteration:
            return lost
        except csv.Error as error:
            open_at_end = "unexpected end" in str(error)
            legal = open_at_end and not whole and len(body) - last <= LONGEST_ROW
            lost += 0 if legal else reader.line_num - last
        else:
            inner = body[last + 1 : reader.line_num]
            lost += len(inner) if len(fields) != width or look_like_rows(inner, separator, width, numbers) else 0
        last = reader.line_num


def look_like_rows(lines: list[str], separator: str, width: int, numbers: tuple[int, ...]) -> bool:
    """Whether each of the lines within a quoted text is a row by itself, with numbers where rows have them."""
    if not lines or not numbers:
        return False
    plain = csv_reader(lines, separator, "none", False)
    return all(len(fields) == width and all(_is_number(fields[place]) for place in numbers) for fields in plain)


def _numeric_columns(body: list[str], separator: str, quoting: str) -> tuple[int, ...]:
    rows = list(csv_reader(body[:_SAMPLE], separator, quoting, False))
    width = Counter(map(len, rows)).most_common(1)[0][0] if rows else 0
    columns = zip(*(row for row in rows if len(row) == width), strict=True)
    filled = [[value for value in values if value.strip()] for values in columns]
    return tuple(place for place, values in enumerate(filled) if values and all(map(_is_number, values)))


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return not text.strip()
    return True


def _fit_names(names: list[str], body: list[str], separator: str, quoting: str) -> list[str]:
    """The names with one more where every row has one field more: R's row names before, or a last separator after."""
    rows = list(csv_reader(body[:_SAMPLE], separator, quoting, False))
    if rows and all(len(row) == len(names) + 1 for row in rows):
        return [*names, ""] if all(not row[-1].strip() for row in rows) else ["", *names]
    return names
