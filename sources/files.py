"""Opening a source's file, compressed with gzip or not."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from sources.faults import SourceError


@contextmanager
def open_source(path: Path) -> Iterator[BinaryIO]:
    """Open a file for reading bytes; a name that ends in ``.gz`` is decompressed on the way.

    Raises
    ------
    SourceError
        If the file can't be opened, or turns out truncated or damaged while it is read.
    """
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as stream:
            yield cast("BinaryIO", stream)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise SourceError(path, [f"damaged or truncated gzip data: {error}"]) from error
    except OSError as error:
        raise SourceError(path, [error.strerror or str(error)]) from error
