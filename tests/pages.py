"""What the tests of the two pages share: a Chromium, and an empty page with the JavaScript model.

Needs Chromium (Debian's `chromium`) and the Python package `playwright`; skipped where one lacks.
"""

import base64
import shutil
from importlib import resources

import numpy as np
import pytest

from tinyvae.explore import assemble

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "chrome"))), None)
if CHROMIUM is None:
    pytest.skip("no Chromium here: apt-get install chromium", allow_module_level=True)
sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

# In the browser: numbers out of base64 text, and kernels by name.
HELPERS = """
const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
const numbers = (text) => new Float64Array(bytes(text).buffer);
const text = (array) => {
  const there = new Uint8Array(Float64Array.from(array).buffer), parts = [];
  for (let i = 0; i < there.length; i += 8192) {
    parts.push(String.fromCharCode(...there.subarray(i, i + 8192)));
  }
  return btoa(parts.join(""));
};
const make = (kind, capacity) => kind === "wasm"
  ? new kernels_js.WasmKernels(bytes(WASM), capacity)
  : new kernels_js.PlainKernels(kind === "plain64" ? Float64Array : Float32Array);
"""
# A name that would be markup, or a script, where it is not escaped.
EVIL = """</script><script>window.hacked = 1</script>"'><img src=x onerror="window.hacked = 1">"""
KERNELS = {"wasm": 1e-6, "plain32": 1e-6, "plain64": 1e-12}  # the tolerance beside float64 NumPy


def text(array):
    """An array's float64 numbers as base64 text; JSON would take longer."""
    return assemble.to_base64(np.asarray(array, dtype=np.float64))


def numbers(text):
    """Return what JavaScript's `text` or the function above wrote."""
    return np.frombuffer(base64.b64decode(text), dtype=np.float64)


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        with playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox"]
        ) as chromium:
            yield chromium


@pytest.fixture(scope="module")
def window(browser):
    """A function that gives the one page of each size and kind of screen."""
    windows = {}

    def window(**options):
        key = str(options)
        if key not in windows:
            windows[key] = browser.new_context(**options).new_page()
        return windows[key]

    return window


@pytest.fixture(scope="module")
def javascript(browser):
    """An empty page in which the modules of the model are `layers_js`, `model_js` and so on."""
    files = resources.files("tinyvae.explore")
    modules = {name: (files / f"{name}.js").read_text("utf-8") for name in assemble.MODEL}
    wasm = base64.b64encode((files / "kernels.wasm").read_bytes()).decode()
    page = browser.new_page()
    page.add_script_tag(content=f'{assemble.script(modules)}const WASM = "{wasm}";{HELPERS}')
    yield page
    page.close()
