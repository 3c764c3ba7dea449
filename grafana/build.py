"""Write the dashboards: ``python -m grafana.build``; with ``--check`` only say which files differ (exit code 1).

Needs the packages of the development environment; what Grafana reads are the files it writes.
"""

from __future__ import annotations

import sys
from pathlib import Path

from grafana.boards import ALL
from grafana.render import render

FOLDER = Path(__file__).parent / "dashboards"


def files() -> dict[Path, str]:
    """Return the text of every dashboard by its file."""
    return {FOLDER / f"{board.uid}.json": render(board) for board in ALL}


def differences() -> list[Path]:
    """Return the files in the folder that are not what would be written, missing and superfluous ones included."""
    wanted = files()
    there = set(FOLDER.glob("*.json"))
    stale = {path for path, text in wanted.items() if path not in there or path.read_text(encoding="utf-8") != text}
    return sorted(stale | (there - wanted.keys()))


def write() -> None:
    """Write every dashboard and remove the files of those that are no more."""
    FOLDER.mkdir(exist_ok=True)
    wanted = files()
    for path in set(FOLDER.glob("*.json")) - wanted.keys():
        path.unlink()
    for path, text in wanted.items():
        path.write_text(text, encoding="utf-8")


def main(arguments: list[str]) -> int:
    """Write or check, as the arguments say; return the exit code."""
    match arguments:
        case []:
            write()
            return 0
        case ["--check"]:
            stale = differences()
            for path in stale:
                sys.stderr.write(f"{path.relative_to(FOLDER.parent.parent)} differs: python -m grafana.build\n")
            return 1 if stale else 0
        case _:
            sys.stderr.write("usage: python -m grafana.build [--check]\n")
            return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
