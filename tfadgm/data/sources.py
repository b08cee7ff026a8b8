"""Where the rows of a table come from: a data frame here, files in `csv` and `parquet`; all as arrow arrays, in chunks."""

import pandas
import pyarrow as pa

CHUNK_CELLS = 1 << 18


class Source:
    """Rows of a table, which can be read more than once.

    Attributes:
      where: what errors call it, such as the path of a file.
      names: of its columns, in order.
      first: the number of its first row, as errors count.
      decimal: the sign of numbers whose sign nothing tells, "." or ",".
      remarks: lines about how it was read, by whoever has read it.
      identifiers: names of columns that number or name its rows, beside those that `table.is_identifier` knows.
      has_header: whether its names are names, and not the cells of a first row.
    """

    first, decimal, remarks, identifiers, has_header = 0, ".", (), (), True

    def __init__(self, where, names):
        self.where, self.names = where, names
        twice = sorted({name for name in names if name and names.count(name) > 1}) if len(set(names)) < len(names) else ()
        if twice:
            raise ValueError(f"{where}: has the column {twice[0]!r} twice; allowed: columns of different names")

    def chunks(self, names):
        """Yields the columns `names` a few rows at a time, as a list of arrow arrays."""
        raise NotImplementedError

    def row(self, number):
        """Returns how errors call the row `number`, from 0."""
        return f"row {number + self.first}"


class Frame(Source):
    """Rows of a `pandas.DataFrame`.

    Args:
      frame: the data frame; its index is no column.
      where: what errors call it.
    """

    def __init__(self, frame, where="data frame"):
        super().__init__(where, [str(name) for name in frame.columns])
        self.frame = frame.set_axis(self.names, axis=1)
        self._types = {}

    def row(self, number):
        return f"row {number} (from 0)"

    def chunks(self, names):
        size = max(1, CHUNK_CELLS // max(1, len(names)))
        for start in range(0, len(self.frame), size):
            part = self.frame.iloc[start : start + size]
            yield [self._array(name, part[name]) for name in names]

    def _array(self, name, part):
        """Objects are what all of their column are: numbers, truth values or dates; else texts."""
        if part.dtype != object:
            try:
                return pa.array(part, from_pandas=True)
            except (pa.ArrowException, TypeError) as error:
                allowed = "allowed: numbers, truth values, dates, texts and categories of these"
                raise ValueError(f"{self.where}: column {name!r}: holds {part.dtype}; {allowed}") from error
        if name not in self._types:
            self._types[name] = pandas.api.types.infer_dtype(self.frame[name], skipna=True)
        found = self._types[name]
        if found in ("integer", "floating", "mixed-integer-float", "decimal"):
            return pa.array(pandas.to_numeric(part).astype("float64"), from_pandas=True)
        if found == "boolean":
            return pa.array(part, pa.bool_(), from_pandas=True)
        if found in ("datetime", "datetime64", "date"):
            return pa.array(pandas.to_datetime(part, utc=True), from_pandas=True)
        return pa.array(
            [None if missing else str(cell) for cell, missing in zip(part, part.isna(), strict=True)], pa.string()
        )
