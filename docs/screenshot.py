"""Takes the README's picture: the top of a demo's report, in headless Chromium.

    .venv/bin/vlmaudit demo --out demo-report
    .venv/bin/python docs/screenshot.py demo-report/run

Needs Chromium and playwright, which is among the tools for development.
"""

import io
import shutil
import sys
from pathlib import Path
from typing import Final

from PIL import Image
from playwright.sync_api import sync_playwright

from vlmaudit.audits.identity_inference.run import FINDING, read_finding

PICTURE: Final = Path(__file__).parent / "images" / "report.png"
WIDTH, HEIGHT = 1100, 960
LARGEST: Final = 300_000  # bytes
FLAGS: Final = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def photograph(page_file: Path, chromium: str) -> Image.Image:
    """The top of a page, as a reader with a bright screen sees it."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light")
        page.goto(page_file.resolve().as_uri())
        taken = page.screenshot()
        browser.close()
    return Image.open(io.BytesIO(taken)).convert("RGB")


def small(picture: Image.Image) -> bytes:
    """A PNG of 128 colours, which is enough for text and charts."""
    file = io.BytesIO()
    picture.quantize(128, dither=Image.Dither.NONE).save(file, "PNG", optimize=True)
    return file.getvalue()


def main() -> None:
    """Take the picture, unless it would show somebody who is not drawn."""
    if len(sys.argv) != 2:
        sys.exit("usage: docs/screenshot.py RUN")
    run = Path(sys.argv[1])
    if not all(person.arm for person in read_finding(run / FINDING).people):
        sys.exit(f"{run}: not a demo's run; the picture may show drawn people only.")
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        sys.exit("Chromium is not installed.")
    png = small(photograph(run / "report.html", chromium))
    if len(png) > LARGEST:
        sys.exit(f"{len(png):,} bytes, more than {LARGEST:,}.")
    PICTURE.parent.mkdir(exist_ok=True)
    PICTURE.write_bytes(png)
    sys.stdout.write(f"Wrote docs/images/{PICTURE.name}, {len(png):,} bytes\n")


if __name__ == "__main__":
    main()
