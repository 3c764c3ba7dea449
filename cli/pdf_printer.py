"""Prints HTML to PDF by the Chromium that is installed, if one is."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final

BROWSERS: Final = (
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "chrome",
    "microsoft-edge",
)
"""Commands that are looked for, in this order."""

TIMEOUT_SECONDS: Final = 120


class PdfError(Exception):
    """A PDF that could not be made; the text says what to do."""


def find_browser() -> str | None:
    """Return the command of an installed Chromium, or None."""
    return next((found for name in BROWSERS if (found := shutil.which(name))), None)


def print_pdf(html: str, *, timeout_seconds: float = TIMEOUT_SECONDS) -> bytes:
    """Return an HTML page as PDF.

    Raises
    ------
    PdfError
        If there is no browser, or it fails.
    """
    browser = find_browser()
    if browser is None:
        raise PdfError(
            "no Chromium is installed, and PDF is printed by one: install it (Debian: apt-get install chromium), "
            "or write --format html and print that"
        )
    with tempfile.TemporaryDirectory(prefix="slawatch-report-") as folder:
        page, pdf = Path(folder) / "report.html", Path(folder) / "report.pdf"
        page.write_text(html, encoding="utf-8")
        command = [
            browser,
            "--headless",
            "--disable-gpu",
            "--no-first-run",
            "--no-pdf-header-footer",
            "--disable-dev-shm-usage",  # containers give it 64 MB
            f"--user-data-dir={folder}/profile",
            f"--print-to-pdf={pdf}",
            page.as_uri(),
        ]
        if hasattr(os, "geteuid") and os.geteuid() == 0:
            # Chromium refuses to run its sandbox as root; the page is our own and loads nothing.
            command.insert(1, "--no-sandbox")
        try:
            done = subprocess.run(command, capture_output=True, timeout=timeout_seconds, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise PdfError(f"{browser} could not print the report: {error}") from error
        if done.returncode or not pdf.exists():
            told = done.stderr.decode(errors="replace").strip().splitlines()
            raise PdfError(f"{browser} could not print the report: {told[-1] if told else 'it says nothing'}")
        return pdf.read_bytes()
