"""How tests write a csv file and read it."""

from tfadgm.data import csv


def load(path, content, **options):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return csv.load(str(path), **options)


def kinds(data):
    return {column.name: column.kind for column in data.columns}


def rows(*lines):
    return "".join(line + "\n" for line in lines)
