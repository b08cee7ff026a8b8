"""Arrays that are larger than what should stay in memory: `Growing` ones, which are written to a file, and how to read them.

A large array is a read-only `np.memmap` of a temporary file without a name, in the form in which it is trained on (float32
rows, decoded pictures): it is gone when the last who holds it is, or the process ends, however it ends. It is a copy of the
user's file even where that could be mapped as it stands: a file that is written anew in a long training would change the
data without a word, or end the process by SIGBUS. It takes disk, none of which is reserved: what does not fit is refused.

Pages of a map count in the resident set once they are touched, although the kernel takes them back when memory is short. So
that a process is as small as it looks, whoever reads much reads by `chunks`, `gather` and `every`, which let go of what they
have touched (`release`). An array that is not mapped is read as it always was, to the bit.
"""

import errno
import io
import math
import mmap
import os
import tempfile

import numpy as np

from tfadgm import telling

LARGE_BYTES = 64 << 20  # beyond which an array is in a file
CHUNK_VALUES = 1 << 20  # of `chunks`
TOUCHED_BYTES = 32 << 20  # of a map, until its pages are let go of
PAGES_BYTES = 2 << 20  # that the kernel may map where one byte is touched: a large page


def directory():
    """Returns where the files are: $TMPDIR; else /var/tmp, as /tmp is often memory itself; else what Python takes."""
    usual = "/var/tmp" if os.access("/var/tmp", os.W_OK) else None
    return os.environ.get("TMPDIR") or usual or tempfile.gettempdir()


class Growing:
    """An array [N, *shape] that is written a few rows at a time, N not being known before.

    Args:
      shape, dtype: of one row; the byte order is the machine's.
      what: what errors and progress call it, such as the path of its file.
      total: N, where it is known, for the progress that is told of it; None: the reader tells its own.
    """

    def __init__(self, shape, dtype, what, total=None):
        self.shape, self.dtype, self.what, self.total = tuple(shape), np.dtype(dtype).newbyteorder("="), what, total
        self.rows, self._file = 0, io.BytesIO()

    def add(self, rows):
        """Writes the next rows, [n, *shape]; raises a ValueError where the disk is full."""
        rows = np.asarray(rows)
        if rows.shape[1:] != self.shape:
            raise ValueError(f"{self.what}: got rows {rows.shape[1:]}; allowed: {self.shape}")
        try:
            if isinstance(self._file, io.BytesIO) and self._file.tell() + rows.size * self.dtype.itemsize > LARGE_BYTES:
                file = tempfile.TemporaryFile(dir=directory())
                file.write(self._file.getbuffer())
                self._file = file
            self._file.write(np.ascontiguousarray(rows, self.dtype).reshape(-1).view("uint8"))
        except OSError as error:
            raise _no_room(self.what, error) from None
        self.rows += len(rows)
        if self.total is not None:
            telling.advance(self.what, self.rows, self.total)

    def array(self):
        """Returns the array: in memory, which is then the caller's own, or a map that is read only."""
        shape = self.rows, *self.shape
        if isinstance(self._file, io.BytesIO):
            return np.array(np.frombuffer(self._file.getbuffer(), self.dtype).reshape(shape))
        try:
            self._file.flush()
        except OSError as error:
            raise _no_room(self.what, error) from None
        return np.memmap(self._file, self.dtype, "r", shape=shape)


def _no_room(what, error):
    if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return ValueError(f"{what}: cannot be written to {directory()}: {error.strerror}; allowed: another TMPDIR")
    return ValueError(f"{what}: finds no room in {directory()}, where large data are; allowed: a TMPDIR on a larger disk")


def check_room(size, what):
    """Raises a ValueError if an array of `size` bytes is large and finds no room on the disk."""
    status = os.statvfs(directory())
    free = status.f_bavail * status.f_frsize
    if size > max(LARGE_BYTES, free):
        raise ValueError(f"{what} takes {size} bytes in {directory()}, which has {free}; allowed: a TMPDIR on a larger disk")


def converted(x, dtype, what):
    """Returns x as an array of `dtype`, itself if it is one."""
    if x.dtype == dtype:
        return x
    if x.nbytes <= LARGE_BYTES:
        return x.astype(dtype)
    found = Growing(x.shape[1:], dtype, what, len(x))
    for chunk in chunks(x):
        found.add(chunk)
    return found.array()


def mapping(x):
    """Returns the `mmap.mmap` whose memory x is in; None for an array in memory."""
    x = getattr(x, "rows_of", x)
    while x is not None:
        if isinstance(x, np.memmap) and getattr(x, "_mmap", None) is not None:
            return x._mmap
        x = getattr(x, "base", None)
    return None


def release(x):
    """Lets go of the pages of the map that x is in; whoever reads it again finds them again."""
    pages = mapping(x)
    if pages is not None and hasattr(mmap, "MADV_DONTNEED"):
        pages.madvise(mmap.MADV_DONTNEED)


def chunks(x):
    """Yields x, as many examples at a time as `CHUNK_VALUES` have room for, as arrays in memory."""
    size = max(1, CHUNK_VALUES // max(math.prod(x.shape[1:]), 1))
    for start in range(0, len(x), size):
        yield np.asarray(x[start : start + size])
        release(x)


def batch_size(shape):
    """Returns how many rows of `shape` `chunks` yields at a time, 1024 at most."""
    return min(1024, max(1, CHUNK_VALUES // max(1, math.prod(shape))))


def gather(x, indices):
    """Returns x[indices], indices an array of whole numbers: in memory, and of a map read in ascending order."""
    if mapping(x) is None or isinstance(x, Chosen):
        return x[indices]
    flat = np.ravel(indices)
    found, order = np.empty((len(flat), *x.shape[1:]), x.dtype), np.argsort(flat, kind="stable")
    size = max(1, TOUCHED_BYTES // (_row_bytes(x) + PAGES_BYTES))
    for start in range(0, len(order), size):
        part = order[start : start + size]
        found[part] = x[flat[part]]
        release(x)
    return found.reshape(*np.shape(indices), *x.shape[1:])


def every(x, step, columns=slice(None)):
    """Returns x[::step], or of x [N, C] x[::step, columns], in memory, or a view of what is there."""
    if mapping(x) is None or isinstance(x, Chosen):
        return x[::step] if columns == slice(None) else x[::step, columns]
    size = step * max(1, TOUCHED_BYTES // min(step * _row_bytes(x), _row_bytes(x) + PAGES_BYTES))
    parts = []
    for start in range(0, len(x), size):
        part = x[start : start + size : step]
        parts.append(np.array(part if columns == slice(None) else part[:, columns]))
        release(x)
    return np.concatenate(parts)


def column_blocks(x, step):
    """Yields (number of the first of some columns, these of x[::step], an array [n, D]) over all columns of x [N, C]."""
    width = max(1, 4 * CHUNK_VALUES // max(1, -(-len(x) // step)))
    for first in range(0, x.shape[1], width):
        yield first, every(x, step, slice(first, first + width))


def _row_bytes(x):
    return max(1, math.prod(x.shape[1:]) * x.dtype.itemsize)


def take(x, indices):
    """Returns x[indices], an array in memory, or what reads it from the map of x when it is asked, if it is large.

    Args:
      x: [N, ...].
      indices: int [n].
    """
    if len(indices) * _row_bytes(x) <= LARGE_BYTES or (mapping(x) is None and not isinstance(x, Chosen)):
        return gather(x, indices)
    if len(indices) == len(x) and np.array_equal(indices, np.arange(len(x))):
        return x
    return Chosen(x, np.asarray(indices))


class Chosen:
    """Rows of a large array by their numbers: it has what is asked of an array of examples, and holds none of them.

    Args:
      rows_of: [N, ...], a map.
      indices: int [n].
    """

    def __init__(self, rows_of, indices):
        self.rows_of, self.indices = rows_of, indices
        self.shape, self.dtype = (len(indices), *rows_of.shape[1:]), rows_of.dtype
        self.ndim, self.size = len(self.shape), math.prod(self.shape)
        self.nbytes = self.size * self.dtype.itemsize

    def __len__(self):
        return len(self.indices)

    def __getitem__(self, key):
        """The rows `key`, a slice or an array of numbers or of truth values, in memory; of a tuple, its columns too."""
        key, *columns = key if isinstance(key, tuple) else (key,)
        rows = gather(self.rows_of, np.atleast_1d(self.indices[key]))
        rows = rows[0] if isinstance(key, int | np.integer) else rows
        return rows[(slice(None), *columns)] if columns else rows

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self[:], dtype)
