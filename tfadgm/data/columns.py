"""A column of a table: its name, its kind, and how its cells become numbers."""

import dataclasses

KINDS = ("number", "binary", "category", "count", "date")
# Kinds that the user may give beside them: dates of which nothing else tells whether the day or the month comes first.
ORDERS = {"date-dmy": ("%d", "%m"), "date-mdy": ("%m", "%d")}
OTHER = "other"  # what the last code of a category stands for


@dataclasses.dataclass(frozen=True)
class Column:
    """A column of a table: its name, its kind, and how its cells become numbers.

    A table of C columns is float32 [N, C], NaN where a cell is missing. A cell is, by its kind: number, its value; count, 0,
    1, 2, ...; binary, 0 or 1; date, days since 1970-01-01 (UTC), with fractions; category, the number of its text in
    `categories`, and their number for every other text.

    Attributes:
      name: as in the header of the table.
      kind: one of `KINDS`.
      categories: of a category, its texts, in order; code k is categories[k], code len(categories) any other. Of a binary
        column of words, those of 0 and 1; () for 0 and 1 themselves.
      format: how text is read: of a date, "ISO8601" or a format of strptime; of a number or count, "," where that is the
        decimal sign (and "." one of thousands); None is the usual.
    """

    name: str
    kind: str = "number"
    categories: tuple = ()
    format: str | None = None

    def __post_init__(self):
        if self.kind not in KINDS:
            raise ValueError(f"column {self.name!r}: got the kind {self.kind!r}; allowed: {', '.join(KINDS)}")
        object.__setattr__(self, "categories", tuple(self.categories))

    @property
    def size(self):
        """How many codes a category has, "other" included; 1 for every other kind."""
        return len(self.categories) + 1 if self.kind == "category" else 1

    def to_dict(self):
        """Returns the column as a dict of JSON types."""
        return {**dataclasses.asdict(self), "categories": list(self.categories)}

    @classmethod
    def from_dict(cls, content):
        """Returns the column that `to_dict` wrote; raises a ValueError for what is none."""
        texts = isinstance(content, dict) and isinstance(content.get("categories", []), list)
        texts = texts and all(isinstance(text, str) for text in [content.get("name"), *content.get("categories", [])])
        if not texts or set(content) - {field.name for field in dataclasses.fields(cls)}:
            raise ValueError(f"column: got {content!r:.60}; allowed: an object with name, kind, categories and format")
        return cls(**content)
