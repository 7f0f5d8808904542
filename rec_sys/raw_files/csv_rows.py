"""The rows of a CSV, a batch of lines at a time; every line is accounted for.

csv reads a batch of lines at full speed where each of them is a row; where a quoted text holds line breaks, or a quote
stands in a wrong place, it is asked row by row, so that no line is swallowed unseen.
"""

import csv
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Final, TextIO

from rec_sys.contracts import InputError
from rec_sys.raw_files.bad_rows import BATCH_ROWS, BadRow
from rec_sys.raw_files.table_layout import LONGEST_ROW, MARK, TableLayout, look_like_rows, mark_separator

_BROKEN_QUOTE: Final = "a quote opens here and is closed within a text further down"


@dataclass(frozen=True)
class CsvBatch:
    """Consecutive rows; a line of the file is one of `rows` or `bad`, or counted as one of the last three.

    Attributes:
        rows: Those with every field.
        lines: Line of each, counted from 1.
        numbers: Number of each row, counted from 0.
        bad: Too few or too many fields, or a broken quote.
        continued: Lines within a quoted text.
    """

    rows: list[list[str]]
    lines: Sequence[int]
    numbers: Sequence[int]
    bad: list[BadRow]
    continued: int = 0
    blank: int = 0
    comments: int = 0


def read_csv_rows(path: Path, text: TextIO, layout: TableLayout) -> Iterator[CsvBatch]:
    """The rows under the header, in batches of about `BATCH_ROWS` lines.

    Raises:
        InputError: A quote is never closed, or so late that it swallows rows.
    """
    line, number = layout.before + 1, 0
    while lines := mark_separator(list(islice(text, BATCH_ROWS)), layout.separator):
        read = _read_at_once(lines, line, layout) or _read_one_by_one(_Feed(path, lines, text, line, layout))
        batch = _part(read, number, layout)
        counted = len(batch.rows) + len(batch.bad) + batch.continued + batch.blank + batch.comments
        assert counted == read.taken, f"{read.taken - counted} lines of {path} are unaccounted for"
        yield batch
        line += read.taken
        number += len(batch.rows) + len(batch.bad)


@dataclass
class _Read:
    """What csv made of some lines, before rows are parted from what is none."""

    rows: list[list[str]] = field(default_factory=list)
    lines: Sequence[int] = ()
    broken: set[int] = field(default_factory=set)  # lines where a row begins whose quote is closed in a wrong place
    taken: int = 0
    continued: int = 0
    comments: int = 0


def _read_at_once(lines: list[str], first: int, layout: TableLayout) -> _Read | None:
    """For lines that are a row each; None where they are not."""
    comments = 0
    if layout.comment is not None:
        # Within a quoted text a line may begin so too; then the lines are no rows, and are read one by one.
        is_comment = [line.startswith(layout.comment) for line in lines]
        comments = sum(is_comment)
        lines = ["\n" if skipped else line for line, skipped in zip(lines, is_comment, strict=True)]
    try:
        rows = list(layout.parse(lines))
    except csv.Error:
        return None
    if len(rows) != len(lines):
        return None
    return _Read(rows, range(first, first + len(rows)), taken=len(rows), comments=comments)


class _Feed:
    """Lines for csv, which asks for one at a time; `row` holds those of the row that is being read."""

    def __init__(self, path: Path, lines: list[str], text: TextIO, first: int, layout: TableLayout) -> None:
        self.path, self.layout, self.line = path, layout, first
        self.waiting, self.row = deque(lines), list[str]()
        self.comments = 0
        self._text = text

    def __iter__(self) -> "_Feed":
        return self

    def __next__(self) -> str:
        if len(self.row) > LONGEST_ROW:
            raise _not_closed(self, f"a row is longer than {LONGEST_ROW:,} lines: a quote opens and is not closed")
        line = self.waiting.popleft() if self.waiting else mark_separator([next(self._text)], self.layout.separator)[0]
        is_comment = not self.row and self.layout.comment is not None and line.startswith(self.layout.comment)
        self.comments += is_comment
        self.row.append("\n" if is_comment else line)
        return self.row[-1]

    def next_row(self) -> None:
        """Begins another row."""
        self.line += len(self.row)
        self.row.clear()

    def give_back(self) -> None:
        """Leaves the first line alone to the row that is being read."""
        self.waiting.extendleft(reversed(self.row[1:]))
        del self.row[1:]


def _read_one_by_one(feed: _Feed) -> _Read:
    """Reads until the lines that wait are used up; a row that begins in them may go on behind."""
    read, lines, first = _Read(), list[int](), feed.line
    layout, reader = feed.layout, feed.layout.parse(feed)
    width = len(layout.names)
    while feed.waiting:
        lines.append(feed.line)
        try:
            fields = next(reader)
            inner = feed.row[1:]
            if inner and not layout.settled and look_like_rows(inner, layout.separator, width, layout.numbers):
                raise _not_closed(feed, f"a quote opens and swallows the {len(inner):,} rows that follow")
        except csv.Error as error:
            if "expected after" not in str(error):
                what = "a quote opens and is never closed" if "unexpected end" in str(error) else str(error)
                raise _not_closed(feed, what) from error
            if len(feed.row) > 1:
                read.broken.add(feed.line)
                feed.give_back()
            # A quote within a quoted text that is not doubled: read as it stands, as long as it stays in its line.
            fields = next(layout.parse(feed.row, strict=False), [])
        read.rows.append(fields)
        read.continued += len(feed.row) - 1
        feed.next_row()
    read.lines, read.taken, read.comments = lines, feed.line - first, feed.comments
    return read


def _not_closed(feed: _Feed, what: str) -> InputError:
    remedy = "add data.quoting=none if that mark is a letter of the text"
    if not feed.layout.settled and "swallows" in what:
        remedy += ", data.quoting=standard if the lines belong to one text"
    else:
        remedy += ", or close the quote"
    return InputError(f"the CSV is broken: {what}", where=f"{feed.path}, line {feed.line}", remedy=remedy)


def _part(read: _Read, number: int, layout: TableLayout) -> CsvBatch:
    """Parts rows with every field from others; blank lines are no rows."""
    width = len(layout.names)
    if set(map(len, read.rows)) == {width} and not read.broken:
        numbers = range(number, number + len(read.rows))
        return CsvBatch(read.rows, read.lines, numbers, [], read.continued, 0, read.comments)
    rows, bad, lines, places, blank = list[list[str]](), list[BadRow](), list[int](), list[int](), 0
    for line, fields in zip(read.lines, read.rows, strict=True):
        if not fields or (len(fields) == 1 < width and not fields[0].strip()):
            blank += 1
            continue
        if line in read.broken or len(fields) != width:
            ragged = f"{len(fields)} fields where the header has {width}"
            shown = layout.separator.join(fields).replace(MARK, layout.separator)
            bad.append(BadRow(line, _BROKEN_QUOTE if line in read.broken else ragged, shown))
        else:
            rows.append(fields)
            lines.append(line)
            places.append(number)
        number += 1
    return CsvBatch(rows, lines, places, bad, read.continued, blank - read.comments, read.comments)
