"""The documentation site builds without a warning, its links lead somewhere, nothing comes from
elsewhere, and every public name and command is in it and found by its search."""

import importlib
import json
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

pytest.importorskip("sphinx", reason='the extra docs is not installed: pip install -e ".[docs]"')
from pages import browser  # noqa: F401

from tinyvae.cli.main import COMMANDS

pytestmark = pytest.mark.site

ROOT = Path(__file__).resolve().parent.parent
HOMES = ("tinyvae", "tinyvae.train", "tinyvae.evaluate", "tinyvae.gradcheck", "tinyvae.audit")
NAMES = [
    f"{home}.{name}"
    for home in HOMES
    for name in importlib.import_module(home).__all__
    if name != "__version__"
]
NAMES += ["tinyvae.data.load_dataset", "tinyvae.data.Dataset", "tinyvae.estimator.VAEEstimator"]
SAME = {  # names that a second package hands on
    "tinyvae.train.fit": "tinyvae.fit",
    "tinyvae.train.save": "tinyvae.save",
    "tinyvae.train.load": "tinyvae.load",
    "tinyvae.data.load_dataset": "tinyvae.load_dataset",
}
NAMES = sorted({SAME.get(name, name) for name in NAMES})
LOADED = {("script", "src"), ("img", "src"), ("iframe", "src"), ("link", "href")}


class Page(HTMLParser):
    """The ids of a page, its links, and what a browser loads with it."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.ids |= {given[name] for name in ("id", "name") if given.get(name)}
        if tag == "a" and given.get("href"):
            self.links.append(given["href"])
        self.loaded += [given[name] for of, name in LOADED if of == tag and given.get(name)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The folder of the built site."""
    out = tmp_path_factory.mktemp("site")
    build = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-c", "tutorials/site"]
    done = subprocess.run([*build, ".", out], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return out


@pytest.fixture(scope="module")
def pages(folder):
    """The pages of the site by path, but for the playground, which is a program."""
    paths = [p for p in folder.rglob("*.html") if p != folder / "tutorials" / "playground.html"]
    return {path: Page(path) for path in paths if "_static" not in path.parts}


def missing(path: Path, link: str, pages: dict[Path, Page]) -> bool:
    """Return whether a link of the page at `path` leads to no file, or to no place in a page."""
    parts = urlsplit(link)
    target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
    if target.is_dir() or not target.is_file():
        return True
    return bool(parts.fragment) and target in pages and parts.fragment not in pages[target].ids


def test_every_internal_link_leads_to_a_place(pages):
    internal = {
        (path, link)
        for path, page in pages.items()
        for link in [*page.links, *page.loaded]
        if not urlsplit(link).scheme and not link.startswith("#furo")
    }
    assert len(internal) > 1000
    assert not [(path.name, link) for path, link in internal if missing(path, link, pages)]


def test_the_check_of_links_sees_what_is_missing(tmp_path):
    path = tmp_path / "page.html"
    path.write_text('<a href="#there">a</a><a href="#gone">b</a><p id="there"><a href="no.html">c')
    pages = {path: Page(path)}
    assert [missing(path, link, pages) for link in pages[path].links] == [False, True, True]


def test_a_browser_loads_nothing_from_elsewhere(pages):
    loaded = {link for page in pages.values() for link in page.loaded}
    assert len(loaded) > 10
    assert not [link for link in loaded if urlsplit(link).netloc]


@pytest.mark.parametrize("name", NAMES)
def test_every_public_name_is_described(pages, name):
    assert any(name in page.ids for page in pages.values())


def test_every_command_is_described_with_its_options(pages, folder):
    page = folder / "tutorials" / "site" / "reference" / "command-line.html"
    assert set(COMMANDS) <= pages[page].ids
    text = page.read_text(encoding="utf-8")
    assert all(f"usage: tinyvae {command} " in text for command in COMMANDS)


def test_the_notebooks_are_shown_as_they_are_stored_and_folded(folder):
    folded = 0
    for notebook in (ROOT / "tutorials").glob("*.ipynb"):
        text = (folder / "tutorials" / f"{notebook.stem}.html").read_text(encoding="utf-8")
        cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
        assert text.count('class="cell_output') == sum(bool(cell.get("outputs")) for cell in cells)
        hidden = [c for c in cells if any(c["metadata"].get("jupyter", {}).values())]
        assert text.count('<details class="admonition hide') == len(hidden)
        folded += len(hidden)
    assert folded


def test_every_public_name_is_found_by_the_search(browser, folder):  # noqa: F811
    page, missed = browser.new_page(), []
    for name in NAMES:
        short = name.rpartition(".")[2]
        page.goto(f"{(folder / 'search.html').as_uri()}?q={short}")
        page.wait_for_selector("#search-results ul.search li", timeout=20_000)
        page.wait_for_function("!document.querySelector('#search-progress')?.textContent")
        links = page.eval_on_selector_all("ul.search a", "nodes => nodes.map(n => n.href)")
        if not any(link.partition("#")[2] == name for link in links):
            missed.append((name, links[:3]))
    page.close()
    assert not missed


def test_mathematics_is_drawn_and_the_theme_is_chosen_by_the_system(browser, folder):  # noqa: F811
    for scheme, paper in (("light", "rgb(253, 252, 249)"), ("dark", "rgb(23, 22, 20)")):
        context = browser.new_context(color_scheme=scheme, viewport={"width": 400, "height": 800})
        page, elsewhere = context.new_page(), []
        page.on("request", lambda request, to=elsewhere: to.append(request.url))
        page.goto((folder / "MATHEMATICS.html").as_uri())
        page.wait_for_selector("mjx-container", state="attached")
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == paper
        assert page.evaluate("document.documentElement.scrollWidth") <= 400
        assert not [url for url in elsewhere if not url.startswith(("file:", "data:"))]
        context.close()
