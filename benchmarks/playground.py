"""How fast the playground opens and trains, in Chromium: what playground.html asks of a machine.

    python benchmarks/playground.py --seconds 10 --rounds 3

Each round opens the page anew and takes turns between the WebAssembly kernels and the plain ones.
"""

import argparse
import os
import re
import shutil
import statistics
import tempfile
import time
from pathlib import Path

from machine import about
from playwright.sync_api import Page, sync_playwright

from tinyvae import load_dataset, playground

STEPS = "window.tinyvae ? tinyvae.steps : 0"


def without_wasm(page: str) -> str:
    """Return a page in which a browser finds no kernels, and so trains in plain JavaScript."""
    return re.sub(r'(id="kernels">)[^<]*', r"\1", page)


def measure(page: Page, address: str, seconds: float) -> tuple[float, float]:
    """Return the seconds until the first trained frame, and steps a second after it."""
    page.goto("about:blank")
    start = time.perf_counter()
    page.goto(address)
    while not page.evaluate(STEPS):
        page.wait_for_timeout(20)
    first = time.perf_counter() - start
    page.wait_for_timeout(2000)
    begin, before = time.perf_counter(), page.evaluate(STEPS)
    page.wait_for_timeout(1000 * seconds)
    return first, (page.evaluate(STEPS) - before) / (time.perf_counter() - begin)


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=10, help="of training a round")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    html = playground.build([load_dataset("digits"), load_dataset("shapes")])
    pages = {"WebAssembly": html, "plain JavaScript": without_wasm(html)}
    results = {name: [] for name in pages}
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        for name, text in pages.items():
            (Path(folder) / f"{name}.html").write_text(text, "utf-8")
        for _ in range(options.rounds):
            for name in pages:
                address = (Path(folder) / f"{name}.html").as_uri()
                results[name].append(measure(page, address, options.seconds))
        version = browser.version
        browser.close()
    print(f"784-128-2, batches of 64, page of {len(html.encode()) / 1e6:.2f} MB")
    print("| kernels | first trained frame | steps a second, drawing |\n|---|---|---|")
    for name, rounds in results.items():
        first, pace = (statistics.median(values) for values in zip(*rounds, strict=True))
        print(f"| {name} | {first:.2f} s | {pace:.0f} |")
    machine = about()
    load = os.getloadavg()[0]
    print(f"{machine['processor']}, {machine['cores']} cores, load {load:.1f}; Chromium {version}")


if __name__ == "__main__":
    main()
