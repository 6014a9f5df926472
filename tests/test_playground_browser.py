"""The playground in a real browser: it trains, knobs act, verdicts are true, and it stops well.

Every page is checked for console errors, page errors and network requests.
"""

import dataclasses
import re

import numpy as np
import pytest
from pages import EVIL, browser, javascript, numbers, sync_api, text, window

from tinyvae import VAE, load, load_dataset, playground
from tinyvae.core.latent import kl
from tinyvae.data.dataset import Dataset
from tinyvae.data.scaling import Scaling
from tinyvae.explore.payload import describe_model

fixtures = (browser, javascript, window)


@pytest.fixture
def show(window, tmp_path):
    """A function that opens a page; at the end there was no error and nothing was requested."""
    problems, pages, path = [], [], tmp_path / "playground.html"

    def on_console(message):
        problems.append(message.text)

    def on_error(error):
        problems.append(str(error))

    def on_request(request):
        if not request.url.startswith((path.as_uri(), "data:", "blob:")):
            problems.append(f"requested {request.url}")

    listeners = {"console": on_console, "pageerror": on_error, "request": on_request}

    def show(html, width=1280, height=800, hash="", **options):
        playground.write(path, html)
        page = window(viewport={"width": width, "height": height}, **options)
        if page not in pages:
            pages.append(page)
            for event, listener in listeners.items():
                page.on(event, listener)
        page.goto("about:blank")
        page.goto(path.as_uri() + hash)
        wait(page, "Boolean(window.tinyvae?.app.frame)")
        return page

    yield show
    for page in pages:
        page.goto("about:blank")
        for event, listener in listeners.items():
            page.remove_listener(event, listener)
    assert problems == []


def wait(page, condition):
    """Wait until it holds; the page's policy allows no eval, and so no `wait_for_function`."""
    assert page.evaluate(f"""new Promise((resolve, reject) => {{
      const start = performance.now();
      const look = () => {{
        if ({condition}) resolve(true);
        else if (performance.now() - start > 25000) reject(new Error("not within 25 s"));
        else setTimeout(look, 10);
      }};
      look();
    }})""")


def images(side=8, n=300, **changes):
    """Blobs at random places, with two labels."""
    rng = np.random.default_rng(0)
    place = rng.uniform(1, side - 1, (n, 2, 1))
    grid = np.arange(side) + 0.5
    row, column = np.exp(-0.5 * ((grid - place) / 0.9) ** 2).swapaxes(0, 1)
    x = np.einsum("nh,nw->nhw", row, column).reshape(n, -1).astype(np.float32)
    y = (place[:, 0, 0] > side / 2).astype(int)
    dataset = Dataset("blobs", x[50:], x[:50], y[50:], y[:50], (side, side), ("a", "b"))
    return dataclasses.replace(dataset, **changes)


def in_16_greys(x):
    """Images as the page stores them."""
    return (np.rint(15 * x) / 15).astype(np.float32)


@pytest.fixture(scope="module")
def blobs():
    return playground.build(images())


@pytest.fixture(scope="module")
def digits():
    return playground.build(load_dataset("digits"))


SPREAD = "tinyvae.rms(tinyvae.codes)"


# ---- it trains ----


def test_it_begins_by_itself_and_learns(show, digits):
    page = show(digits)
    wait(page, "tinyvae.steps > 150")
    assert page.evaluate("tinyvae.running")
    terms = page.evaluate("tinyvae.terms")
    assert terms["loss"] == pytest.approx(terms["reconstruction"] + terms["kl"])
    assert 480 < terms["reconstruction"] < 512 and 2 < terms["kl"] < 6
    assert page.evaluate("tinyvae.epoch") == pytest.approx(
        page.evaluate("tinyvae.steps") * 64 / 4500, abs=0.2
    )
    said = page.locator("#comment")
    sync_api.expect(said).to_contain_text(re.compile("It learns as you watch|A balance"))
    before = page.evaluate("document.getElementById('ground').toDataURL()")
    wait(page, "tinyvae.steps > 200")
    assert page.evaluate("document.getElementById('ground').toDataURL()") != before


def test_a_term_pulled_away_bursts_the_plane_or_collapses_it(show, digits):
    page = show(digits, hash="#hidden=32")
    wait(page, "tinyvae.steps > 100")
    page.get_by_label("reconstruction alone").check()
    wait(page, f"{SPREAD} > 2")
    sync_api.expect(page.locator("#comment")).to_contain_text("nothing holds the codes together")
    page.get_by_label("KL alone").check()
    wait(page, f"{SPREAD} < 0.1 && tinyvae.terms.kl < 0.1")
    sync_api.expect(page.locator("#comment")).to_contain_text("all codes lie at the origin")


def test_play_pause_step_and_keys(show, blobs):
    page = show(blobs, reduced_motion="reduce")
    wait(page, "tinyvae.steps === 500")
    page.keyboard.press("s")
    wait(page, "tinyvae.steps === 501")
    page.keyboard.press("2")
    assert page.evaluate("tinyvae.knobs.trains") == "reconstruction"
    page.keyboard.press(" ")
    wait(page, "tinyvae.running && tinyvae.steps > 510")
    page.locator("#play").click()
    assert not page.evaluate("tinyvae.running")
    page.keyboard.press("r")
    wait(page, "tinyvae.steps === 0")


def test_the_same_seed_gives_the_same_training(show, blobs):
    seen = []
    for _ in range(2):
        page = show(blobs, reduced_motion="reduce")
        wait(page, "tinyvae.steps === 500")
        assert not page.evaluate("tinyvae.running")
        seen.append(page.evaluate("[tinyvae.terms, [...tinyvae.codes]]"))
    assert seen[0] == seen[1]


def test_knobs_act_on_the_running_model_and_widths_begin_anew(show, blobs):
    page = show(blobs)
    wait(page, "tinyvae.steps > 50")
    page.evaluate("tinyvae.set({ beta: 100, nonsense: 1, sigma: 'wide', latent: 2.5 })")
    assert page.evaluate("[tinyvae.knobs.beta, tinyvae.knobs.latent]") == [100, 2]
    assert "nonsense" not in page.evaluate("tinyvae.knobs")
    wait(page, "tinyvae.app.frame.knobs.beta === 100 && tinyvae.terms.kl < 0.2")
    assert page.evaluate("tinyvae.steps") > 50
    page.evaluate("tinyvae.set({ latent: 5, beta: 1 })")
    wait(page, "tinyvae.app.frame.L === 5")
    assert page.locator("#use > div").count() == 5
    page.evaluate("tinyvae.set({ latent: 1 })")
    wait(page, "tinyvae.app.frame.L === 1 && tinyvae.steps > 20")


def test_an_address_brings_its_state_and_a_story_its_knobs(show, blobs):
    page = show(blobs, hash="#beta=4&trains=kl&noise=false&error=%3Cimg%3E&hidden=32")
    knobs = page.evaluate("tinyvae.knobs")
    assert (knobs["beta"], knobs["trains"], knobs["noise"]) == (4, "kl", False)
    assert (knobs["error"], knobs["hidden"]) == (None, 32)
    page.locator("[data-story=collapse]").first.click()
    wait(page, "tinyvae.knobs.beta === 20")
    assert page.evaluate("tinyvae.knobs.trains") == "both"
    assert page.url.endswith("#story=collapse")


def test_one_can_look_back_in_time(show, blobs):
    page = show(blobs)
    wait(page, "tinyvae.app.past.length > 5")
    page.locator("#time").fill("1")
    sync_api.expect(page.locator("#moment")).to_contain_text("epoch")
    assert page.evaluate("tinyvae.app.view.steps < tinyvae.app.frame.steps")
    page.locator("#time").focus()
    page.keyboard.press("End")
    sync_api.expect(page.locator("#moment")).to_have_text("now")


# ---- planted errors ----

FINDERS = {
    "sigma": "Sampler", "fresh-noise": "Gradient check", "pixel-mean": "Sum",
    "kl-sign": "KL", "kl-half": "KL", "log-sigma": "KL",
}  # fmt: skip


def test_each_error_fails_the_one_test_that_finds_it(show, blobs):
    page = show(blobs, reduced_motion="reduce")
    wait(page, "tinyvae.steps === 500")
    for error in (None, *FINDERS):
        page.evaluate("(error) => tinyvae.set({ error })", error)
        page.locator("#check").click()
        sync_api.expect(page.locator("#witnesses li")).to_have_count(4, timeout=20000)
        failed = page.locator("#witnesses li.wrong b").all_inner_texts()
        assert failed == ([] if error is None else [f"✗ {FINDERS[error]}"])
        assert page.locator("#ticks span").count() == 20
        assert (page.locator("#ticks .wrong").count() > 0) == (error == "fresh-noise")
        assert page.locator("#lines code.wrong").count() == (error is not None)


def test_the_right_run_goes_on_beneath_an_error_and_the_verdict_is_true(show, digits):
    page = show(digits, hash="#hidden=32")
    wait(page, "tinyvae.steps > 100")
    page.locator("#error").select_option("sigma")
    wait(page, "tinyvae.app.frame.planted > 150")
    wrong, right = page.evaluate("[tinyvae.terms, tinyvae.app.frame.ghost.terms]")
    assert abs(wrong["reconstruction"] - right["reconstruction"]) < 6
    assert wrong["kl"] < 0.85 * right["kl"]
    sync_api.expect(page.locator("#comment")).to_contain_text("You would notice nothing")
    page.locator("#error").select_option("pixel-mean")
    wait(page, f"{SPREAD} < 0.1")
    assert page.evaluate("tinyvae.terms.loss") < 2
    sync_api.expect(page.locator("#comment")).to_contain_text("Collapse")


def test_which_error_is_it_keeps_its_secret_until_it_is_named(show, blobs):
    page = show(blobs)
    page.locator("#guess").click()
    error = page.evaluate("tinyvae.knobs.error")
    assert error in FINDERS and page.locator("#error").input_value() == "?"
    assert page.locator("#lines").inner_text() == ""
    other = next(name for name in FINDERS if name != error)
    page.locator("#error").select_option(other)
    sync_api.expect(page.locator("#comment")).to_contain_text("No, that is not it")
    page.locator("#error").select_option(error)
    sync_api.expect(page.locator("#lines code.wrong")).to_have_count(1)


PLANTED = """([description, error, theta, x, eps, other]) => {
  const { VAE, numbersFor } = model_js;
  const B = numbers(x).length / description.n_features;
  const kernels = make("plain64", numbersFor(description, B));
  const model = new VAE(description, kernels, B, numbers(theta));
  model.latent = errors_js.planted(error, () => numbers(other));
  model.reconstruction_weight = errors_js.pixelFactor(error, description.n_features);
  model.x.set(numbers(x));
  const { loss } = model.forward(B, numbers(eps));
  model.backward();
  return { loss, grad: text(model.parameters.grad) };
}"""


@pytest.mark.parametrize("error", FINDERS)
def test_each_error_gives_what_the_same_error_gives_in_numpy(javascript, error):
    source = playground.page.read("errors.js", "playground")
    javascript.add_script_tag(content=playground.page.script({"errors": source}).replace(
        "const errors_js", "globalThis.errors_js", 1
    ))  # fmt: skip
    rng = np.random.default_rng(5)
    B, L, D = 7, 3, 20
    model = VAE(D, L, hidden=(9,), output="sigmoid", sigma=0.6, dtype="float64")
    x, eps, other = rng.random((B, D)), *rng.standard_normal((2, B, L))
    h = model.encoder.forward(x)
    mu, logvar = h[:, :L], h[:, L:]
    exponent = 1.0 if error == "sigma" else 0.5
    sigma = np.exp(exponent * logvar)
    weight = 1 / D if error == "pixel-mean" else 1.0
    nll = model.likelihood.forward(model.decoder.forward(mu + sigma * eps), x)
    factor = {"kl-sign": -1.0, "kl-half": 2.0}.get(error, 1.0)
    cost, dmu, dlogvar = factor * kl(mu, logvar), factor * mu, factor * 0.5 * (np.exp(logvar) - 1)
    if error == "log-sigma":
        cost = 0.5 * (mu**2 + np.exp(2 * logvar) - 1 - 2 * logvar)
        dlogvar = np.exp(2 * logvar) - 1
    dz = model.decoder.backward(model.likelihood.backward(weight / B))
    noise = other if error == "fresh-noise" else eps
    dh = np.hstack([dz + dmu / B, dz * exponent * sigma * noise + dlogvar / B])
    model.encoder.backward(dh, need_dx=False)
    arrays = [text(array) for array in (model.parameters.theta, x, eps, other)]
    there = javascript.evaluate(PLANTED, [describe_model(model), error, *arrays])
    assert there["loss"] == pytest.approx(weight * nll.mean() + cost.sum() / B, rel=1e-12)
    np.testing.assert_allclose(numbers(there["grad"]), model.parameters.grad, rtol=0, atol=1e-12)


# ---- what goes wrong is said ----


def test_an_extreme_knob_ends_in_a_stop_with_a_reason_and_a_way_back(show, blobs):
    page = show(blobs)
    wait(page, "tinyvae.steps > 100")
    page.evaluate("tinyvae.set({ error: 'kl-sign', lr: 0.5 })")
    wait(page, "!tinyvae.running")
    sync_api.expect(page.locator("#why")).to_contain_text("Stopped after")
    assert page.evaluate("tinyvae.codes.every(Number.isFinite)")
    page.locator("#back").click()
    wait(page, "tinyvae.running && tinyvae.terms.loss < 40 && tinyvae.terms.kl > 0")
    page.evaluate("tinyvae.set({ lr: 1000 })")
    wait(page, "!tinyvae.running")
    assert page.evaluate("tinyvae.codes.every(Number.isFinite)")
    assert "learning rate of 1000 is too large" in page.locator("#why").inner_text()
    page.locator("#back").click()
    wait(page, "tinyvae.running && tinyvae.terms.loss < 60")
    assert page.evaluate("tinyvae.knobs.error") is None
    assert not page.locator("#stopped").is_visible()


def test_without_simd_plain_javascript_trains_and_the_page_says_so(show, blobs):
    start = blobs.index('id="kernels">') + len('id="kernels">')
    page = show(blobs[:start] + blobs[blobs.index("<", start) :])
    wait(page, "tinyvae.steps > 30")
    assert "no WebAssembly SIMD" in page.locator("#comment").inner_text()


def test_names_are_shown_as_text_and_never_run(show):
    data = images(label_names=(EVIL, "b"), name=EVIL)
    page = show(playground.build([data, images()], title=EVIL))
    assert page.evaluate("window.hacked") is None
    assert page.locator("h1").inner_text() == EVIL == page.title()
    assert EVIL in page.locator("#legend").inner_text()


@pytest.mark.parametrize("kind", ["table", "colour", "unlabelled"])
def test_other_data_train_too(show, kind):
    rng = np.random.default_rng(1)
    if kind == "table":
        x = rng.standard_normal((80, 5)).astype(np.float32)
        data = Dataset("table", x[:60], x[60:], scaling=Scaling("none", low=-3.0, high=3.0),
                       feature_names=(EVIL,) * 5)  # fmt: skip
    elif kind == "colour":
        x = rng.random((60, 75), dtype=np.float32)
        data = Dataset("photos", x[:50], x[50:], image_shape=(5, 5, 3))
    else:
        data = images(n=70, y_train=None, y_test=None, label_names=None)
    page = show(playground.build(data))
    wait(page, "tinyvae.steps > 30")
    assert page.locator("#pad").is_visible() == (kind != "table")
    assert page.evaluate("Number.isFinite(tinyvae.terms.loss)")


# ---- taken along, and other screens ----


def test_the_weights_are_read_by_tinyvae(show, blobs):
    page = show(blobs, reduced_motion="reduce")
    wait(page, "tinyvae.steps === 500")
    with page.expect_download() as download:
        page.locator("#save").click()
    model = load(download.value.path().rename(download.value.path().with_suffix(".npz")))
    mu, _ = model.encode(in_16_greys(images().x_test))
    there = np.reshape(page.evaluate("[...tinyvae.codes]"), (-1, 2))
    np.testing.assert_allclose(there, mu, atol=1e-4)


def test_a_run_goes_on_from_its_weights(show):
    model = VAE(64, 3, hidden=(12, 6), output="sigmoid", sigma=0.5, likelihood="gaussian")
    page = show(playground.build(images(), model=model), reduced_motion="reduce")
    wait(page, "tinyvae.steps === 500")
    page.evaluate("tinyvae.restart()")
    wait(page, "tinyvae.steps === 0 && tinyvae.app.frame.L === 3")
    mu, _ = model.encode(in_16_greys(images().x_test))
    there = np.reshape(page.evaluate("[...tinyvae.codes]"), (-1, 3))
    np.testing.assert_allclose(there, mu, atol=1e-5)
    assert page.evaluate("tinyvae.knobs.sigma") == 0.5
    page.evaluate("tinyvae.set({ latent: 2, hidden: 32 })")  # a new model, of other widths
    wait(page, "tinyvae.app.frame.L === 2")


def test_a_picked_row_and_a_drawing_pass_through_the_machine(show, blobs):
    page = show(blobs, reduced_motion="reduce")
    wait(page, "tinyvae.steps === 500")
    before = page.locator("#flow .mu output").inner_text()
    page.locator("#seen button").nth(3).click()
    wait(page, f"document.querySelector('#flow .mu output').textContent !== {before!r}")
    assert page.locator("#seen button").nth(3).get_attribute("aria-pressed") == "true"
    box = page.locator("#pad").bounding_box()
    page.mouse.move(box["x"] + 20, box["y"] + 20)
    page.mouse.down()
    page.mouse.move(box["x"] + 60, box["y"] + 60)
    page.mouse.up()
    wait(page, "tinyvae.app.picked.index === null")
    assert page.locator("#seen [aria-pressed=true]").count() == 0


def test_hovering_decodes(show, blobs):
    page = show(blobs, reduced_motion="reduce")
    wait(page, "tinyvae.steps === 500")
    box = page.locator("#ground").bounding_box()
    page.mouse.move(box["x"] + 100, box["y"] + 100)
    sync_api.expect(page.locator("#lens")).to_be_visible()
    page.mouse.move(2, 2)
    sync_api.expect(page.locator("#lens")).not_to_be_visible()


@pytest.mark.parametrize("width", [320, 390, 800, 1280])
def test_no_horizontal_scroll(show, blobs, width):
    page = show(blobs, width, 800, has_touch=width < 500)
    wait(page, "tinyvae.steps > 10")
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_on_a_phone_the_plane_stays_in_sight_and_tabs_change_the_panel(show, blobs):
    page = show(blobs, 390, 844, has_touch=True)
    page.get_by_role("tab", name="Knobs").tap()
    assert page.locator("#beta").is_visible() and not page.locator("#seen").is_visible()
    page.locator("#error").scroll_into_view_if_needed()
    box = page.locator("#ground").bounding_box()
    assert box["y"] >= 0 and box["y"] + box["height"] < 844


def test_every_control_has_a_name(show, blobs):
    page = show(blobs)
    nameless = page.evaluate(
        """() => [...document.querySelectorAll("button, input, select, canvas:not([aria-hidden])")]
          .filter((e) => !e.closest("button, [aria-hidden]")?.textContent && !e.labels?.length
            && !e.textContent.trim() && !e.getAttribute("aria-label")
            && !e.parentElement.getAttribute("aria-label") && !e.closest("[hidden]"))
          .map((e) => e.outerHTML)"""
    )
    assert nameless == []
