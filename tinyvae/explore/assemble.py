"""Join a page of one file: HTML, style, JavaScript modules, and arrays as text.

The JavaScript files are ordinary modules; here each becomes a function that runs at once and
returns what it exports, as a page opened from a disk may load no module.
"""

import base64
import hashlib
import html
import json
import os
import re
from collections.abc import Mapping
from importlib import resources
from typing import Any

import numpy as np

from tinyvae.train.files import write_text

# The one model in JavaScript, a file beside each of tinyvae/core, in the order of their needs.
MODEL = ("kernels", "layers", "latent", "likelihood", "columns", "model", "optim")
# Before the page is painted: dark or light, as the system is.
EARLY = """document.documentElement.dataset.theme =
  matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";"""


def script(modules: Mapping[str, str]) -> str:
    """Join modules, from names to sources, in this order into one text.

    Each becomes `const name_js = (() => { …; return { what it exports }; })();`. Comments
    and empty lines stay behind, and indents become tabs: a page should be small.
    """
    return '"use strict";\n' + "\n".join(map(_module, modules, modules.values()))


def _module(name: str, source: str) -> str:
    pattern = r"^export (?:async )?(?:const|class|function\*?) (\w+)"
    exports = re.findall(pattern, source, re.MULTILINE)
    source = re.sub(r"^\s*(?://|/\*\*|\*).*\n| +// .*$", "", source, flags=re.MULTILINE)
    source = re.sub(r"\n\n+", "\n", source)
    source = re.sub(r"^ +", lambda m: "\t" * (len(m[0]) // 2), source, flags=re.MULTILINE)
    source = re.sub(
        r'^import (?:\* as )?([^;]*?) from "\./(\w+)\.js";',
        r"const \1 = \2_js;",
        source,
        flags=re.MULTILINE,
    )
    source = re.sub(r"^export ", "", source, flags=re.MULTILINE)
    returned = f"return {{ {', '.join(exports)} }};\n"
    return f"// ---- {name}.js\nconst {name}_js = (() => {{\n{source}{returned}}})();\n"


def fill(template: str, parts: Mapping[str, str]) -> str:
    """Put the parts into the places {{name}} of a template; `script` may run, and no other.

    The content security policy allows the two scripts by their hashes, WebAssembly and workers of
    the page's own making: markup that came in with a name would be shown, and could not run.
    """
    digests = [hashlib.sha256(text.encode()).digest() for text in (EARLY, parts["script"])]
    allowed = " ".join(f"'sha256-{base64_of(digest)}'" for digest in digests)
    policy = (
        f"default-src 'none'; script-src {allowed} 'wasm-unsafe-eval'; style-src 'unsafe-inline';"
        " img-src data: blob:; worker-src blob:"
    )
    kernels = (resources.files("tinyvae.explore") / "kernels.wasm").read_bytes()
    parts = {"early": EARLY, "policy": policy, "kernels": base64_of(kernels), **parts}
    template = template.replace("{{head}}", read("head.html"))
    return re.sub(r"\{\{(\w+)\}\}", lambda place: parts[place[1]], template)


def read(name: str, folder: str = "explore") -> str:
    """Return a text file of one of the two pages' folders."""
    return (resources.files(f"tinyvae.{folder}") / name).read_text("utf-8")


def write(path: str | os.PathLike, html: str) -> None:
    """Write a page to `path`: whole, or not at all. Raises OSError in one line."""
    write_text(path, html)


def escaped(words: Mapping[str, str]) -> dict[str, str]:
    """Return texts that stand in HTML as they are."""
    return {name: html.escape(text) for name, text in words.items()}


def to_json(description: dict[str, Any]) -> str:
    """Return JSON in which no name can end the script element that holds it."""
    return json.dumps(description, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")


def to_base64(array: np.ndarray) -> str:
    """Return the array's numbers, little-endian, as base64 text."""
    return base64_of(array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes())


def base64_of(content: bytes) -> str:
    """Return bytes as base64 text."""
    return base64.b64encode(content).decode("ascii")
