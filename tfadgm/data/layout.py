"""Where the columns of a table stand in x: what networks read, then what p(x|.) scores.

    x = [ values that are read | which of them are | values that are scored | which of these are observed ]

Each list of values has the numbers, the yes/no columns (0 or 1), the counts and the categories (one-hot), in this order, 0
where a cell is missing; each mask has a bit per column. Counts are read as standardised logarithms, and scored as they are.
What is read may be less than what is scored: cells are hidden from q in training, so that it learns what to say without.
"""

import dataclasses
import itertools

import tensorflow as tf

NUMBERS, BINARIES, COUNTS, CATEGORIES = "numbers", "binaries", "counts", "categories"


@dataclasses.dataclass(frozen=True)
class Layout:
    """The kinds of a table's columns, in the order that they have in x.

    Attributes:
      numbers, binaries, counts: how many columns of each kind.
      categories: the number of values of each categorical column, ascending.
      count_shift, count_scale: the counts are read as (log(1 + count) - shift) * scale, a number for each.
    """

    numbers: int = 0
    binaries: int = 0
    counts: int = 0
    categories: tuple = ()
    count_shift: tuple = ()
    count_scale: tuple = ()

    def __post_init__(self):
        for name in ("categories", "count_shift", "count_scale"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if list(self.categories) != sorted(self.categories):
            raise ValueError(f"categories: got {self.categories}; allowed: their numbers of values, ascending")
        if not len(self.count_shift) == len(self.count_scale) == self.counts:
            raise ValueError(f"counts: got {self.counts} with other numbers of shifts and scales; allowed: one of each")

    @property
    def columns(self):
        """C, the number of columns."""
        return self.numbers + self.binaries + self.counts + len(self.categories)

    @property
    def values(self):
        """F, the number of values that the columns have in x."""
        return self.numbers + self.binaries + self.counts + sum(self.categories)

    @property
    def read_size(self):
        """F + C, how much of x networks read."""
        return self.values + self.columns

    @property
    def size(self):
        """2 (F + C), the size of x."""
        return 2 * self.read_size

    @property
    def groups(self):
        """[(number of values, how many categorical columns have so many)], ascending."""
        return [(size, len(list(alike))) for size, alike in itertools.groupby(self.categories)]

    def sizes(self):
        """Returns {kind: number of values} of the four kinds."""
        return {
            NUMBERS: self.numbers,
            BINARIES: self.binaries,
            COUNTS: self.counts,
            CATEGORIES: sum(self.categories),
        }

    def spread(self, mask):
        """A bit per column, [..., C], to one per value, [..., F]."""
        return tf.gather(mask, self._column_of_value(), axis=-1)

    def _column_of_value(self):
        simple = self.columns - len(self.categories)
        wide = (column for column, size in enumerate(self.categories, simple) for _ in range(size))
        return [*range(simple), *wide]

    def assemble(self, values, observed, seen):
        """Returns x, float32 [..., size].

        Args:
          values: {kind: [..., n]} of the four kinds, finite, whatever it is, where a cell is missing.
          observed, seen: bits 0 or 1, [..., C] each: which cells are scored, and which are read.
        """
        read = {**values, COUNTS: self._read_counts(values[COUNTS])}
        parts = []
        for each, mask in ((read, seen), (values, observed)):
            parts += [tf.concat([each[kind] for kind in self.sizes()], -1) * self.spread(mask), mask]
        return tf.concat(parts, -1)

    def _read_counts(self, counts):
        return (tf.math.log1p(counts) - list(self.count_shift)) * list(self.count_scale) if self.counts else counts

    def scored(self, x):
        """Returns ({kind: values [..., n]}, {kind: bits [..., columns of it]}) of what p(x|.) scores."""
        scored = x[..., self.read_size :]
        kinds = self.sizes()
        values = tf.split(scored[..., : self.values], list(kinds.values()), -1)
        columns = [self.numbers, self.binaries, self.counts, len(self.categories)]
        masks = tf.split(scored[..., self.values :], columns, -1)
        return dict(zip(kinds, values, strict=True)), dict(zip(kinds, masks, strict=True))
