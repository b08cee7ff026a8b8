"""The user's own table: `parquet:FILE`, read a few rows at a time."""

import json

import pyarrow as pa
import pyarrow.parquet

from tfadgm import telling
from tfadgm.data import files, frames, sources

BUFFER_BYTES = 1 << 16  # of a column; without, as much of it as a group of rows has is read at once


class Parquet(sources.Source):
    """Rows of a parquet file.

    Raises:
      ValueError: for what is no such file.
    """

    def __init__(self, path):
        files.check_regular(path, "a parquet file")
        self._file = self._read(path, lambda: pyarrow.parquet.ParquetFile(path, buffer_size=BUFFER_BYTES))
        schema = self._file.schema_arrow
        super().__init__(str(path), schema.names)
        self.identifiers = tuple(_index_columns(schema.metadata or {}))

    def row(self, number):
        return f"row {number} (from 0)"

    def chunks(self, names):
        size = max(1, sources.CHUNK_CELLS // max(1, len(names)))
        done, about = 0, self._file.metadata
        for groups in self._groups(size):
            batches = self._file.iter_batches(batch_size=size, row_groups=groups, columns=list(names))
            while (batch := self._read(self.where, lambda found=batches: next(found, None))) is not None:
                done += batch.num_rows
                telling.advance(self.where, done, about.num_rows)
                yield [batch.column(batch.schema.names.index(name)) for name in names]

    def _groups(self, size):
        """Yields lists of the file's groups of rows, of `size` rows at least: of all at once, more stays in memory."""
        groups, rows = [], 0
        for group in range(self._file.num_row_groups):
            groups.append(group)
            rows += self._file.metadata.row_group(group).num_rows
            if rows >= size:
                yield groups
                groups, rows = [], 0
        if groups:
            yield groups

    @staticmethod
    def _read(path, make):
        try:
            return make()
        except (pa.ArrowException, OSError) as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise ValueError(f"{path}: not a readable parquet file: {reason}") from error


def _index_columns(metadata):
    """Yields the names of the columns that pandas has written of its index, if what the file says of it can be read."""
    try:
        found = json.loads(metadata.get(b"pandas", b"{}"))["index_columns"]
        yield from [name for name in found if isinstance(name, str)]
    except (KeyError, TypeError, ValueError, RecursionError):
        return


def load(argument=None, *, label=frames.LABEL, columns=None, ignore=None, **_):
    """Returns the data set in the parquet file `argument` (see `frames.read`)."""
    if not argument:
        raise ValueError("dataset parquet: got no file; allowed: parquet:FILE")
    return frames.read(Parquet(files.expanded(argument)), label, columns, ignore)
