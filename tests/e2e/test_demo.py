"""``slawatch demo`` as a newcomer meets it: one command, an empty folder, nothing set."""

from __future__ import annotations

import re
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.support.desk import slawatch

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(420)]

BOARD_ROW = re.compile(
    r"^ (?P<target>[a-z][\w-]+)\s+(?P<open>\d+)\s+\d+\s+\d+\s+(?P<met>\d+)\s+(?P<breached>\d+)\s", re.MULTILINE
)


@pytest.mark.usefixtures("kafka_jars")
def test_the_demo_plays_a_day_shows_what_it_sees_and_leaves_nothing_behind(tmp_path: Path) -> None:
    ended = slawatch("demo", "--speed", "3600", "--no-wait", "--port", "0", seconds=400, folder=tmp_path)
    text = ended.stdout
    assert ended.returncode == 0, text[-3000:] + ended.stderr[-3000:]
    assert ended.stderr == ""
    for step in ("Kafka answers at", "topics created", "contracts of config/contracts published", "is ready at"):
        assert step in text
    lines = [line for line in text.splitlines() if re.match(r"(Sun|Mon|Tue) \d\d:\d\d  ", line)]
    told = {line[11:].split("  ")[0] for line in lines}
    assert {"at risk", "breached"} <= told, told
    rows = {row["target"]: row for row in BOARD_ROW.finditer(text)}
    for target in ("response-p1", "response-p2", "resolution-p1", "resolution-p2"):
        assert int(rows[target]["met"]) > 0, f"{target}: nobody was ever in time"
    assert sum(int(row["breached"]) for row in rows.values()) > 0
    for url in set(re.findall(r"http://127\.0\.0\.1:\d+", text)):
        with pytest.raises(urllib.error.URLError):
            urllib.request.urlopen(url, timeout=5)
