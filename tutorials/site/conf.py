"""The documentation site. From the repository's root:

    python -m sphinx -W --keep-going -c tutorials/site . build/site

The sources are the pages of the repository where they stand, notebooks as they are stored, and the
pages beside this file. Nothing is downloaded, neither by the build nor by a reader's browser.
"""

import contextlib
import io
import os
import re
from pathlib import Path
from unittest import mock

from docutils import nodes
from docutils.parsers.rst import Directive

import tinyvae
from tinyvae.cli import main

project, author = "tinyvae", "The tinyvae developers"
copyright = "The tinyvae developers, MIT licence"
version = release = tinyvae.__version__

extensions = [
    "myst_nb",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "sphinx.ext.viewcode",
    "sphinx-mathjax-offline",
]
root_doc = "tutorials/site/index"
include_patterns = [
    "*.md",
    "benchmarks/**.md",
    "tutorials/*.md",
    "tutorials/*.ipynb",
    "tutorials/site/**.md",
]
exclude_patterns = [".*", "build", "dist", "runs"]  # folders that are not walked through
html_show_search_summary = False  # it fetches pages, which a browser refuses to pages on the disk

# Markdown as the repository's pages are written, and notebooks as they are stored.
nb_execution_mode = "off"
nb_merge_streams = True
nb_render_markdown_format = "myst"
myst_enable_extensions = ["dollarmath", "amsmath"]
myst_fence_as_directive = ["math"]
myst_heading_anchors = 4
myst_url_schemes = {
    "http": None,
    "https": None,
    "mailto": None,
    "page": "{{path}}#{{fragment}}",  # a page that the build writes
}

# Docstrings in NumPy's style: `name` is a link where there is such a name, and else code.
default_role = "py:obj"
nitpicky = True
nitpick_ignore_regex = [("py:obj", r"(?!tinyvae\.).*")]
autodoc_typehints = "none"
autodoc_member_order = "bysource"
autosummary_generate = False
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False

html_theme = "furo"
html_title = "tinyvae"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_extra_path = ["extra"]
html_copy_source = False


def colours(look: dict[str, str]) -> dict[str, str]:
    """Return the theme's colours from those of the pages for the browser."""
    names = {
        "paper": ["background-primary"],
        "raised": ["background-secondary", "code-background", "api-background"],
        "rule": ["background-border", "table-border"],
        "accent-pale": ["background-hover", "highlight-on-target"],
        "ink": ["foreground-primary", "sidebar-link-text--top-level", "sidebar-brand-text"],
        "muted": [
            "foreground-secondary",
            "foreground-muted",
            "sidebar-caption-text",
            "api-pre-name",
        ],
        "accent": ["brand-primary", "brand-content", "brand-visited", "api-name"],
    }
    return {f"color-{name}": look[of] for of, those in names.items() for name in those}


look = (Path(tinyvae.__file__).parent / "explore" / "look.css").read_text(encoding="utf-8")
light, dark = (
    dict(re.findall(r"--([\w-]+): (#\w+);", part)) for part in look.split('[data-theme="dark"]')
)
html_theme_options = {
    "navigation_with_keys": True,
    "top_of_page_buttons": [],
    "light_css_variables": colours(light),
    "dark_css_variables": colours(dark),
}


class CommandHelp(Directive):
    """`.. command-help:: train`: what `tinyvae train --help` prints."""

    optional_arguments = 1

    def run(self) -> list[nodes.Node]:
        printed, environment = io.StringIO(), {"COLUMNS": "88", "NO_COLOR": "1"}
        with mock.patch.dict(os.environ, environment), contextlib.redirect_stdout(printed):
            with contextlib.suppress(SystemExit):
                main.main([*self.arguments, "--help"])
        if "usage:" not in printed.getvalue():
            raise self.error(f"tinyvae {self.arguments} printed no usage")
        return [nodes.literal_block(text=printed.getvalue(), language="text")]


def to_built_pages(app, docname, source) -> None:
    """Let links to the playground point at the page that the build writes, and fold what notebooks
    fold."""
    source[0] = source[0].replace("](playground.html", "](page:playground.html")
    if app.env.doc2path(docname).suffix == ".ipynb":
        for tag, folded in (("covered", "hide-output"), ("drawing", "hide-input")):
            source[0] = source[0].replace(f'"{tag}"', f'"{tag}", "{folded}"')


def show_formulas(app, what, name, thing, options, lines) -> None:
    """Let what a docstring indents before its sections, formulas and code, stand as it is."""
    for i in range(len(lines) - 1, 1, -1):
        if lines[i].startswith("    ") and not lines[i - 1].strip() and lines[i - 2][:1].strip():
            if not any(set(line) == {"-"} for line in lines[:i]):
                lines[i - 1 : i] = ["", "::", ""]


def finish(app, error) -> None:
    """Write the playground beside the notebooks that link it, and leave out viewcode's links back
    from the source, which miss names that a package hands on."""
    if error is None and app.builder.format == "html":
        main.main(["playground", "--out", str(app.outdir / "tutorials" / "playground.html")])
        for page in (app.outdir / "_modules").rglob("*.html"):
            text = page.read_text(encoding="utf-8")
            text = re.sub(r'<a class="viewcode-back"[^>]*>.*?</a>', "", text)
            page.write_text(text, encoding="utf-8")


def setup(app) -> None:
    app.add_directive("command-help", CommandHelp)
    app.connect("source-read", to_built_pages)
    app.connect("autodoc-process-docstring", show_formulas, priority=400)  # before numpydoc
    app.connect("build-finished", finish)
