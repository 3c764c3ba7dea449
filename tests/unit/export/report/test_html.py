"""The HTML report: whole, escaped, printable, and nothing to load."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser

import pytest
from typing_extensions import override

from export.report.html import MOST_BREACHES, html_of
from export.report.markdown import markdown_of
from export.report.markup import Markup, element, joined, text
from sla.report import Report
from tests.support.report_facts import EVIL, report

VOID = {"meta", "br", "hr", "img", "link", "rect", "line", "path", "polyline"}


class Page(HTMLParser):
    """A page as a browser sees it: its elements, its text, and whether every element is closed."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == []

    @override
    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag != "meta":
            self.open.append(tag)

    @override
    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    @override
    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for found, attributes in self.tags if found == tag]

    @property
    def text(self) -> str:
        return " ".join(self.words)


def test_elements_are_balanced_and_ids_are_unique() -> None:
    page = Page(html_of(report()))
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids)) > 4
    named = {found for attributes in page.of("svg") for found in (attributes.get("aria-labelledby") or "").split()}
    assert named <= set(ids)
    assert {(attributes["href"] or "")[1:] for attributes in page.of("a")} <= set(ids)


def test_nothing_is_loaded_from_anywhere() -> None:
    html = html_of(report())
    assert not re.search(r"(src|srcset|data|xlink:href)=|@import|<script|<link|<iframe|<object", html)
    assert all(place.startswith("#") for place in re.findall(r"url\(([^)]*)\)", html))
    assert "http" not in html.replace("http://www.w3.org/2000/svg", "")


def test_names_from_outside_are_text_and_never_markup() -> None:
    html = html_of(report(name=EVIL))
    assert EVIL not in html
    page = Page(html)
    assert EVIL in page.text
    assert page.of("script") == page.of("img") == []
    assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)


def test_the_result_is_said_in_words_and_signs_not_only_in_colour() -> None:
    page = Page(html_of(report(good=80, bad=20)))
    badges = re.findall(r'<span class="badge (\w+)">([^<]*)</span>', html_of(report(good=80, bad=20)))
    assert badges
    assert set(badges) == {("bad", "✕ missed")}
    assert "✕ 80.0" in page.text
    assert set(re.findall(r'<span class="badge (\w+)">([^<]*)</span>', html_of(report(good=99, bad=1)))) == {
        ("good", "✓ met")
    }
    assert all(attributes.get("role") == "img" for attributes in page.of("svg"))
    assert all(attributes.get("scope") in ("row", "col") for attributes in page.of("th"))
    assert len(page.of("caption")) == len(page.of("table"))
    assert page.of("html") == [{"lang": "en"}]


def test_plots_say_in_words_what_they_show() -> None:
    html = html_of(report(good=80, bad=20))
    told = re.findall(r"<desc[^>]*>([^<]*)</desc>", html)
    assert any("2026-10 80.00\N{NO-BREAK SPACE}% (missed); promised 95\N{NO-BREAK SPACE}%." in words for words in told)
    assert any(
        "20 clocks breached in 31 of 31 days; the events so far allow 5.0: overspent." in words for words in told
    )


def test_the_worst_breaches_are_listed_and_the_rest_is_said_to_be_elsewhere() -> None:
    page = Page(html_of(report(good=100, bad=MOST_BREACHES + 5)))
    assert f"Breaches ({MOST_BREACHES + 5})" in page.text
    listed = re.findall(r"\bT-(\d+)\b", page.text)
    # The later ones ran over more, and the last one still runs.
    assert [int(number) for number in listed] == list(range(MOST_BREACHES + 4, 4, -1))
    assert "all are in the CSV and JSON forms" in page.text


def test_a_period_without_objectives_says_so() -> None:
    found = report()
    assert "No contract has an objective" in Page(html_of(Report(found.period, found.as_of_ms, ()))).text


def test_credits_of_a_period_that_runs_are_credits_so_far() -> None:
    final, running = Page(html_of(report(owes=True))), Page(html_of(report(owes=True, is_final=False)))
    assert "100.00 EUR" in final.text
    assert "Credit so far" not in final.text
    assert "Credit so far" in running.text
    assert "below target" in running.text
    assert "missed" not in re.sub(r"missed or below target|\(missed\)", "", running.text)


def test_the_same_report_is_the_same_bytes() -> None:
    assert html_of(report()) == html_of(report())


def test_a_print_style_is_there() -> None:
    html = html_of(report())
    assert "@media print" in html
    assert "@page" in html


# --- markdown ---


def cells(markdown: str) -> Iterator[int]:
    """Yield the number of cells of each row of each table, unescaped pipes counted."""
    for line in markdown.splitlines():
        if line.startswith("|"):
            yield len(re.findall(r"(?<!\\)\|", line))


def test_markdown_tables_keep_their_shape_whatever_names_hold() -> None:
    plain, evil = markdown_of(report()), markdown_of(report(name=EVIL))
    assert list(cells(plain)) == list(cells(evil))
    assert "<script" not in evil.replace("\\<script", "")


def test_markdown_names_every_objective_with_its_numbers() -> None:
    found = markdown_of(report(good=80, bad=20))
    assert "| response | desk | 95\N{NO-BREAK SPACE}% per month | 80.00\N{NO-BREAK SPACE}% | 20 / 100 |" in found
    assert "20 breaches:" in found
    assert found.endswith("\n")


# --- markup ---


@pytest.mark.parametrize("hostile", ["<b>", '"x" onload="y', "a & b", "'"])
def test_text_is_escaped_and_markup_is_not_escaped_twice(hostile: str) -> None:
    found = element("p", hostile, attributes={"title": hostile})
    page = Page(found)
    assert page.words == [hostile]
    assert page.of("p") == [{"title": hostile}]
    assert text(found) == found
    assert joined([found, hostile]) == found + text(hostile)
    assert isinstance(joined([hostile]), Markup)


def test_an_objective_without_data_is_one_word_and_no_page() -> None:
    page = Page(html_of(report(good=0, bad=0)))
    assert "No data: response." in page.text
    assert page.of("article") == page.of("a") == page.of("svg") == []
    assert "No data: response." in markdown_of(report(good=0, bad=0))
