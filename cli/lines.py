"""JSON lines to a file or to standard output."""

from __future__ import annotations

import gzip
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO, cast


def write_lines(out: Path | None, lines: Iterable[bytes]) -> int:
    """Write lines and return their number; a file appears when it is complete.

    Parameters
    ----------
    out : Path or None
        File; ``.gz`` compresses, without a time in its header, so that equal lines are equal bytes. None, or ``-``:
        standard output.
    """
    if out is None or str(out) == "-":
        return _write_to(sys.stdout.buffer, lines)
    partial = out.with_name(f"{out.name}.partial")
    try:
        with partial.open("wb") as file:
            if out.suffix == ".gz":
                with gzip.GzipFile("", "wb", fileobj=file, mtime=0) as compressed:
                    count = _write_to(cast("BinaryIO", compressed), lines)
            else:
                count = _write_to(file, lines)
        partial.replace(out)
    finally:
        partial.unlink(missing_ok=True)
    return count


def _write_to(stream: BinaryIO, lines: Iterable[bytes]) -> int:
    count = 0
    for line in lines:
        stream.write(line + b"\n")
        count += 1
    stream.flush()
    return count
