"""The explorer's page in a real browser: it computes what Python computes, and does what it says.

Needs Chromium (Debian's `chromium`) and the Python package `playwright`; skipped where one lacks.
One browser serves all tests. Every page is checked for console errors and network requests.
"""

import dataclasses
import itertools
import re

import numpy as np
import pytest
from pages import EVIL, browser, sync_api, window

from tinyvae import VAE, Adam, Autoencoder, load_dataset
from tinyvae import explore as explorer
from tinyvae.core.latent import kl
from tinyvae.data.dataset import Dataset
from tinyvae.data.scaling import Scaling
from tinyvae.data.variables import Variable

fixtures = (browser, window)
DIGITS = tuple("0123456789")


@pytest.fixture
def show(window, tmp_path):
    """A function that opens a page; at the end there was no error and nothing was requested."""
    problems, pages, path = [], [], tmp_path / "explorer.html"

    def on_console(message):
        problems.append(message.text)

    def on_error(error):
        problems.append(str(error))

    def on_request(request):
        if request.url != path.as_uri() and not request.url.startswith("data:"):
            problems.append(f"requested {request.url}")

    listeners = {"console": on_console, "pageerror": on_error, "request": on_request}

    def show(html, width=1280, height=800, **options):
        explorer.write(path, html)
        page = window(viewport={"width": width, "height": height}, **options)
        if page not in pages:
            pages.append(page)
            for event, listener in listeners.items():
                page.on(event, listener)
        page.mouse.move(0, 0)
        page.goto(path.as_uri())
        return page

    yield show
    for page in pages:
        for event, listener in listeners.items():
            page.remove_listener(event, listener)
    assert problems == []


def settle(page):
    """Wait until the views have followed the last change."""
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def pixels(page, element):
    return page.evaluate("(id) => document.getElementById(id).toDataURL()", element)


def images(n_features=784, n=60):
    """Images in [0, 1] with ten labels."""
    rng = np.random.default_rng(0)
    x = (rng.random((n, n_features)) * (rng.random((n, n_features)) < 0.3)).astype(np.float32)
    y = np.arange(n) % 10
    side = int(n_features**0.5)
    return Dataset("images", x, x, y, y, (side, side), DIGITS)


def table(n_features=6, n=40, **changes):
    """Rows of standardised values with two labels."""
    rng = np.random.default_rng(1)
    raw = rng.standard_normal((n, n_features)) * 5 + 100
    mean, std = raw.mean(axis=0), raw.std(axis=0)
    scaling = Scaling("standardize", mean=mean, std=std, low=raw.min(), high=raw.max())
    x, y = scaling.apply(raw), np.arange(n) % 2
    given = {"feature_names": tuple(f"feature {d}" for d in range(n_features))} | changes
    return Dataset("table", x, x, y, y, label_names=("a", "b"), scaling=scaling, **given)


@pytest.fixture(scope="module")
def untrained():
    """The page of a model with random weights, 784-32-2: enough to see that things move."""
    return explorer.build(VAE(784, 2, hidden=(32,), output="sigmoid", sigma=0.7), images())


@pytest.fixture(scope="module")
def trained():
    """A VAE that has seen the bundled digits for a few epochs, and their data set."""
    digits, model = load_dataset("digits"), VAE(784, 8, hidden=(64,), likelihood="bernoulli")
    optimizer, rng = Adam(model.parameters, lr=3e-3), np.random.default_rng(0)
    for _ in range(6):
        for batch in rng.permutation(len(digits.x_train)).reshape(-1, 100):
            model.forward(digits.x_train[batch])
            model.backward()
            optimizer.step()
    return model, digits


# ---- the same numbers as Python -----------------------------------------------------------------

LIKELIHOODS = {
    "gaussian": {"likelihood": "gaussian", "output": "identity", "sigma": 0.6},
    "gaussian, sigmoid output": {"likelihood": "gaussian", "output": "sigmoid", "sigma": 1.7},
    "gaussian, sigma of each feature": {"sigma": "per-feature"},
    "bernoulli": {"likelihood": "bernoulli"},
}
COMPUTE = """([x, z]) => {
  const model = tinyvae.model;
  const codes = x.map((row) => model.encode(Float64Array.from(row)));
  const points = z.map((point) => Float64Array.from(point));
  return {
    mu: codes.map(([mu]) => [...mu]),
    logvar: codes.map(([, logvar]) => [...logvar]),
    x_hat: points.map((point) => [...model.decode(point)]),
    nll: points.map((point, k) => model.nll(point, x[k])),
  };
}"""


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
@pytest.mark.parametrize("activation", ["relu", "tanh", "sigmoid", "softplus"])
def test_encoder_and_decoder_agree_with_python(show, activation, likelihood):
    rng = np.random.default_rng(2)
    x, z = rng.random((5, 36)), rng.standard_normal((5, 3)) * 2
    model = VAE(36, 3, hidden=(24, 16), activation=activation, **LIKELIHOODS[likelihood])
    model.parameters.theta += 0.05 * rng.standard_normal(len(model.parameters.theta))
    if "each feature" in likelihood:
        model.likelihood.sigma = rng.uniform(0.1, 2, 36)
    mu, logvar = model.encode(x)
    nll = model.likelihood.nll(model.decoder_output(z), model.as_batch(x))
    for precision, tolerance in (("float32", 1e-5), ("float16", 1e-2)):
        page = show(explorer.build(model, images(36), precision=precision))
        there = page.evaluate(COMPUTE, [x.tolist(), z.tolist()])
        np.testing.assert_allclose(there["mu"], mu, atol=tolerance, rtol=0)
        np.testing.assert_allclose(there["logvar"], logvar, atol=tolerance, rtol=0)
        np.testing.assert_allclose(there["x_hat"], model.decode(z), atol=tolerance, rtol=0)
        np.testing.assert_allclose(there["nll"], nll, rtol=tolerance)


@pytest.mark.parametrize(
    ("likelihood", "missing"),
    [
        *itertools.product(("mixed", "categorical"), (False, True, "mask")),
        *itertools.product(("gaussian", "bernoulli"), (True, "mask")),
    ],
)
def test_columns_of_a_table_agree_with_python(show, likelihood, missing):
    rng = np.random.default_rng(3)
    columns = [("gaussian", 2), ("categorical", 3), ("bernoulli", 2), ("gaussian", 1)]
    given = {"columns": columns} if likelihood == "mixed" else {"n_features": 8}
    model = VAE(
        **given, latent_dim=2, hidden=(6,), likelihood=likelihood, missing=missing,
        sigma="per-feature", activation="tanh",
    )  # fmt: skip
    model.parameters.theta += 0.5 * rng.standard_normal(len(model.parameters.theta))
    if likelihood in ("mixed", "gaussian"):
        model.likelihood.sigma = rng.uniform(0.3, 2, 8)
    categories = slice(2, 5) if likelihood == "mixed" else slice(0, 8)
    x = (rng.random((6, 8)) < 0.5).astype(float)
    if likelihood in ("mixed", "categorical"):
        width = categories.stop - categories.start
        x[:, categories] = np.eye(width)[rng.integers(0, width, 6)]
    if likelihood in ("mixed", "gaussian"):
        x[:, [0, 1, 7]] = rng.standard_normal((6, 3))
    if missing:
        x[2, categories] = x[3] = np.nan
        if likelihood != "categorical":
            x[0, 0] = x[1, 7] = np.nan
    z = rng.standard_normal((6, 2))
    data = Dataset(
        "table", x.astype("float32"), x.astype("float32"), scaling=Scaling(low=-9.0, high=9.0)
    )
    page = show(explorer.build(model, dataclasses.replace(data, missing=bool(missing))))
    there = page.evaluate(COMPUTE, [x.tolist(), z.tolist()])
    mu, logvar = model.encode(x)
    nll = model.likelihood.nll(model.decoder_output(z), model.as_batch(x))
    np.testing.assert_allclose(there["mu"], mu, atol=1e-5)
    np.testing.assert_allclose(there["logvar"], logvar, atol=1e-5)
    np.testing.assert_allclose(there["x_hat"], model.decode(z), atol=1e-5)
    np.testing.assert_allclose(there["nll"], nll, rtol=1e-5, atol=1e-6)


def test_categories_are_bars_in_per_cent_and_missing_cells_have_none(show):
    x = np.array([[1, 0, 0, np.nan], [0, 1, 0, -1], [0, 0, 1, 1]] * 5, "float32")
    kind = Variable("kind", "categorical", ("ant", "bee", "cow"))
    scaling = Scaling("standardize", mean=np.array([0, 0, 0, 50.0]), std=np.array([1, 1, 1, 20.0]))
    variables = (kind, Variable("size", low=30.0, high=70.0))
    names = tuple(name for v in variables for name in v.features)
    data = Dataset(
        "animals", x, x, scaling=scaling, feature_names=names, variables=variables, missing=True
    )
    columns = [("categorical", 3), ("gaussian", 1)]
    model = VAE(latent_dim=1, hidden=(), likelihood="mixed", columns=columns, missing=True)
    model.parameters["decoder.0.W"][...] = 0
    model.parameters["decoder.0.b"][...] = [np.log(5), np.log(3), np.log(2), 1]
    page = show(explorer.build(model, data))
    words = page.locator("#decoded").get_attribute("aria-label")
    assert words == "The decoded row: kind=ant 50 %, kind=bee 30 %, kind=cow 20 %, size 70.0"
    assert page.evaluate("tinyvae.pictures.ranges.slice(0, 3)") == [[0, 1]] * 3
    told = page.evaluate("tinyvae.pictures.words(tinyvae.examples[0].x)")
    assert told == "kind=ant 100 %, kind=bee 0 %, kind=cow 0 %, size missing"
    assert "missing cells take no part" in page.locator("body").inner_text()


def test_shown_numbers_are_those_of_python(show):
    model = VAE(784, 2, hidden=(32,), output="sigmoid", sigma=0.7)
    model.parameters["encoder.1.b"][...] = [0.5, -1.0, -2.0, 0.4]
    data = images()
    page = show(explorer.build(model, data))
    row, z = page.evaluate("[tinyvae.store.state.picked.index, [...tinyvae.store.state.z]]")
    z, x = np.array([z]), data.x_test[[row]]
    reconstruction = model.likelihood.nll(model.decoder_output(z), x)[0]
    cost = kl(*model.encode(x)).sum()
    shown = [
        float(page.locator(f"#{name}").inner_text().replace("−", "-"))
        for name in ("reconstruction", "kl", "elbo")
    ]
    np.testing.assert_allclose(shown, [reconstruction, cost, -reconstruction - cost], atol=0.06)


def test_samples_are_draws_of_the_posterior_at_the_chosen_scale(show, untrained):
    page = show(untrained)
    page.locator("#scale").fill("2")
    settle(page)
    mu, logvar, eps, z = page.evaluate(
        """() => {
          const { picked, eps, samples } = tinyvae.store.state;
          const rows = (vectors) => vectors.map((vector) => [...vector]);
          return [...rows([picked.mu, picked.logvar]), rows(eps), rows(samples)];
        }"""
    )
    sigma = np.exp(0.5 * np.array(logvar))
    np.testing.assert_allclose(z, np.array(mu) + 2 * sigma * np.array(eps), rtol=1e-6)
    assert page.locator("#samples canvas").count() == 8


# ---- drawing ------------------------------------------------------------------------------------


def stroke(page, points):
    """Draw a line through points, given as parts of the pad's side."""
    page.locator("#pad").scroll_into_view_if_needed()
    box = page.locator("#pad").bounding_box()
    corner, side = np.array([box["x"], box["y"]]), box["width"]
    first, *others = (corner + side * np.asarray(point) for point in points)
    page.mouse.move(*first)
    page.mouse.down()
    for point in others:
        page.mouse.move(*point)
    page.mouse.up()
    settle(page)


TURN = np.linspace(0, 2 * np.pi, 25)
DRAWINGS = {
    0: np.stack([0.3 + 0.13 * np.cos(TURN), 0.4 + 0.2 * np.sin(TURN)], axis=1),  # small, aside
    1: [(0.7, 0.15), (0.68, 0.5), (0.66, 0.9)],
    7: [(0.2, 0.2), (0.75, 0.2), (0.6, 0.5), (0.5, 0.85)],
}


def test_a_drawing_is_reconstructed_as_what_it_is(show, trained):
    model, digits = trained
    page = show(explorer.build(model, digits))
    means = np.stack([digits.x_train[digits.y_train == k].mean(axis=0) for k in range(10)])
    for digit, points in DRAWINGS.items():
        page.locator("#clear").click()
        stroke(page, points)
        x, x_hat = np.array(
            page.evaluate(
                """() => {
                  const { picked } = tinyvae.store.state;
                  return [[...picked.x], [...tinyvae.model.decode(picked.mu)]];
                }"""
            )
        )
        assert page.locator("#about-name").inner_text() == "your drawing"
        assert ((means - x_hat) ** 2).sum(axis=1).argmin() == digit
        # As MNIST does: the ink's centre of mass in the middle, the longer side 20 pixels.
        picture = x.reshape(28, 28)
        grid = np.arange(28) + 0.5
        assert abs(picture.sum(axis=0) @ grid / x.sum() - 14) < 0.3
        assert abs(picture.sum(axis=1) @ grid / x.sum() - 14) < 0.3
        rows, columns = ((picture > 0.2).any(axis=axis).sum() for axis in (1, 0))
        assert 18 <= max(rows, columns) <= 21


def test_a_finger_draws_and_moves_the_point(show, untrained):
    page = show(untrained, 400, 800, has_touch=True)
    page.locator("#pad").tap()
    page.locator("#marks").tap(position={"x": 300, "y": 60})
    settle(page)
    assert page.locator("#about-name").inner_text() in ("your drawing", *names_near(page))
    assert page.evaluate("tinyvae.store.state.z[0]") > 1


def names_near(page):
    """Names of the examples: a tap on a mark picks it."""
    return page.evaluate("tinyvae.examples.map(({ name }) => name)")


def test_without_centring_a_drawing_stays_where_it_was_drawn(show, untrained):
    page = show(untrained)
    page.locator("#centre").uncheck()
    stroke(page, [(0.1, 0.2), (0.1, 0.5)])
    assert not page.locator("#hint").is_visible()
    x = np.array(page.evaluate("[...tinyvae.store.state.picked.x]")).reshape(28, 28)
    assert x[4:16, 1:5].sum() == pytest.approx(x.sum())


# ---- the plane ----------------------------------------------------------------------------------


def at(page, right, up):
    """The place of a point of the plane on the screen, in parts of its half width."""
    box = page.locator("#marks").bounding_box()
    return (
        box["x"] + box["width"] * (1 + right) / 2,
        box["y"] + box["height"] * (1 - up) / 2,
    )


def state(page, name):
    return page.evaluate(f"[...tinyvae.store.state.{name}]")


def test_dragging_decodes_at_once_and_the_point_stays(show, untrained):
    page = show(untrained)
    page.mouse.move(*at(page, -0.5, 0.5))
    page.mouse.down()
    settle(page)
    before = pixels(page, "decoded"), page.locator("#reconstruction").inner_text()
    page.mouse.move(*at(page, 0.8, -0.9))
    settle(page)
    after = pixels(page, "decoded"), page.locator("#reconstruction").inner_text()
    assert before[0] != after[0] and before[1] != after[1]
    page.mouse.up()
    page.mouse.move(5, 5)
    radius = page.evaluate("tinyvae.plane.seen.radius")
    np.testing.assert_allclose(state(page, "z"), [0.8 * radius, -0.9 * radius], atol=0.02)


def test_a_mouse_over_the_plane_looks_and_leaves_no_trace(show, untrained):
    page = show(untrained)
    z, before = state(page, "z"), pixels(page, "decoded")
    page.mouse.move(*at(page, 0.7, 0.9))
    settle(page)
    assert pixels(page, "decoded") != before
    page.mouse.move(5, 5)
    settle(page)
    assert pixels(page, "decoded") == before and state(page, "z") == z


def test_a_click_on_a_mark_picks_its_example(show, trained):
    page = show(explorer.build(*trained, n_points=40))
    example = page.evaluate("tinyvae.examples.at(-1)")
    place = page.evaluate("tinyvae.plane.place(tinyvae.examples.at(-1))")
    page.locator("#marks").click(position=dict(zip("xy", place, strict=True)))
    settle(page)
    assert page.locator("#about-name").inner_text() == example["name"]
    np.testing.assert_allclose(state(page, "z"), example["mu"])


def test_keys_move_the_point_pick_and_go_back(show, untrained):
    page = show(untrained)
    page.locator("#marks").focus()
    page.keyboard.press("0")
    assert state(page, "z") == [0, 0]
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowUp")
    small, radius = state(page, "z"), page.evaluate("tinyvae.plane.seen.radius")
    np.testing.assert_allclose(small, [0.02 * radius] * 2)
    page.keyboard.press("Shift+ArrowLeft")
    np.testing.assert_allclose(state(page, "z"), [-0.08 * radius, 0.02 * radius])
    page.keyboard.press("Enter")
    assert state(page, "z") == state(page, "picked.mu")
    sync_api.expect(page.locator("#spoken")).to_contain_text("Nearest mark: label")


def test_legend_filters_plane_and_gallery(show, untrained):
    page = show(untrained)
    ground = pixels(page, "ground")
    for label in range(10):
        if label != 4:
            page.locator("#legend button").nth(label).click()
    settle(page)
    assert pixels(page, "ground") != ground
    assert page.locator("#legend [aria-pressed=true]").inner_text() == "4"
    numbers = [
        int(name.rpartition(" ")[2])
        for name in page.locator("#gallery button:visible").evaluate_all(
            "(buttons) => buttons.map((button) => button.getAttribute('aria-label'))"
        )
    ]
    assert numbers == [4, 14, 24, 34, 44, 54]
    page.get_by_role("button", name="all", exact=True).click()
    settle(page)
    assert pixels(page, "ground") == ground


def test_ellipses_and_map_can_be_switched(show, untrained):
    page = show(untrained)
    seen = [pixels(page, "ground")]
    for switch in ("#map", "#ellipses"):
        page.locator(switch).click()
        settle(page)
        seen.append(pixels(page, "ground"))
    assert len(set(seen)) == 3


# ---- dimensions, samples, walk, labels ----------------------------------------------------------


def test_sliders_stand_in_the_order_of_the_kl_and_move_the_point(show, trained):
    model, digits = trained
    page = show(explorer.build(model, digits, n_points=500))
    kl_per_dimension = kl(*model.encode(digits.x_test)).mean(axis=0)
    order = np.argsort(-kl_per_dimension)
    rows = page.locator("#sliders label")
    assert [rows.nth(k).get_attribute("title") for k in range(8)] == [f"z{j + 1}" for j in order]
    assert f"{kl_per_dimension[order[0]]:.2f} nats" in rows.nth(0).inner_text()
    before = pixels(page, "decoded")
    rows.nth(5).locator("input").focus()
    page.keyboard.press("End")
    settle(page)
    assert state(page, "z")[order[5]] >= 3.5
    assert pixels(page, "decoded") != before


def test_plane_shows_the_chosen_dimensions(show, trained):
    page = show(explorer.build(*trained, n_points=40))
    across, up = page.evaluate("tinyvae.store.state.dims")
    page.locator("#across").select_option(str(up))  # the other's: they change places
    assert page.evaluate("tinyvae.store.state.dims") == [up, across]
    page.get_by_role("button", name="none", exact=True).click()  # no mark to pick
    settle(page)
    page.mouse.move(*at(page, 0, 0))
    page.mouse.down()
    page.mouse.up()
    z = state(page, "z")
    assert abs(z[up]) < 0.02 and abs(z[across]) < 0.02


def test_prior_is_sampled_and_the_origin_found_again(show, untrained):
    page = show(untrained)
    press = """() => Array.from({ length: 4000 }, () => {
      document.getElementById("prior").click();
      return [...tinyvae.store.state.z];
    })"""
    points = np.array(page.evaluate(press))
    # Five standard errors, of a mean, a variance and a correlation of N(0, I).
    assert abs(points.mean(axis=0)).max() < 5 / 4000**0.5
    assert abs(points.var(axis=0) - 1).max() < 5 * (2 / 4000) ** 0.5
    assert abs(np.corrcoef(points.T)[0, 1]) < 5 / 4000**0.5
    page.locator("#origin").click()
    assert state(page, "z") == [0, 0]


def test_scale_0_is_an_autoencoder(show, untrained):
    page = show(untrained)
    page.locator("#scale").focus()
    page.keyboard.press("Home")
    settle(page)
    for number in ("#kl", "#kl-of-samples"):
        assert page.locator(number).inner_text() == "∞"
    assert page.locator("#elbo").inner_text() == "−∞"
    pictures = page.locator("#samples canvas").evaluate_all("(c) => c.map((x) => x.toDataURL())")
    assert set(pictures) == {pixels(page, "reconstructed")}


def test_walk_goes_from_one_code_to_the_other(show, untrained):
    page = show(untrained)
    page.locator("#gallery button").nth(3).click()
    page.locator("#set-to").click()
    settle(page)
    steps = page.locator("#strip button")
    steps.nth(4).click()
    settle(page)
    start, end = np.array(state(page, "from.mu")), np.array(state(page, "to.mu"))
    np.testing.assert_allclose(state(page, "z"), (start + end) / 2, rtol=1e-6)
    assert steps.nth(4).get_attribute("aria-pressed") == "true"
    page.locator("#step").focus()
    page.keyboard.press("End")
    settle(page)
    assert page.evaluate("tinyvae.store.state.to.name") == "test image 3"
    assert pixels(page, "decoded") == steps.nth(8).locator("canvas").evaluate("c => c.toDataURL()")


def test_conditional_model_decodes_the_chosen_label(show):
    model = VAE(784, 2, hidden=(16,), likelihood="bernoulli", n_classes=10)
    page = show(explorer.build(model, images()))
    page.locator("#origin").click()
    page.locator("#label").select_option("7")
    settle(page)
    shown = page.evaluate("[...tinyvae.model.decode([0, 0], tinyvae.store.state.label)]")
    expected = model.decode(np.zeros((1, 2)), labels=np.array([7]))[0]
    np.testing.assert_allclose(shown, expected, atol=1e-5)
    page.locator("#gallery button").nth(2).click()
    settle(page)
    assert page.locator("#label").input_value() == "2"


# ---- layers, zoom, addresses ---------------------------------------------------------------------


def test_an_elbo_is_shown_only_where_z_may_be_a_draw_of_q(show, untrained):
    page = show(untrained)
    assert page.locator("#elbo-name").inner_text() == "ELBO"
    page.evaluate("tinyvae.store.set({ z: Float64Array.of(40, 30) })")
    settle(page)
    assert page.locator("#elbo-name").inner_text() == "log p(z)"
    expected = -np.log(2 * np.pi) - 0.5 * (40**2 + 30**2)
    shown = float(page.locator("#elbo").inner_text().replace("−", "-"))
    assert shown == pytest.approx(expected, abs=0.06)
    assert "no ELBO: z is" in page.locator("#mean-elbo").inner_text()


def test_legend_theme_and_size_decode_no_map_again(show, untrained):
    page = show(untrained)
    page.evaluate(
        """() => {
          window.decoded = 0;
          const { model } = tinyvae, decode = model.decode;
          model.decode = function (z, label) {
            window.decoded += z.length > 40;
            return decode.call(model, z, label);
          };
        }"""
    )
    page.locator("#legend button").first.click()
    page.locator("#ellipses").check()
    settle(page)
    assert page.evaluate("window.decoded") == 0
    page.locator("#zoom-in").click()
    settle(page)
    assert page.evaluate("window.decoded") == 1


def test_with_more_dimensions_the_map_is_said_to_be_a_slice_and_far_marks_fade(show, trained):
    page = show(explorer.build(*trained, n_points=40))
    assert not page.locator("#caption").is_visible()
    page.locator("#map").check()
    settle(page)
    assert "slice through z, its 6 other dimensions" in page.locator("#caption").inner_text()
    near, far = page.evaluate(
        """() => {
          const { picked } = tinyvae.store.state;
          const mu = Float64Array.from(picked.mu, (value) => value + 30);
          return [tinyvae.plane.nearness(picked), tinyvae.plane.nearness({ mu })];
        }"""
    )
    assert near == pytest.approx(0.9) and far == pytest.approx(0.12)


@pytest.mark.parametrize("model", [VAE, Autoencoder])
def test_speed_of_change_is_the_change_of_the_decoded_image_in_a_small_step(show, model):
    model = model(784, 2, hidden=(16,), output="sigmoid")
    model.parameters["decoder.1.W"] *= 20
    page = show(explorer.build(model, images()))
    before = pixels(page, "ground")
    page.locator("#speed").check()
    settle(page)
    assert pixels(page, "ground") != before
    values, seen, spread = page.evaluate(
        "[[...tinyvae.plane.speeds().values], tinyvae.plane.seen, tinyvae.spread]"
    )
    corner = np.array(seen["centre"]) + seen["radius"] * (1 / 33 - 1) * np.array([1, -1])
    z = corner + 0.1 * np.array([[0, 0], [spread[0], 0], [0, spread[1]]])
    x_hat = model.decode(z)
    expected = ((x_hat[1:] - x_hat[0]) ** 2).sum() / 2
    assert values[0] == pytest.approx(float(expected), rel=2e-3)


def test_an_address_says_where_to_look_and_follows(show, trained, tmp_path):
    page = show(explorer.build(*trained, n_points=40))
    z = [0.5, -1, 0, 0, 0, 0, 0, 2]
    address = f"z={','.join(map(str, z))}&pick=7&dims=3,1&nonsense=%3Cb%3E"
    page.evaluate("(address) => (location.hash = address)", address)
    page.wait_for_timeout(50)
    settle(page)
    assert state(page, "z") == z and state(page, "dims") == [3, 1]
    assert page.evaluate("tinyvae.store.state.picked.index") == 7
    page.evaluate("(address) => (location.hash = address)", "z=1,NaN&dims=9,9&pick=-1")
    page.wait_for_timeout(50)
    assert state(page, "z") == z and state(page, "dims") == [3, 1]


def test_the_walk_begins_between_two_labels_far_apart(show, trained):
    page = show(explorer.build(*trained, n_points=200))
    first, last = page.evaluate("[tinyvae.store.state.from.label, tinyvae.store.state.to.label]")
    assert first != last


def test_a_finger_scrolls_the_page_where_it_does_not_hold_z(show, untrained):
    page = show(untrained, 400, 800, has_touch=True)
    assert (
        page.evaluate("getComputedStyle(document.getElementById('marks')).touchAction") == "pan-y"
    )
    dispatch = """(near) => {
      const marks = document.getElementById("marks"), box = marks.getBoundingClientRect();
      const [x, y] = near
        ? tinyvae.plane.toPixels(tinyvae.plane.project(tinyvae.store.state.z)) : [3, 3];
      const place = { clientX: box.x + x, clientY: box.y + y };
      const touch = new Touch({ identifier: 1, target: marks, ...place });
      const event = new TouchEvent("touchstart", { touches: [touch], cancelable: true });
      marks.dispatchEvent(event);
      return event.defaultPrevented;
    }"""
    page.evaluate("tinyvae.store.set({ z: Float64Array.of(0, 0) })")
    settle(page)
    assert page.evaluate(dispatch, True) and not page.evaluate(dispatch, False)


def test_on_a_phone_the_plane_stays_in_sight(show, untrained):
    page = show(untrained, 390, 844, has_touch=True)
    for below in ("#pad", "#scale", "#strip"):
        page.locator(below).scroll_into_view_if_needed()
        box = page.locator("#marks").bounding_box()
        assert box["y"] >= 0 and box["y"] + box["height"] <= 844


@pytest.mark.parametrize("kind", ["images", "rows"])
def test_no_horizontal_scroll_at_320_pixels(show, kind):
    html = {
        "images": lambda: explorer.build(VAE(784, 3, hidden=(16,)), images()),
        "rows": lambda: explorer.build(
            VAE(6, 2, hidden=(8,)), table(feature_names=("long " * 9,) * 6)
        ),
    }[kind]()
    page = show(html, 320, 800, has_touch=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= 320


def test_bars_have_a_scale_for_each_feature_and_small_numbers_two_digits(show):
    x = np.random.default_rng(0).random((40, 3), dtype=np.float32) * [1, 0.01, 2000]
    x = x.astype(np.float32)
    data = Dataset("wine", x, x, scaling=Scaling("none", low=0.0, high=2000.0))
    model = VAE(3, 2, hidden=(4,), sigma=1.0)
    model.parameters["encoder.1.W"][...] = 0
    model.parameters["encoder.1.b"][...] = [0.0, 0.0, -14.0, -14.0]
    page = show(explorer.build(model, data))
    ranges = page.evaluate("tinyvae.pictures.ranges")
    np.testing.assert_allclose(ranges, [[0, column.max()] for column in x.T], rtol=1e-6)
    assert "0.00091" in page.locator("#code").inner_text()


# ---- other models, other screens ----------------------------------------------------------------


def test_autoencoder_says_what_is_missing(show):
    page = show(explorer.build(Autoencoder(784, 2, hidden=(16,), output="sigmoid"), images()))
    assert "no prior, no sigma and no KL" in page.locator("body").inner_text()
    for missing in ("#prior", "#kl", "#elbo", "#scale", "#ellipses"):
        assert not page.locator(missing).is_visible()
    stroke(page, DRAWINGS[1])
    assert page.locator("#about-name").inner_text() == "your drawing"


@pytest.mark.parametrize(("n_features", "plot"), [(6, "bars"), (60, "line")])
def test_rows_are_plotted(show, n_features, plot):
    page = show(explorer.build(VAE(n_features, 3, hidden=(8,)), table(n_features)))
    assert page.evaluate("tinyvae.dataset.plot") == plot
    before = pixels(page, "decoded")
    page.mouse.move(*at(page, 0.9, 0.9))
    settle(page)
    assert pixels(page, "decoded") != before
    assert not page.locator("#pad").is_visible()


def test_bars_are_told_in_words_in_the_units_of_the_data(show):
    scaling = Scaling("standardize", mean=np.array([50.0, 3.0]), std=np.array([20.0, 0.5]))
    model, data = VAE(2, 1, hidden=()), dataclasses.replace(table(2), scaling=scaling)
    model.parameters["decoder.0.b"][...] = [1.0, -1.0]
    page = show(explorer.build(model, data))
    page.locator("#origin").click()
    settle(page)
    words = page.locator("#decoded").get_attribute("aria-label")
    assert words == "The decoded row: feature 0 70.0, feature 1 2.50"


def test_colour_images_and_unlabelled_data_are_shown(show):
    x = np.random.default_rng(0).random((20, 75), dtype=np.float32)
    page = show(
        explorer.build(VAE(75, 4, hidden=(8,)), Dataset("photos", x, x, image_shape=(5, 5, 3)))
    )
    red = page.evaluate("tinyvae.pictures.pixels(tinyvae.examples[0].x).data[0]")
    assert abs(red - 255 * x[0, 0]) <= 1
    stroke(page, [(0.5, 0.1), (0.5, 0.9)])
    grey = np.array(page.evaluate("[...tinyvae.store.state.picked.x]")).reshape(25, 3)
    assert grey.max() > 0.5 and (grey == grey[:, :1]).all()


def test_names_are_shown_as_text_and_never_run(show):
    data = dataclasses.replace(
        table(), label_names=(EVIL, "b"), feature_names=(EVIL,) * 6, name=EVIL
    )
    page = show(explorer.build(VAE(6, 2, hidden=(8,)), data, title=EVIL))
    assert page.evaluate("window.hacked") is None
    assert page.locator("#legend button").first.inner_text() == EVIL
    assert page.locator("h1").inner_text() == EVIL == page.title()


@pytest.mark.parametrize("kind", ["images", "rows"])
def test_no_horizontal_scroll_at_400_pixels(show, kind):
    if kind == "images":
        html = explorer.build(VAE(784, 12, hidden=(16,), n_classes=10), images())
    else:
        html = explorer.build(VAE(6, 3, hidden=(8,)), table(feature_names=("long name " * 9,) * 6))
    page = show(html, 400, 800)
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    rights = page.evaluate(
        "[...document.querySelectorAll('main *')].map((e) => e.getBoundingClientRect().right)"
    )
    assert max(rights) <= 400


def luminance(colour):
    """Relative luminance of a colour "rgb(r, g, b)" (WCAG 2)."""
    values = np.array([int(value) for value in re.findall(r"\d+", colour)[:3]]) / 255
    linear = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    return linear @ [0.2126, 0.7152, 0.0722]


def test_light_and_dark_follow_the_system_and_the_button(show, untrained):
    page = show(untrained, color_scheme="dark")
    read = "getComputedStyle(document.body).{}"
    paper, ink = (page.evaluate(read.format(name)) for name in ("backgroundColor", "color"))
    assert luminance(paper) < 0.02 < luminance(ink)
    plane = pixels(page, "ground")
    page.locator("#theme").click()
    settle(page)
    assert luminance(page.evaluate(read.format("backgroundColor"))) > 0.9
    assert pixels(page, "ground") != plane


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_and_label_colours_stand_out(show, untrained, scheme):
    page = show(untrained, color_scheme=scheme)
    paper, words, marks = page.evaluate(
        """() => {
          const color = (e) => getComputedStyle(e).color;
          const probe = document.body.appendChild(document.createElement("i"));
          const label = (_, k) => ((probe.style.color = `var(--label-${k})`), color(probe));
          const words = ["body", ".lede", ".mean", "#legend button"];
          return [getComputedStyle(document.body).backgroundColor,
            words.map((name) => color(document.querySelector(name))),
            Array.from({ length: 10 }, label)];
        }"""
    )
    for wanted, colours in ((4.5, words), (2.5, marks)):
        for colour in colours:
            dark, bright = sorted((luminance(colour), luminance(paper)))
            assert (bright + 0.05) / (dark + 0.05) >= wanted, colour


def test_nothing_jumps(show, untrained):
    page = show(untrained)
    page.evaluate(
        """() => {
          window.shift = 0;
          new PerformanceObserver((list) => {
            for (const entry of list.getEntries()) window.shift += entry.value;
          }).observe({ type: "layout-shift", buffered: true });
        }"""
    )
    for right, up in ((-0.9, 0.9), (0.9, -0.9), (0, 0)):
        page.mouse.move(*at(page, right, up))
        settle(page)
    page.evaluate("tinyvae.store.set({ scale: 0 })")
    stroke(page, DRAWINGS[0])
    assert page.evaluate("window.shift") < 0.01


def test_every_control_has_a_name(show, untrained):
    page = show(untrained)
    nameless = page.evaluate(
        """() => [...document.querySelectorAll("button, input, select, canvas:not([aria-hidden])")]
          .filter((e) => !e.closest("button, #legend")?.textContent && !e.closest("label")
            && !e.labels?.length && !e.textContent.trim() && !e.getAttribute("aria-label")
            && !e.parentElement.getAttribute("aria-label"))
          .map((e) => e.outerHTML)"""
    )
    assert nameless == []
