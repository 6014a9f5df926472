"""What figures show: the right points, images and words, nothing clipped, no settings changed."""

import dataclasses
import io
import re
import warnings
from importlib import resources

import matplotlib
import numpy as np
import pytest
import strict
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from tinyvae import VAE, Autoencoder, figures
from tinyvae.cli import three_panels
from tinyvae.data import load_dataset
from tinyvae.data.dataset import Dataset
from tinyvae.data.scaling import Scaling
from tinyvae.data.variables import Variable, that_fit
from tinyvae.figures import gallery, panels, picture

SHAPE = (6, 5)
D = 30
HISTORY = [
    {"epoch": e, "loss": 9 / e, "reconstruction": 8 / e, "kl": 1 / e, "val_loss": 10 / e,
     "val_reconstruction": 9 / e, "val_kl": 1 / e}
    for e in (1, 2, 3, 4)
]  # fmt: skip


@pytest.fixture(autouse=True)
def warnings_are_errors():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # Of a matplotlib that is older than the pyparsing beside it.
        warnings.filterwarnings("ignore", "'.*deprecated.* use '", DeprecationWarning)
        yield


def words(fig: Figure) -> str:
    """All that is written in a figure that has been drawn."""
    FigureCanvasAgg(fig).draw()
    return "\n".join(t.get_text() for t in fig.findobj(Text) if t.get_visible())


def assert_nothing_clipped(fig: Figure) -> None:
    FigureCanvasAgg(fig).draw()
    width, height = fig.bbox.size
    for ax in fig.axes:
        hidden = {id(t) for axis in (ax.xaxis, ax.yaxis) for t in _outside_ticks(axis)}
        for text in ax.findobj(Text):
            if id(text) in hidden or not text.get_text() or not text.get_visible():
                continue
            box = text.get_window_extent()
            assert box.x0 >= 0 and box.y0 >= 0, text
            assert box.x1 <= width and box.y1 <= height, text
    for text in fig.texts:
        box = text.get_window_extent()
        assert box.x0 >= 0 and box.x1 <= width and box.y0 >= 0 and box.y1 <= height, text


def _outside_ticks(axis):
    low, high = sorted(axis.get_view_interval())
    for tick in axis.get_major_ticks():
        if not low <= tick.get_loc() <= high:
            yield from (tick.label1, tick.label2)


def sheets(fig: Figure) -> list[np.ndarray]:
    return [np.asarray(image.get_array()) for ax in fig.axes for image in ax.images]


def ink(rng, *leading) -> np.ndarray:
    """Images (…, D) with grey values on a black border, as digits have."""
    x = np.zeros((*leading, *SHAPE))
    x[..., 1:-1, 1:-1] = rng.random((*leading, SHAPE[0] - 2, SHAPE[1] - 2))
    return x.reshape(*leading, D)


# --- single figures -------------------------------------------------------------------------------


def test_a_figure_takes_the_arrays_of_a_model_on_a_gpu(rng):
    z, mu, sigma, images = rng.random((9, 2)), rng.random((3, 2)), rng.random((3, 2)), ink(rng, 4)
    drawn = []
    for asarray in (np.asarray, strict.asarray):
        ellipses = (asarray(mu), asarray(sigma), None)
        where = {"decoded": asarray(images), "image_shape": SHAPE, "extent": (-1, 1, -1, 1)}
        fig = figures.plane(asarray(z), ellipses=ellipses, **where)
        canvas = FigureCanvasAgg(fig)
        canvas.draw()
        drawn.append(np.asarray(canvas.buffer_rgba()))
    np.testing.assert_array_equal(*drawn)


def test_tile_puts_images_row_by_row_with_white_after_the_last():
    pixels = np.arange(3 * 2 * 2, dtype=float).reshape(3, 2, 2, 1) / 12
    sheet = picture.tile(pixels, columns=2)[:, :, 0]
    assert sheet.shape == (4, 4)
    np.testing.assert_allclose(sheet[:2, 2:], pixels[1, :, :, 0])
    np.testing.assert_allclose(sheet[2:, :2], pixels[2, :, :, 0])
    assert (sheet[2:, 2:] == 1).all()


def test_tile_leaves_white_gaps_between_but_not_around():
    sheet = picture.tile(np.zeros((4, 3, 3, 3)), columns=2, gap=2)
    assert sheet.shape == (8, 8, 3)
    assert (sheet[3:5] == 1).all() and (sheet[0, :3] == 0).all() and (sheet[-1, -3:] == 0).all()


def test_grey_images_on_black_become_ink_on_paper_and_photographs_stay(rng):
    digits, photographs = ink(rng, 4), 0.3 + 0.5 * rng.random((4, D))
    [sheet] = sheets(figures.image_grid(digits, SHAPE, columns=1))
    assert sheet[0, 0] == 1
    np.testing.assert_allclose(sheet[1, 1], 1 - digits[0].reshape(SHAPE)[1, 1], rtol=1e-6)
    [sheet] = sheets(figures.image_grid(photographs, SHAPE, columns=1))
    np.testing.assert_allclose(sheet[: SHAPE[0], : SHAPE[1]].ravel(), photographs[0], rtol=1e-6)


def test_image_grid_keeps_colours_and_the_aspect_of_images(rng):
    images = rng.random((6, 4 * 8 * 3))
    fig = figures.image_grid(images, (4, 8, 3), columns=3)
    [sheet] = sheets(fig)
    np.testing.assert_allclose(sheet[:4, :8].ravel(), images[0], rtol=1e-6)
    width, height = fig.get_size_inches()
    assert width / height == pytest.approx(sheet.shape[1] / sheet.shape[0])


def test_curves_draw_training_and_validation_of_each_term():
    fig = figures.curves(HISTORY)
    assert [ax.get_title(loc="left") for ax in fig.axes] == [
        "Loss", "Reconstruction", "KL divergence"
    ]  # fmt: skip
    training, validation = fig.axes[0].lines
    np.testing.assert_allclose(training.get_ydata(), [9, 4.5, 3, 2.25])
    np.testing.assert_allclose(validation.get_ydata(), [10, 5, 10 / 3, 2.5])
    assert "training" in words(fig) and "validation" in words(fig)
    assert_nothing_clipped(fig)


@pytest.mark.parametrize("missing", [None, float("nan")])
def test_curves_without_validation_or_kl_draw_what_there_is(missing):
    history = [row | {"kl": 0.0, "val_kl": 0.0, "val_loss": missing} for row in HISTORY[:1]]
    fig = figures.curves(history)
    assert len(fig.axes) == 2  # an autoencoder has no KL
    assert len(fig.axes[0].lines) == 1
    assert fig.axes[0].lines[0].get_marker() == "o"  # one epoch is no line


def test_curves_of_a_loss_that_is_the_reconstruction_have_one_panel():
    history = [row | {"loss": row["reconstruction"], "kl": 0.0, "val_kl": 0.0} for row in HISTORY]
    fig = figures.curves(history)
    assert len(fig.axes) == 1 and "Reconstruction" in words(fig)


def test_curves_begin_with_the_first_epoch_and_say_that_it_may_be_cut_off():
    history = [row | {"epoch": i + 1} for i, row in enumerate(HISTORY[:1] * 30)]
    fig = figures.curves(history)
    assert fig.axes[0].get_xlim() == (0.5, 30.5) and "beyond the frame" in words(fig)
    assert "beyond the frame" not in words(figures.curves(history[:19]))


def test_the_circles_are_named_where_there_is_room_between_the_points():
    z = np.outer(np.linspace(0, 3, 30), [0.7, -0.7])  # to the lower right
    ax = figures.plane(np.concatenate([z, -z])).axes[0]
    places = {text.get_text(): np.array(text.get_position()) for text in ax.texts}
    for i, name in enumerate(("1σ", "2σ", "3σ"), 1):
        assert np.linalg.norm(places[name]) == pytest.approx(i)
        assert np.linalg.norm(z - places[name], axis=1).min() > 0.9 * i


def test_a_long_name_lacks_its_middle():
    assert picture.short("a class of many words 12", 12) == "a clas…ds 12"
    assert picture.short("short", 5) == "short"


def test_reconstructions_stand_under_their_originals(rng):
    x, x_hat = ink(rng, 3), ink(rng, 3)
    fig = figures.reconstructions(x, x_hat, SHAPE, columns=3)
    [sheet] = sheets(fig)
    gap = picture.gap_for(SHAPE)
    second = slice(SHAPE[1] + gap, 2 * SHAPE[1] + gap)
    np.testing.assert_allclose(sheet[:6, second].ravel(), 1 - x[1], atol=1e-6)
    np.testing.assert_allclose(sheet[6 + gap :, second].ravel(), 1 - x_hat[1], atol=1e-6)
    assert "original" in words(fig) and "decoded" in words(fig)
    assert_nothing_clipped(fig)


def test_images_do_not_touch():
    x = np.zeros((2, 24 * 20))  # ink
    [sheet] = sheets(figures.reconstructions(x, x + 1, (24, 20)))
    assert np.all(sheet[24:28] == 1) and np.all(sheet[:, 20] == 1)
    assert not sheet[28:, :20].any() and not sheet[28:, 21:].any()


@pytest.mark.parametrize(
    "figure",
    [lambda: figures.curves(HISTORY[:1]), lambda: figures.kl_over_training(np.ones((1, 3)), [1])],
)
def test_one_epoch_has_one_tick(figure):
    ax = figure().axes[0]
    low, high = ax.get_xlim()
    assert [tick for tick in ax.get_xticks() if low <= tick <= high] == [1]


def saved_size(fig: Figure) -> tuple[int, int]:
    file = io.BytesIO()
    fig.savefig(file, format="png")
    return Image.open(file).size


def test_every_image_of_a_large_grid_is_saved_with_its_own_pixels(rng):
    width, height = saved_size(figures.image_grid(ink(rng, 600), SHAPE, columns=300))
    assert width >= 300 * SHAPE[1] and height >= 2 * SHAPE[0]


def test_more_images_than_a_picture_holds_are_refused(monkeypatch, rng):
    monkeypatch.setattr(picture, "MAX_PIXELS", 100)
    with pytest.raises(ValueError, match=r"4 images of 6 × 5 pixels are too many .* at most 3"):
        figures.image_grid(ink(rng, 4), SHAPE)
    with pytest.raises(ValueError, match=r"2 images of 6 × 5 pixels are .* at most 1"):
        figures.reconstructions(ink(rng, 2), ink(rng, 2), SHAPE)
    with pytest.raises(ValueError, match=r"8 images of 6 × 5 pixels .* at most 3"):
        figures.interpolations(ink(rng, 2), np.stack([ink(rng, 2)] * 2), ink(rng, 2), SHAPE)
    monkeypatch.setattr(picture, "MAX_PIXELS", 20)
    with pytest.raises(ValueError, match="images of 6 × 5 pixels are too large for one picture: w"):
        figures.image_grid(ink(rng, 1), SHAPE)


def test_a_page_of_wide_images_has_no_more_pixels_than_a_picture(monkeypatch, rng):
    wide = rng.random((2, 2 * 1500))
    width, height = saved_size(figures.reconstructions(wide, wide, (2, 1500)))
    assert width * height > 2**21
    monkeypatch.setattr(picture, "MAX_PIXELS", 2**21)
    width, height = saved_size(figures.reconstructions(wide, wide, (2, 1500)))
    assert 2**20 < width * height < 1.01 * 2**21


def test_posterior_states_the_largest_standard_deviation_over_the_draws(rng):
    draws = ink(rng, 12)
    fig = figures.posterior(draws[0], draws[1], draws, SHAPE, columns=4)
    assert len(sheets(fig)) == 4
    np.testing.assert_allclose(sheets(fig)[2].ravel(), draws.std(axis=0), rtol=1e-6)
    assert f"≤ {draws.std(axis=0).max():.2f}" in words(fig)
    assert "12 draws" in words(fig)
    assert_nothing_clipped(fig)


def test_interpolations_have_originals_at_both_ends(rng):
    first, steps, last = ink(rng, 2), ink(rng, 2, 5), ink(rng, 2)
    fig = figures.interpolations(first, steps, last, SHAPE)
    left, middle, right = sheets(fig)
    np.testing.assert_allclose(left[: SHAPE[0]].ravel(), 1 - first[0], atol=1e-6)
    np.testing.assert_allclose(right[: SHAPE[0]].ravel(), 1 - last[0], atol=1e-6)
    np.testing.assert_allclose(middle[: SHAPE[0], : SHAPE[1]].ravel(), 1 - steps[0, 0], atol=1e-6)
    assert all(word in words(fig).split("\n") for word in ("from", "t = 0", "0.5", "1", "to"))
    assert_nothing_clipped(fig)


def test_plane_shows_every_point_the_circles_and_the_names(rng):
    z, labels = rng.standard_normal((40, 2)), np.arange(40) % 3
    names = ("cat", "dog", "a rather long name")
    few = (z[:3], np.full((3, 2), 0.2), labels[:3])
    decoded = ink(rng, 16)
    fig = figures.plane(z, labels, names, few, decoded, SHAPE)
    left, right = fig.axes
    np.testing.assert_allclose(left.collections[0].get_offsets(), z)
    assert [patch.radius for patch in left.patches] == [1, 2, 3]
    assert len(left.collections[1].get_offsets()) == 3
    assert left.get_xlim() == right.get_xlim() and left.get_ylim() == right.get_ylim()
    for word in (*names, "1σ", "2σ", "3σ", "$z_{1}$", "40 examples"):
        assert word in words(fig)
    assert_nothing_clipped(fig)


def test_a_plane_of_one_example_says_example():
    assert "puts 1 example\n" in words(figures.plane(np.zeros((1, 2)))) + "\n"


def test_names_of_classes_at_one_place_do_not_overlap():
    z = np.zeros((4, 2))
    names = ["sandal", "sneaker", "boot", "bag"]
    fig = figures.plane(z, np.arange(4), names, extent=(-3, 3, -3, 3))
    FigureCanvasAgg(fig).draw()
    boxes = [t.get_window_extent() for t in fig.axes[0].texts if t.get_text() in names]
    centres = sorted((box.y0 + box.y1) / 2 for box in boxes)
    assert min(np.diff(centres)) > 0.6 * min(box.height for box in boxes)


def test_dollar_signs_in_names_start_no_formula():
    fig = figures.plane(np.zeros((2, 2)), np.array([0, 1]), ["$a^$ over $b$", "a$"])
    FigureCanvasAgg(fig).draw()  # "a^" is no formula: to read it as one is an error


def test_plane_grid_runs_from_the_top_left_and_decodes_in_place():
    z = figures.plane_grid((-2, 2, -1, 1), 2)
    np.testing.assert_allclose(z, [[-1, 0.5], [1, 0.5], [-1, -0.5], [1, -0.5]])


def test_quantile_grid_gives_each_cell_the_same_share_of_the_prior(rng):
    z = figures.quantile_grid(10)
    draws = rng.standard_normal(200_000)
    share = np.mean(draws < z[7, 0])  # Monte Carlo against the inverse normal distribution
    assert share == pytest.approx(0.75, abs=4 * np.sqrt(0.75 * 0.25 / len(draws)))
    assert z[0, 1] > z[-1, 1]


def test_the_decoded_plane_fades_outside_three_standard_deviations():
    black = np.zeros((16, D))
    black.reshape(16, *SHAPE)[:, 1:-1, 1:-1] = 1
    fig = figures.plane(np.zeros((2, 2)), decoded=black, image_shape=SHAPE)
    [sheet] = sheets(fig)
    middle, corner = sheet[len(sheet) // 2 - 3], sheet[1, 1]
    assert middle.min() < 0.05 and corner == 1


def test_traversals_name_their_dimensions_and_values(rng):
    fig = figures.traversals(ink(rng, 2, 3), [-3, 0, 3], ["$z_{7}$  2.10 nats", "b"], SHAPE)
    for word in ("$z_{7}$  2.10 nats", "−3", "0"):
        assert word in words(fig)
    assert_nothing_clipped(fig)


def test_kl_over_training_sorts_dimensions_and_counts_active_ones():
    kl = np.array([[0.1, 0.2, 0.0], [0.5, 2.0, 0.001]])
    fig = figures.kl_over_training(kl, [1, 2])
    [heat] = sheets(fig)
    np.testing.assert_allclose(heat, [[0.2, 2.0], [0.1, 0.5], [0.0, 0.001]])
    assert [t.get_text() for t in fig.axes[0].get_yticklabels()] == [
        "$z_{2}$", "$z_{1}$", "$z_{3}$"
    ]  # fmt: skip
    assert "2.50 in all" in words(fig) and "2 of 3 above 0.01 nats" in words(fig)
    assert_nothing_clipped(fig)


def test_many_dimensions_are_cut_to_those_that_carry_most(rng):
    kl = rng.random((2, 100))
    fig = figures.kl_over_training(kl)
    assert sheets(fig)[0].shape == (24, 2)
    assert "24 largest of 100 shown" in words(fig)
    assert_nothing_clipped(fig)


@pytest.mark.parametrize("scale", [1.0, 1e-9])
def test_aggregate_is_the_density_of_the_mixture_of_posteriors(rng, scale):
    mu, sigma = rng.standard_normal((50, 2)), scale * (0.1 + rng.random((50, 2)))
    fig = figures.aggregate(mu, sigma)
    joint = sheets(fig)[0]
    x0, x1 = fig.axes[0].get_xlim()
    cell = (x1 - x0) / (len(joint) - 1)
    assert joint.sum() * cell**2 == pytest.approx(1, abs=0.02)
    # A Monte Carlo estimate of the mass in the right half, from draws of z.
    z = mu[:, 0] + sigma[:, 0] * rng.standard_normal((4000, 50))
    assert joint[:, 80:].sum() * cell**2 == pytest.approx((z > 0).mean(), abs=0.02)
    mean, spread = mu[:, 0].mean(), z.std()
    assert f"{mean:+.2f} ± ".replace("-", "−") in words(fig)
    stated = float(words(fig).split(f"{mean:+.2f} ± ".replace("-", "−"))[1].split("\n")[0])
    assert stated == pytest.approx(spread, abs=0.02)
    assert_nothing_clipped(fig)


def test_factor_figure_writes_each_number_and_the_score():
    fig = figures.factor_figure(np.array([[0.1, 0.9], [0.62, 0.0]]), ("shape", "x"), 0.345)
    for word in ("0.10", "0.90", "0.62", "0.00", "shape", "x", "$z_{2}$", "0.345"):
        assert word in words(fig)
    assert_nothing_clipped(fig)


@pytest.mark.parametrize("width", [4, 41])
def test_rows_of_features_are_drawn_with_names_or_as_lines(rng, width):
    names = [f"feature_with_a_long_name_{i}" for i in range(width)]
    features = figures.Features(names, "standardised value")
    x = rng.standard_normal((5, width))
    reconstructions = figures.row_reconstructions(x, x + 0.1, features)
    decoded = rng.random((3, 5, width))
    traversals = figures.row_traversals(decoded, [-3, 0, 3], list("abc"), features)
    samples = figures.row_samples(x, x, features)
    assert len(reconstructions.axes) == 5 and len(traversals.axes) == 3
    axes = reconstructions.axes[0]
    data = [line.get_xdata() if width == 4 else line.get_ydata() for line in axes.lines[-2:]]
    np.testing.assert_allclose(data, [x[0], x[0] + 0.1])
    for fig in (reconstructions, traversals, samples):
        assert ("feature_with…long_name_0" in words(fig)) == (width == 4)
        assert ("41 names find no room" in words(fig).replace("\n", " ")) == (width == 41)
        assert_nothing_clipped(fig)


def test_the_categories_that_find_no_room_in_a_table_s_figures_are_named(rng):
    kinds = Variable("kind", "categorical", tuple(f"k{i}" for i in range(39)))
    listed = (kinds, Variable("size", low=-9.0, high=9.0), Variable("legs", low=0.0, high=8.0))
    assert that_fit(listed, 40) == list(listed[1:]) and that_fit(listed, 41) == list(listed)
    assert that_fit(listed, 1) == []
    x = rng.standard_normal((20, 41)).astype("float32")
    data = dataset(rng, image_shape=None, variables=listed)
    names = tuple(name for v in listed for name in v.features)
    data = dataclasses.replace(data, x_train=x, x_test=x, feature_names=names)
    fig = gallery.figure("reconstructions", VAE(41, 2, hidden=(4,)), data)
    text = words(fig).replace("\n", " ")
    assert "Without room here: kind (39 categories)" in text and "−9 … 9" in text
    assert "size" in text and "kind=k1" not in text


def test_each_number_has_its_own_range_and_categories_are_bars(rng):
    ranges, shares = np.array([[0, 10], [-5, 5000], [0, 1], [0, 1]]), np.array([0, 0, 1, 1], bool)
    x = np.array([[5, -5, 1, 0], [np.nan, 5000, 0, 1]], float)
    x_hat = np.array([[2.5, 2497.5, 0.7, 0.3], [10, -5, 0.2, 0.8]])
    features = figures.Features(list("abcd"), ranges=ranges, shares=shares)
    fig = figures.row_reconstructions(x, x_hat, features)
    for ax, original, decoded, bars in zip(
        fig.axes, ([0.5, 0, 1, np.nan], [np.nan, 1, np.nan, 1]), ([0.25, 0.5], [1, 0]),
        x_hat[:, 2:], strict=True,
    ):  # fmt: skip
        dots, answers = (line.get_xdata() for line in ax.lines[-2:])
        np.testing.assert_allclose(dots, original)
        np.testing.assert_allclose(answers, [*decoded, np.nan, np.nan])
        np.testing.assert_allclose([bar.get_width() for bar in ax.patches], bars)
    assert "0 … 10" in words(fig) and "−5 … 5000" in words(fig) and "0 … 1\n" not in words(fig)
    assert_nothing_clipped(fig)
    samples = figures.row_samples(x_hat, x, features)
    data, new = samples.axes
    np.testing.assert_allclose([bar.get_width() for bar in data.patches], [0.5, 0.5])
    assert data.get_xlim() == new.get_xlim() and "Bars are shares of the rows" in words(samples)
    far = figures.row_samples(x_hat + 20, x, features)
    assert far.axes[0].get_xlim()[1] >= 3  # nothing is cut off
    steps = figures.row_traversals(np.stack([x_hat] * 2), [-3, 3], ["$z_1$", "$z_2$"], features)
    np.testing.assert_allclose(steps.axes[0].lines[0].get_xdata(), [0.25, 0.5, 0.7, 0.3])


def test_colours_of_classes_stay_apart_for_the_colour_blind():
    """Machado et al. 2009 at full severity, distances in Oklab (Ottosson 2020)."""
    blindness = {
        "none": np.eye(3),
        "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
                   [-0.003882, -0.048116, 1.051998]],
        "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
                   [-0.011820, 0.042940, 0.968881]],
        "tritan": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602],
                   [0.004733, 0.691367, 0.303900]],
    }  # fmt: skip
    lms = np.array([[0.4122214708, 0.5363325363, 0.0514459929],
                    [0.2119034982, 0.6806995451, 0.1073969566],
                    [0.0883024619, 0.2817188376, 0.6299787005]])  # fmt: skip
    lab = np.array([[0.2104542553, 0.7936177850, -0.0040720468],
                    [1.9779984951, -2.4285922050, 0.4505937099],
                    [0.0259040371, 0.7827717662, -0.8086757660]])  # fmt: skip

    def nearest(colors, matrix):
        srgb = np.array([matplotlib.colors.to_rgb(color) for color in colors])
        linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
        seen = np.clip(linear @ np.array(matrix).T, 0, 1)
        points = np.cbrt(seen @ lms.T) @ lab.T
        distance = np.linalg.norm(points[:, None] - points, axis=2)
        return distance[np.triu_indices(len(colors), 1)].min()

    assert len(picture.COLORS) == 10
    for matrix in blindness.values():
        assert nearest(picture.COLORS, matrix) > 0.085
        for k in range(5):  # marks of the same shape
            assert nearest(picture.COLORS[k::5], matrix) > 0.18
    tab10 = matplotlib.color_sequences["tab10"]
    assert min(nearest(tab10, matrix) for matrix in blindness.values()) < 0.03


def test_marks_of_classes_have_shapes_and_the_pages_have_the_same_colours(rng):
    fig = figures.plane(rng.standard_normal((30, 2)), np.arange(30) % 10)
    paths = fig.axes[0].collections[0].get_paths()
    assert len({path.vertices.tobytes() for path in paths}) == 5
    assert [paths[k].vertices.tobytes() == paths[k + 5].vertices.tobytes() for k in range(5)]
    look = (resources.files("tinyvae.explore") / "look.css").read_text("utf-8")
    found = re.findall(r"--label-\d: (#\w+);", look.split(':root[data-theme="dark"]')[0])
    assert tuple(found) == picture.COLORS


# --- settings, notebooks --------------------------------------------------------------------------


def test_figures_neither_change_nor_follow_the_readers_settings(rng):
    before = dict(matplotlib.rcParams)
    plain = figures.curves(HISTORY)
    assert dict(matplotlib.rcParams) == before
    with matplotlib.rc_context({"axes.facecolor": "black", "font.size": 30, "lines.linewidth": 9}):
        dark = figures.curves(HISTORY)
    assert dark.axes[0].get_facecolor() == plain.axes[0].get_facecolor()
    assert dark.axes[0].xaxis.label.get_size() == plain.axes[0].xaxis.label.get_size()


@pytest.mark.parametrize("name", ["reconstructions", "curves"])  # few colours, and many
def test_a_png_looks_like_matplotlibs_and_is_smaller(rng, name):
    """No tone is further off than 2 of 255, and what is read again are the size and the notes."""
    if name == "curves":
        fig = figures.curves(HISTORY)
    else:
        fig = figures.reconstructions(ink(rng, 20), ink(rng, 20), SHAPE)
    theirs, ours = io.BytesIO(), io.BytesIO()
    fig.savefig(theirs, format="png", dpi=150)
    picture.write_png(ours, fig.pixels(150), 150, {"Description": "ü"})
    wanted, found = Image.open(theirs), Image.open(ours)
    assert (found.mode == "P") == (name == "reconstructions")
    assert found.text == {"Description": "ü"} and round(found.info["dpi"][0]) == 150
    difference = np.asarray(found.convert("RGB")).astype(int) - np.asarray(wanted)[..., :3]
    assert np.abs(difference).max() <= 2
    assert len(ours.getvalue()) < 0.85 * len(theirs.getvalue())
    assert fig.dpi == figures.curves(HISTORY).dpi


@pytest.mark.parametrize("extent", [None, (0, 2, 3, 0), (-1, 1, -1, 1)])
def test_ink_is_enlarged_as_matplotlib_enlarges(rng, extent):
    """The same picture, upright and in its place, as a smooth image of Matplotlib's own."""
    sheet = np.zeros((20, 30), np.float32)
    sheet[2:9, 3:8] = sheet[12:14, 10:25] = 1
    found = []
    for own in (True, False):
        fig = picture.page(4, 3, "")
        ax = picture.bare(picture.panel(fig, 0.3, 0.4, 3, 2))
        if own:
            picture.show_pixels(ax, sheet[:, :, None], True, extent)
        else:
            look = {"cmap": "gray", "vmin": 0, "vmax": 1, "interpolation": "bicubic"}
            ax.imshow(sheet, extent=extent, aspect="auto", **look)
        found.append(fig.pixels(150)[..., 0].astype(int))
        assert ax.get_xlim() == ((-0.5, 29.5) if extent is None else extent[:2])
    assert np.abs(found[0] - found[1]).max() < 40 and np.abs(found[0] - found[1]).mean() < 1


def test_notebooks_show_a_figure_without_pyplot(rng):
    image, size = figures.image_grid(ink(rng, 4), SHAPE)._repr_png_()
    assert image.startswith(b"\x89PNG\r\n")
    assert 100 < size["width"] < 1200


# --- the gallery ----------------------------------------------------------------------------------


def dataset(rng, **changes) -> Dataset:
    x = ink(rng, 40).astype(np.float32)
    fields = {"y_train": np.arange(20) % 3, "y_test": np.arange(20) % 3, "image_shape": SHAPE}
    fields |= {"label_names": ("a", "b", "c"), "scaling": Scaling("none", low=0.0, high=1.0)}
    return Dataset("tiny", x[:20], x[20:], **(fields | changes))


def model(latent_dim: int = 2, kind: type = VAE, **options):
    return kind(D, latent_dim, hidden=(8,), sigma=0.5, output="sigmoid", seed=1, **options)


def drawn(tmp_path, *arguments, **options) -> list[str]:
    paths = gallery.draw(*arguments, folder=tmp_path / "figures", dpi=30, **options)
    assert all(path.stat().st_size > 0 for path in paths)
    assert sorted(paths) == sorted((tmp_path / "figures").iterdir())
    return [path.stem for path in paths]


COMMON = {"curves", "reconstructions", "samples", "plane", "posterior", "interpolations", "kl"}
COMMON |= {"aggregate"}


@pytest.mark.parametrize(
    "latent_dim, expected",
    [
        (2, COMMON | {"manifold"}),
        (3, COMMON | {"traversals"}),
        (1, COMMON ^ {"plane", "traversals"}),
    ],
)
def test_a_vae_of_images_gets_every_figure_that_applies(tmp_path, rng, latent_dim, expected):
    kl_history = rng.random((4, latent_dim))
    names = drawn(tmp_path, model(latent_dim), dataset(rng), history=HISTORY, kl_history=kl_history)
    assert set(names) == expected
    assert names == [name for name in gallery.NAMES if name in expected]


@pytest.mark.parametrize("latent_dim, expected", [(2, {"plane"}), (3, {"plane", "traversals"})])
def test_an_autoencoder_gets_no_figure_of_a_prior(tmp_path, rng, latent_dim, expected):
    names = drawn(tmp_path, model(latent_dim, Autoencoder), dataset(rng), history=HISTORY)
    assert set(names) == expected | {"curves", "reconstructions", "interpolations"}


def test_data_that_are_no_images_get_no_figure_of_images(tmp_path, rng):
    data = dataset(rng, image_shape=None, feature_names=tuple(f"f{i}" for i in range(D)))
    names = drawn(tmp_path, model(3), data, kl_history=[])
    assert set(names) == {"reconstructions", "samples", "plane", "traversals", "aggregate"}


@pytest.mark.parametrize("labels", [None, np.zeros(20, dtype=int)])
def test_data_without_labels_or_with_a_single_one(tmp_path, rng, labels):
    data = dataset(rng, y_train=labels, y_test=labels, label_names=None)
    names = drawn(tmp_path, model(), data)
    assert set(names) == (COMMON | {"manifold"}) - {"curves", "kl"}


def test_a_single_example_is_enough(tmp_path, rng):
    data = dataset(rng)
    one = Dataset("one", data.x_train, data.x_test[:1], image_shape=SHAPE)
    assert "reconstructions" in drawn(tmp_path, model(), one)


def test_a_conditional_model_is_drawn_with_labels(rng):
    data = dataset(rng)
    fig = gallery.figure("samples", model(n_classes=3), data)
    assert {"a", "b", "c"} <= set(words(fig).split("\n"))
    [sheet] = sheets(fig)
    gap = picture.gap_for(SHAPE)
    assert sheet.shape == (3 * (6 + gap) - gap, 14 * (5 + gap) - gap)
    assert "with the label a" in words(gallery.figure("plane", model(n_classes=3), data))
    assert "changes halfway" in words(gallery.figure("interpolations", model(n_classes=3), data))


def test_the_plane_holds_its_ellipses(rng):
    vae = model(2)
    bias = vae.parameters["encoder.1.b"]
    bias[:] = [0, 0, 3, 3]  # logvar: a standard deviation of 4.5
    ax = gallery.figure("plane", vae, dataset(rng)).axes[0]
    assert ax.get_xlim()[1] > np.exp(1.5) and ax.get_ylim()[0] < -np.exp(1.5)


def test_the_plane_shows_the_two_dimensions_that_carry_most(rng):
    vae = model(4)
    bias = vae.parameters["encoder.1.b"]
    bias[:] = [0, 2, 0, 3, 0, 0, 0, 0]  # mu of the second and the fourth dimension lie off 0
    vae.parameters["encoder.1.W"][:] *= 0.01
    fig = gallery.figure("plane", vae, dataset(rng))
    assert fig.axes[0].get_xlabel() == "$z_{4}$" and fig.axes[0].get_ylabel() == "$z_{2}$"
    kl = [f"$z_{{{j}}}$" for j in (4, 2)]
    rows = [
        t.get_text()
        for t in gallery.figure("traversals", vae, dataset(rng)).axes[0].get_yticklabels()
    ]
    assert [row.split()[0] for row in rows[:2]] == kl
    assert float(rows[0].split()[1]) == pytest.approx(4.5, abs=0.3)  # ½ mu² with sigma 1


def test_data_with_known_factors_get_the_picture_of_which_dimension_follows_which(rng):
    factors = {"factors_train": np.arange(40).reshape(20, 2) % 3, "factor_names": ("size", "x")}
    data = dataset(rng, factors_test=factors["factors_train"], **factors)
    fig = gallery.figure("factors", model(), data)
    assert "Mutual information gap" in words(fig).replace("\n", " ")
    assert {"size", "x"} <= set(words(fig).split("\n"))
    with pytest.raises(ValueError, match="'factors' does not apply here: it needs data whose"):
        gallery.figure("factors", model(), dataset(rng))


@pytest.mark.parametrize("name", [n for n in gallery.NAMES if n not in ("traversals", "factors")])
def test_no_text_of_the_gallery_is_clipped(rng, name):
    fig = gallery.figure(name, model(), dataset(rng), HISTORY, rng.random((4, 2)))
    assert_nothing_clipped(fig)


def test_standardised_images_are_shown_in_the_units_of_the_data(rng):
    raw = 255 * ink(rng, 40)
    mean, std = np.full(D, 20.0), np.full(D, 50.0)
    scaling = Scaling("standardize", mean=mean, std=std, low=0.0, high=255.0)
    x = scaling.apply(raw)
    data = dataset(rng, scaling=scaling)
    data = Dataset("s", x[:20], x[20:], image_shape=SHAPE, scaling=scaling)
    fig = gallery.figure("reconstructions", VAE(D, 2, hidden=(8,)), data)
    np.testing.assert_allclose(
        sheets(fig)[0][: SHAPE[0], : SHAPE[1]].ravel(), 1 - raw[20] / 255, atol=1e-5
    )


def test_large_data_are_encoded_in_blocks_of_some_of_their_rows(rng, monkeypatch):
    monkeypatch.setattr("tinyvae.figures.view.MAX_POINTS", 50)
    monkeypatch.setattr("tinyvae.evaluate.passes.BLOCK", 8 * D)
    seen = []

    class Watched(VAE):
        def encode(self, x, *, labels=None):
            seen.append(len(x))
            return super().encode(x, labels=labels)

    x = ink(rng, 700).astype(np.float32)
    data = Dataset("large", x, x, image_shape=SHAPE)
    vae = Watched(D, 2, hidden=(8,))
    fig = gallery.figure("plane", vae, data)
    assert seen == [8] * 6 + [2]
    rows = np.linspace(0, 699, 50).astype(int)
    points = fig.axes[0].collections[0].get_offsets()
    np.testing.assert_allclose(points, VAE.encode(vae, x[rows])[0], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("form, start", [("svg", b"<?xml"), ("pdf", b"%PDF")])
def test_figures_are_written_in_other_formats(tmp_path, rng, form, start):
    [path] = gallery.draw(model(), dataset(rng), tmp_path, only="plane", format=form)
    assert path.name == f"plane.{form}" and path.read_bytes().startswith(start)


def test_only_draws_what_it_names(tmp_path, rng):
    names = drawn(tmp_path, model(), dataset(rng), only=["samples", "plane"])
    assert names == ["samples", "plane"]


@pytest.mark.parametrize(
    "options, message",
    [
        ({"only": "planes"}, "figure must be one of curves, reconstructions.*not 'planes'"),
        ({"only": ["plane", "traversals"]}, "'traversals' does not apply.* 2"),
        ({"only": "curves"}, "'curves' does not apply here: it needs a training history"),
        ({"format": "doc"}, "format must be one of .*png.*not 'doc'"),
        ({"dpi": 0}, "dpi must be .*not 0"),
    ],
)
def test_a_figure_that_cannot_be_drawn_is_refused_in_one_line(tmp_path, rng, options, message):
    with pytest.raises(ValueError, match=message) as error:
        gallery.draw(model(), dataset(rng), tmp_path / "new", **options)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "new").exists()


def test_every_figure_says_what_to_look_at():
    assert tuple(gallery.DESCRIPTIONS) == gallery.NAMES
    assert all("\n" not in text and text for text in gallery.DESCRIPTIONS.values())


# --- three panels ---------------------------------------------------------------------------------


def test_three_panels_show_gaps_a_blob_and_a_smooth_space(tmp_path, monkeypatch, capsys):
    digits = load_dataset("digits")
    kept = []
    monkeypatch.setattr(three_panels, "train_three", _shortened(panels.train_three, kept))
    out = tmp_path / "three.png"
    assert three_panels.main(["--out", str(out), "--epochs", "4", "--dpi", "40", "--quiet"]) == 0
    assert out.read_bytes().startswith(b"\x89PNG") and capsys.readouterr().out == ""
    fig = panels.figure(kept, digits.x_test, digits.y_test, digits.image_shape)
    above, below = fig.axes[::3], fig.axes[1::3]
    assert len({ax.get_xlim() + ax.get_ylim() for ax in above}) == 1  # the same axes in all three
    assert {ax.get_xlim() + ax.get_ylim() for ax in below} == {figures.NEAR_PRIOR}
    reconstruction, kl, both = (ax.collections[0].get_offsets() for ax in above)
    assert len(both) == 500
    assert reconstruction.std() > 1.6 > 1.4 > both.std()  # nothing holds it together
    np.testing.assert_allclose(kl.std(axis=0), 1, atol=0.15)  # the prior itself

    def separation(z):
        centres = np.array([z[digits.y_test == c].mean(axis=0) for c in range(10)])
        return centres.std() / z.std()

    assert separation(kl) < 0.25 < 0.4 < separation(both)
    assert_nothing_clipped(fig)


def test_three_panels_decode_the_same_draws_from_the_prior_and_say_what_lies_outside(rng):
    asked = []

    class Watched(VAE):
        def decode(self, z, **options):
            asked.append(np.array(z))
            return super().decode(z, **options)

    kept = [Watched(D, 2, hidden=(4,), output="sigmoid", backend="numpy") for _ in range(3)]
    kept[0].parameters["encoder.1.b"][:] = (40, 0, -9, -9)  # one model's codes lie far away
    x = ink(rng, 30)
    fig = panels.figure(kept, x.astype(np.float32), np.arange(30) % 10, SHAPE)
    grids, draws = asked[::2], asked[1::2]
    for z in (grids, draws):
        np.testing.assert_array_equal(z[0], z[1])
        np.testing.assert_array_equal(z[0], z[2])
    assert np.abs(grids[0]).max() < 3 and draws[0].shape == (panels.DRAWS, 2)
    assert abs(fig.axes[0].get_xlim()[1]) > 35
    assert_nothing_clipped(fig)


def test_figures_say_in_words_what_they_show(rng):
    fig = figures.plane(rng.standard_normal((9, 2)), title="A plane", subtitle="Of nine points.")
    _, metadata = fig._repr_png_()
    assert metadata["alt"] == "A plane. Of nine points. Where the encoder puts 9 examples"
    assert figures.image_grid(ink(rng, 4), SHAPE)._repr_png_()[1]["alt"] == "Images side by side"


def test_three_panels_of_one_epoch_say_epoch(rng, capsys):
    panels.train_three(rng.random((8, 4), dtype=np.float32), epochs=1, progress=True)
    assert ": 1 epoch\n" in capsys.readouterr().out


def _shortened(train_three, kept):
    def train(x_train, *arguments, **options):
        kept.extend(train_three(x_train[:1500], *arguments, **options))
        return kept

    return train


@pytest.mark.parametrize(
    "argv, message",
    [
        (["--out", "no-such-folder/a.png"], "cannot write --out no-such-folder/a.png"),
        (["--out", "picture.gif"], "must be one of .png, .svg, .pdf, not '.gif'"),
        (["--epochs", "0"], "--epochs"),
        (["--seed", "-1"], "--seed"),
    ],
)
def test_three_panels_refuse_bad_usage_before_training(
    tmp_path, monkeypatch, capsys, argv, message
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(three_panels, "train_three", None)
    try:
        status = three_panels.main(argv)
    except SystemExit as stop:
        status = stop.code
    error = capsys.readouterr().err
    assert status == 2 and message in error and error.count("\n") == 1


def test_three_panels_do_not_write_over_a_folder(tmp_path, monkeypatch, capsys):
    (tmp_path / "folder.png").mkdir()
    monkeypatch.setattr(three_panels, "train_three", None)
    assert three_panels.main(["--out", str(tmp_path / "folder.png")]) == 2
    assert "is a folder; name a file" in capsys.readouterr().err


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").touch()
    dataset = load_dataset("digits")
    model = VAE(784, 2, hidden=(3,), backend="numpy")
    with pytest.raises(OSError, match=r"cannot make the folder .*file/figures: "):
        gallery.draw(model, dataset, tmp_path / "file" / "figures", only=[])


def test_the_kl_is_said_to_be_of_the_rows_that_it_is_of(rng):
    for rows, said in ((2000, "on the validation data"), (2001, "on the first 2,000 rows")):
        x = ink(rng, rows).astype(np.float32)
        scaling = Scaling("none", low=0.0, high=1.0)
        dataset = Dataset("tiny", x[:5], x, image_shape=SHAPE, scaling=scaling)
        figure = gallery.figure("kl", model(), dataset, None, np.ones((2, 2)))
        assert any(said in text.get_text() for text in figure.findobj(matplotlib.text.Text))
