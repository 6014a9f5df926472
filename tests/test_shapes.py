"""The drawn shapes: every factor is in the picture, as large as its column says."""

import numpy as np
import pytest

from tinyvae.data import load_dataset, shapes


@pytest.fixture(scope="module")
def drawn():
    return shapes.draw()


@pytest.fixture(scope="module")
def images(drawn):
    return drawn.x_train.reshape(-1, *shapes.IMAGE_SHAPE).astype(float)


@pytest.fixture(scope="module")
def factors(drawn):
    return dict(zip(shapes.FACTORS, drawn.factors_train.T, strict=True))


@pytest.fixture(scope="module")
def moments(images):
    """Area, centre (from the left and top) and covariance of the grey values of each image."""
    rows, columns = np.indices(shapes.IMAGE_SHAPE) + 0.5
    area = images.sum(axis=(1, 2))
    x, y = ((images * at).sum(axis=(1, 2)) / area for at in (columns, rows))
    right, up = columns - x[:, None, None], y[:, None, None] - rows
    spread = [
        (images * a * b).sum(axis=(1, 2)) / area for a, b in ((right, right), (right, up), (up, up))
    ]
    return area, x, y, spread


def test_the_grid_is_full_and_split_without_overlap(drawn):
    assert drawn.x_train.shape == (4876, 784) and drawn.x_test.shape == (500, 784)
    assert drawn.x_train.dtype == np.float32
    assert drawn.x_train.min() == 0 and drawn.x_train.max() == 1
    grid = np.concatenate([drawn.factors_train, drawn.factors_test])
    assert len(np.unique(grid, axis=0)) == len(grid) == 3 * 4 * 7 * 8 * 8


def test_every_call_draws_the_same(drawn):
    assert np.array_equal(drawn.x_train, shapes.draw().x_train)
    assert np.array_equal(load_dataset("shapes").x_test, drawn.x_test)


def test_no_two_images_look_alike(drawn):
    rounded = np.rint(np.concatenate([drawn.x_train, drawn.x_test]) * 20)
    assert len(np.unique(rounded, axis=0)) == len(rounded)


def test_areas_are_those_of_the_geometry(factors, moments):
    a, kind = factors["scale"], factors["shape"]
    exact = np.choose(kind.astype(int), [2 * a**2, np.pi * a**2 / 2, a**2])
    assert np.allclose(moments[0], exact, rtol=0.09)  # a sharp apex covers pixels in part
    assert np.mean(moments[0] / exact) == pytest.approx(1, abs=0.02)


def test_centres_are_where_the_factors_say(factors, moments):
    symmetric = factors["shape"] < 2
    assert np.allclose(moments[1][symmetric], factors["x"][symmetric], atol=0.1)
    assert np.allclose(moments[2][symmetric], factors["y"][symmetric], atol=0.1)


def test_long_axes_point_where_the_orientation_says(factors, moments):
    xx, xy, yy = moments[3]
    degrees = np.degrees(np.arctan2(2 * xy, xx - yy)) / 2  # of the covariance's long axis
    difference = (degrees - factors["orientation"] + 90) % 180 - 90
    assert np.abs(difference).max() < 3


def test_edges_are_smooth(images):
    grey = (images > 0.02) & (images < 0.98)
    assert 0.1 < grey.sum() / (images > 0.02).sum() < 0.6


def test_nothing_touches_the_frame(images):
    frame = np.ones(shapes.IMAGE_SHAPE, bool)
    frame[1:-1, 1:-1] = False
    assert images[:, frame].max() < 0.6


def test_the_data_set_carries_its_factors():
    data = load_dataset("shapes")
    assert data.factor_names == ("shape", "scale", "orientation", "x", "y")
    assert data.factors_train.shape == (4876, 5) and data.factors_test.shape == (500, 5)
    assert data.label_names == ("rectangle", "ellipse", "triangle")
    assert np.array_equal(data.y_test, data.factors_test[:, 0])
    assert data.image_shape == (28, 28)
