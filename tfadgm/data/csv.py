"""The user's own table: `csv:FILE`, a header and rows of cells, read a few rows at a time.

What is found by itself: the delimiter (comma, semicolon, tab, bar), quoted cells that hold delimiters and line ends, the
encoding (a byte-order mark of UTF-8 or UTF-16; UTF-8; else Windows-1252 or Latin-1, which is told) and gzip.
"""

import codecs
import csv
import gzip
import io
import itertools
import os
import re
import zlib

import pyarrow as pa

from tfadgm import telling
from tfadgm.data import files, frames, sources
from tfadgm.data.cells import LARGEST

KIND = "a csv file"
DELIMITERS = "\t;|,"  # in the order in which they are believed: a comma may stand in a text or a number
MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
LONGEST_LINE = 1 << 24  # characters
BLOCK = 1 << 20
SNIFFED = 50  # rows by which the delimiter is found
# What shrinks to less than a hundredth and is large is a bomb.
BOMB_BYTES, BOMB_RATIO = 1 << 30, 100


class Csv(sources.Source):
    """Rows of a csv file. The header is row 1; blank lines do not count as rows.

    Args:
      path: the file.

    Raises:
      ValueError: for what is no such file, or has no header.
    """

    first = 2

    def __init__(self, path):
        files.check_regular(path, KIND)
        self._path = path
        self._encoding = _encoding(path)
        with self._open() as file:
            self.delimiter, self._skipped = _delimiter(_first_lines(path, file))
        with self._open() as file:
            header = [name.strip() for name in next(self._records(file), [])]
        if not header:
            raise ValueError(f"{path}: has 0 rows; allowed: a header and at least one example")
        super().__init__(str(path), header)
        self.decimal = "," if self.delimiter == ";" else "."
        self._short = 0

    @property
    def remarks(self):
        remarks = []
        if self._encoding not in ("utf-8", *(name for _, name in MARKS)):
            remarks.append(f"{self.where}: is no UTF-8; read as {self._encoding}")
        if self._short:
            remarks.append(f"{self.where}: {self._short} rows end before the header does; their last cells are missing")
        return remarks

    @property
    def has_header(self):
        """Whether its first row is no example: less than half of it are numbers."""
        return 2 * sum(map(_is_number, self.names)) < len(self.names)

    def chunks(self, names):
        number = {name: c for c, name in enumerate(self.names)}
        at = [number[name] for name in names]
        size, row, self._short = max(1, sources.CHUNK_CELLS // len(self.names)), 0, 0
        bytes_ = os.path.getsize(self._path)
        with self._open() as file:
            records = self._records(file)
            next(records)
            blank = [[""]] if len(self.names) == 1 else []
            rows = (cells or blank[0] for cells in records if cells or blank)
            while part := list(itertools.islice(rows, size)):
                if set(map(len, part)) != {len(self.names)}:
                    part = [self._fitted(cells, row + i) for i, cells in enumerate(part)]
                if self.names in part:
                    again = self.row(row + part.index(self.names))
                    raise ValueError(f"{self.where}: {again} is the header again; allowed: one header")
                cells = list(zip(*part, strict=True))
                yield [pa.array(cells[c], pa.string()) for c in at]
                row += len(part)
                telling.advance(self.where, getattr(file.buffer, "fileobj", file.buffer).tell(), bytes_)

    def _fitted(self, cells, row):
        """A row of as many cells as the header: empty ones too many are left out, and those too few are missing."""
        width = len(self.names)
        if any(cell.strip() for cell in cells[width:]):
            raise ValueError(f"{self.where}: {self.row(row)} has {len(cells)} columns; allowed: {width}, as the header")
        self._short += len(cells) < width
        return cells[:width] + [None] * (width - len(cells))

    def _open(self):
        return io.TextIOWrapper(_open_bytes(self._path), encoding=self._encoding, newline="")

    def _records(self, file):
        """Yields the header and the rows, lists of strings; blank lines before the header are passed over."""
        lines = itertools.islice(_lines(self._path, file), self._skipped, None)
        found, number = csv.reader(lines, delimiter=self.delimiter, skipinitialspace=True, strict=True), 0
        try:
            for cells in found:
                if cells or number:
                    number += bool(cells)
                    yield cells
        except (csv.Error, OSError, EOFError, zlib.error, UnicodeError) as error:
            reason = str(error).splitlines()[0].replace("unexpected end of data", "a quotation is not closed")
            raise ValueError(f"{self._path}: not a readable csv file: row {number + 1}: {reason}") from error


def _open_bytes(path):
    with open(path, "rb") as file:
        zipped = file.read(2) == b"\x1f\x8b"
    return gzip.open(path, "rb") if zipped else open(path, "rb")


def _encoding(path):
    """Returns the encoding of a file, all of which is looked at, or raises a ValueError for what is no text."""
    with open(path, "rb") as file:
        start = file.read(4)
        size = file.seek(0, io.SEEK_END)
    if start[:2] == b"PK":
        raise ValueError(f"{path}: not a readable csv file: a zip archive, as spreadsheets are; allowed: {KIND}")
    try:
        with _open_bytes(path) as file:
            start = file.read(4)
        found = next((name for mark, name in MARKS if start.startswith(mark)), None)
        for encoding in [found] if found else ["utf-8", "cp1252"]:
            if _decodes(path, size, encoding):
                return encoding
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{path}: not a readable csv file: {error}") from error
    if found:
        raise ValueError(f"{path}: not a readable csv file: begins as {found}, and is none; allowed: text in one encoding")
    return "latin-1"


def _decodes(path, size, encoding):
    decoder, read = codecs.getincrementaldecoder(encoding)(), 0
    with _open_bytes(path) as file:
        while block := file.read(BLOCK):
            read += len(block)
            if read > BOMB_BYTES and read > BOMB_RATIO * size:
                raise ValueError(
                    f"{path}: expands to more than {BOMB_RATIO} times its size; allowed: less, or the file itself"
                )
            try:
                if "\0" in decoder.decode(block):
                    raise ValueError(f"{path}: not a readable csv file: holds the byte 0, as no text does; allowed: {KIND}")
            except UnicodeDecodeError:
                return False
    try:
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _lines(path, file):
    while line := file.readline(LONGEST_LINE):
        if len(line) == LONGEST_LINE:
            raise ValueError(f"{path}: has a line of more than {LONGEST_LINE} characters; allowed: rows of cells")
        yield line


def _first_lines(path, file):
    lines = itertools.dropwhile(lambda line: not line.strip(), _lines(path, file))
    return list(itertools.islice(lines, SNIFFED))


def _delimiter(lines):
    """Returns (the delimiter, how many lines before the header say it, as Excel's "sep=;" does).

    The first of `DELIMITERS` that cuts the header and nearly all rows into as many cells.
    """
    said = re.fullmatch(r'"?sep=(.)"?\s*', lines[0]) if lines else None
    if said:
        return said[1], 1
    scores = {}
    for delimiter in DELIMITERS:
        rows = csv.reader(lines, delimiter=delimiter, skipinitialspace=True)
        widths = [len(cells) for cells in _whole(rows) if cells]
        if widths and widths[0] > 1:
            scores[delimiter] = sum(width in (widths[0], widths[0] + 1) for width in widths) / len(widths)
    good = [delimiter for delimiter, score in scores.items() if score >= 0.9 * max(scores.values())]
    return (good or [","])[0], 0


def _whole(rows):
    """Yields rows until one that is none by this delimiter."""
    try:
        yield from rows
    except csv.Error:
        return


def _is_number(text):
    try:
        return abs(float(text.replace(",", "."))) <= LARGEST
    except ValueError:
        return False


def load(argument=None, *, label=frames.LABEL, columns=None, ignore=None, kinds=True, **_):
    """Returns the data set in the csv file `argument` (see `frames.read`); an array of numbers without `kinds`."""
    if not argument:
        raise ValueError("dataset csv: got no file; allowed: csv:FILE")
    source = Csv(files.expanded(argument))
    return frames.read(source, label, columns, ignore) if kinds else frames.read_numbers(source, label)
