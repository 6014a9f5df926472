"""The mutual information gap on codes whose answer is known."""

import numpy as np
import pytest
import strict

from tinyvae.evaluate.disentangle import mutual_information_gap

RNG = np.random.default_rng(0)
FACTORS = RNG.integers(0, 4, (5000, 2)).astype(float)


def test_a_dimension_of_its_own_for_each_factor_scores_1():
    noise = RNG.standard_normal((5000, 1))
    codes = np.hstack([-3 * FACTORS[:, 1:] + 7, noise, np.exp(FACTORS[:, :1])])
    score, matrix = mutual_information_gap(codes, FACTORS)
    assert matrix.shape == (3, 2)
    np.testing.assert_allclose(matrix, [[0, 1], [0, 0], [1, 0]], atol=0.02)
    assert score == pytest.approx(1, abs=0.02)


def test_codes_that_know_nothing_score_0():
    score, matrix = mutual_information_gap(RNG.standard_normal((5000, 3)), FACTORS)
    assert score < 0.01
    assert matrix.max() < 0.02


def test_two_dimensions_that_tell_the_same_leave_no_gap():
    codes = np.hstack([FACTORS, FACTORS])
    score, matrix = mutual_information_gap(codes, FACTORS)
    assert score == pytest.approx(0, abs=1e-12)
    assert matrix.max() == pytest.approx(1)


def test_one_bit_of_two_is_half_of_a_factor():
    codes = (FACTORS[:, :1] >= 2).astype(float)  # which half, of four equally likely values
    score, _ = mutual_information_gap(codes, FACTORS[:, :1])
    assert score == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize(("bins", "high"), [(30, 66), (20, 332)])
def test_values_on_the_edge_of_an_interval_count_where_the_fields_implementation_has_them(
    bins, high
):
    """disentanglement_lib's formula: `np.digitize` at the edges of `np.histogram`, then the mutual
    information of two lists of labels. Whole numbers often lie on an edge."""
    information = pytest.importorskip("sklearn.metrics").mutual_info_score
    rng = np.random.default_rng(0)
    codes = rng.integers(0, high + 1, (300, 400)).astype(float)
    codes[:2] = [[0.0], [high]]
    factor = rng.integers(0, 4, (300, 1))
    levels = [np.digitize(z, np.histogram(z, bins)[1][:-1]) for z in codes.T]
    entropy = information(factor[:, 0], factor[:, 0])
    told = [information(z, factor[:, 0]) / entropy for z in levels]
    score, matrix = mutual_information_gap(codes, factor, bins)
    np.testing.assert_allclose(matrix[:, 0], told, rtol=1e-9)
    assert score == pytest.approx(np.diff(np.sort(told)[-2:])[0], abs=1e-9)


def test_codes_may_lie_on_a_gpu():
    codes = RNG.standard_normal((5000, 3))
    score, _ = mutual_information_gap(strict.asarray(codes), FACTORS)
    assert score == mutual_information_gap(codes, FACTORS).score


@pytest.mark.parametrize(
    ("codes", "factors", "message"),
    [
        (np.zeros((3, 2)), np.zeros((4, 1)), r"must be \(N, L\) and \(N, F\)"),
        (np.zeros(3), np.zeros((3, 1)), r"must be \(N, L\) and \(N, F\)"),
        (np.zeros((3, 2)), np.ones((3, 1)), "factor 0 is constant"),
        (np.zeros((3, 2)), np.arange(3)[:, None], "factor 0 differs in every row"),
        (np.full((3, 2), np.nan), np.arange(3)[:, None], "codes holds nan"),
    ],
)
def test_unfit_input_gets_one_clear_line(codes, factors, message):
    with pytest.raises(ValueError, match=message):
        mutual_information_gap(codes, factors)
