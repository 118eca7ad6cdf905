"""Fixtures of the browser tests."""

import os
import runpy
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@pytest.fixture(scope="session")
def findings():
    """Builders of hand-made findings: make_finding, make_study, person, estimate."""
    return SimpleNamespace(**runpy.run_path(str(Path(__file__).parents[1] / "findings.py")))


@pytest.fixture(scope="module")
def chromium():
    """Debian's Chromium; without it the test skips, unless CI says that it must be there."""
    path = shutil.which("chromium")
    if path is None:
        message = "chromium is not installed (apt-get install chromium)"
        if "browser" in os.environ.get("VLMAUDIT_REQUIRE", ""):
            pytest.fail(message)
        pytest.skip(message)
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def open_page(chromium, report_file):
    """Open the module's `report_file`; nothing may be logged, thrown or asked of a network."""
    trouble = []
    contexts = []

    def watch(request):
        if not request.url.startswith("file://"):
            trouble.append(f"request: {request.url}")

    def open_it(path=report_file, **options):
        context = chromium.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: trouble.append(f"console: {message.text}"))
        page.on("pageerror", lambda error: trouble.append(f"error: {error}"))
        page.on("dialog", lambda dialog: trouble.append(f"dialog: {dialog.message}"))
        page.on("request", watch)
        page.goto(path.as_uri())
        return page

    yield open_it
    for context in contexts:
        context.close()
    assert trouble == []


@pytest.fixture(scope="module")
def axe():
    axe_playwright = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed"
    )
    return axe_playwright.Axe()
