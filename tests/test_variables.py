"""The columns of a table in text: missing cells, categories, columns of 0 and 1; how a model takes
them, how they come back, and what is refused in one line that names the place and the remedy."""

import json
from pathlib import Path

import numpy as np
import pytest

from tinyvae import VAE, fit
from tinyvae.core.errors import InputError
from tinyvae.data import csv_reader, load_dataset, read_matrix, variables
from tinyvae.data.csv_text import Text
from tinyvae.data.preparation import hold_out, text_like
from tinyvae.data.rows import mean_log_size
from tinyvae.data.variables import Variable


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def write(text, name="x.csv"):
    Path(name).write_text(text, encoding="utf-8", newline="")


KINDS = ["cat", "dog", "eel"]
SIZES = {"cat": 4.0, "dog": 9.0, "eel": 6.0}


def animals(n=40, gaps=(), header="kind,size,legs,tame,wild"):
    """A table with a category, a number, a whole one, a word of two, and 0 and 1."""
    rng, lines = np.random.default_rng(0), [header] * bool(header)
    for i in range(n):
        kind = KINDS[i % 3]
        size = round(SIZES[kind] + rng.normal(), 2)
        cells = [kind, size, rng.integers(0, 9), "yn"[i % 2], i % 5 == 0]
        cells = ["" if (i, j) in gaps else str(c * 1 if j == 4 else c) for j, c in enumerate(cells)]
        lines.append(",".join(cells))
    return "\n".join(lines) + "\n"


def config_of(dataset):
    return json.loads(json.dumps(dataset.to_config()))


# What a column is


def test_words_are_categories_and_0_and_1_are_bernoulli():
    write(animals())
    data = load_dataset("x.csv")
    found = [(v.name, v.kind, v.categories, v.whole) for v in data.variables]
    assert found == [
        ("kind", "categorical", ("cat", "dog", "eel"), True),
        ("size", "gaussian", (), False),
        ("legs", "gaussian", (), True),
        ("tame", "bernoulli", ("n", "y"), True),
        ("wild", "bernoulli", (), True),
    ]
    names = ("kind=cat", "kind=dog", "kind=eel", "size", "legs", "tame=y", "wild")
    assert data.feature_names == names and data.n_features == 7
    assert data.columns == [("categorical", 3), ("gaussian", 2), ("bernoulli", 2)]
    text = "5 columns (2 numbers; 1 of 0 and 1: wild; 2 of categories: kind (3), tame (2))"
    assert text in data.describe() and not data.missing


def test_numbers_are_standardised_and_nothing_else():
    write(animals(gaps={(3, 1), (4, 0), (5, 3)}))
    data = load_dataset("x.csv", validation=0)
    x = data.x_train
    assert np.allclose(np.nanmean(x[:, 3:5], axis=0), 0, atol=1e-6)
    assert np.allclose(np.nanstd(x[:, 3:5], axis=0), 1, atol=1e-6)
    others = x[:, [0, 1, 2, 5, 6]]
    assert set(np.unique(others[~np.isnan(others)])) == {0, 1}
    assert np.isnan(x[3, 3]) and np.isnan(x[4, :3]).all() and np.isnan(x[5, 5])
    one_hot = np.delete(x[:, :3], 4, axis=0)
    assert one_hot.sum(axis=1).tolist() == [1] * 39


def test_what_is_said_of_missing_cells():
    write(animals(gaps={(3, 1), (4, 0), (5, 0)}))
    text = "3 missing cells, taken to be missing at random (kind 2, size 1)"
    assert text in load_dataset("x.csv").describe()


@pytest.mark.parametrize("cell", ["", "NA", "na", "NaN", "nan", "N/A", "?", "<NA>", "null", "  "])
def test_these_cells_are_missing_among_numbers_and_among_words(cell):
    write(f"a,b\n1,x\n2,y\n{cell},x\n4,{cell}\n5,y\n")
    x = csv_reader.read(Path("x.csv")).x
    assert np.isnan(x).sum() == 2 and np.isnan(x[2, 0]) and np.isnan(x[3, 1])


@pytest.mark.parametrize("word", ["None", "none", "-", "Na"])
def test_these_words_are_categories(word):
    write(f"a,b\n1,{word}\n2,y\n3,{word}\n4,y\n")
    found = csv_reader.read(Path("x.csv"))
    assert word in found.categories["b"] and np.isfinite(found.x).all()


def test_the_log_density_in_the_data_s_own_units_has_the_jacobian_of_each_observed_cell():
    """By the change of variables, log p of x is log p of (x − mean) / std minus Σ log std."""
    write(animals(gaps={(3, 1), (3, 2), (7, 1)}))
    data = load_dataset("x.csv", validation=0)
    std = data.scaling.std[3:5]
    wanted = np.full(40, np.log(std).sum())
    wanted[3], wanted[7] = 0, np.log(std[1])
    assert np.allclose(data.scaling.log_size(data.x_train), wanted)
    assert mean_log_size(data.x_train, data.scaling) == pytest.approx(wanted.mean())


def test_codes_become_categories_where_they_are_named():
    write("k,b\n" + "".join(f"{[3, '01', '1.0', ''][i % 4]},{i}.5\n" for i in range(12)))
    assert load_dataset("x.csv").variables[0].kind == "gaussian"
    data = load_dataset("x.csv", categorical="k")
    v = data.variables[0]
    assert (v.kind, v.categories) == ("bernoulli", ("1", "3"))
    again = load_dataset(**config_of(data)["options"])
    assert again.variables == data.variables and np.array_equal(
        again.x_train, data.x_train, equal_nan=True
    )


def test_codes_keep_the_zeros_that_they_have_in_all_rows():
    write("zip,b\n" + "".join(f"{['01004', '90210', '7.0'][i % 3]},{i}.5\n" for i in range(12)))
    data = load_dataset("x.csv", categorical="zip", validation=0)
    assert data.variables[0].categories == ("7.0", "01004", "90210")
    assert data.cells(data.x_train)["zip"][:3] == ["01004", "90210", "7.0"]
    write("zip,b\n1004,0.5\n7,1.5\n", "new.csv")  # as a spreadsheet writes them
    x = read_matrix("new.csv", config_of(data))
    assert data.cells(x)["zip"] == ["01004", "7.0"]


def test_floats_beyond_64_bits_are_no_whole_numbers():
    write("a,b\n1e30,1\n2e30,2\n4e30,9223372036854774784\n")
    assert [v.whole for v in load_dataset("x.csv", validation=0).variables] == [False, True]


def test_a_column_of_numbers_and_a_word_is_asked_about():
    write("k,b\n1,2\n2,3\n3+,4\n1,5\n2,6\n3+,8\n1,2\n1,9\n")
    with pytest.raises(InputError, match=r"line 4, column k: '3\+' is not a finite number"):
        load_dataset("x.csv")
    assert load_dataset("x.csv", categorical="k").variables[0].categories == ("1", "2", "3+")


def test_a_single_word_is_a_constant_and_stays():
    write("k,b\n" + "".join(f"all,{i}.5\n" for i in range(9)))
    v, _ = load_dataset("x.csv").variables
    assert v.kind == "bernoulli" and v.cells(np.array([[0.0], [0.9]])) == ["all", "all"]


def test_names_of_all_words_are_a_header_where_they_do_not_come_again():
    rows = "".join(f"{'ab'[i % 2]},{'uvw'[i % 3]}\n" for i in range(12))
    write("first,second\n" + rows)
    assert csv_reader.read(Path("x.csv")).columns == ("first", "second")
    write(rows)
    assert csv_reader.read(Path("x.csv")).columns == ("1", "2")


def test_an_unnamed_column_that_names_the_rows_is_left_out_and_said():
    write(",a,b\n" + "".join(f"car {i},{i}.5,{i % 3}\n" for i in range(9)))
    data = load_dataset("x.csv")
    assert data.feature_names == ("a", "b")
    assert "its unnamed first column names the rows and is left out" in data.remark


# And back


def test_columns_come_back_as_words_whole_numbers_and_floats():
    kind = Variable("kind", "categorical", ("cat", "dog", "eel"))
    assert kind.cells(np.array([[0.2, 0.5, 0.3], [0.9, 0, 0.1]])) == ["dog", "cat"]
    assert Variable("t", "bernoulli", ("n", "y")).cells(np.array([[0.4], [0.6]])) == ["n", "y"]
    assert Variable("w", "bernoulli").cells(np.array([[0.4], [0.6]])) == [0, 1]
    assert Variable("l", whole=True).cells(np.array([[3.6], [-0.2]])) == [4, 0]
    assert Variable("s").cells(np.array([[3.6]])) == [3.6]


def test_the_way_to_the_model_s_columns_and_back_is_the_identity():
    write(animals())
    data = load_dataset("x.csv", validation=0)
    columns = data.cells(data.x_train)
    assert list(columns) == ["kind", "size", "legs", "tame", "wild"]
    lines = [",".join(map(str, row)) for row in zip(*columns.values(), strict=True)]
    again = [line.split(",") for line in lines]
    wanted = [line.split(",") for line in Path("x.csv").read_text().splitlines()[1:]]
    for row, want in zip(again, wanted, strict=True):
        assert row[0] == want[0] and row[2:] == want[2:]
        assert float(row[1]) == pytest.approx(float(want[1]), abs=1e-5)


def test_values_are_kept_within_the_range_that_was_trained_on():
    listed = [Variable("a", low=0.0, high=2.0), Variable("k", "categorical", ("u", "v", "w"))]
    x = np.array([[-1, 0, 0, 1], [1, 9, 0, 0], [2.5, 0, 1, 0]], float)
    inside, moved = variables.in_range(x, listed)
    assert inside.tolist() == [[0, 0, 0, 1], [1, 9, 0, 0], [2, 0, 1, 0]] and moved == 2
    among = np.zeros((3, 4), bool)
    among[0] = True
    inside, moved = variables.in_range(x, listed, among)
    assert inside[:, 0].tolist() == [0, 1, 2.5] and moved == 1


CRLF = 'a,"b, c",k\r\n# a note\r\n1.50, 02,"x"\r\n,3,y\r\n\r\n"7",NA,"x"\r\n8,9,y\r\n'


def test_what_is_filled_in_is_all_that_changes_in_a_file():
    write(CRLF)
    config = config_of(load_dataset("x.csv"))
    text = text_like("x.csv", config)
    assert text.header(draw=False) + text.filled({}) == CRLF
    filled = text.header(draw=False) + text.filled({(1, 0): 4.25, (2, 1): "u,v"})
    assert filled == CRLF.replace("\r\n,3", "\r\n4.25,3").replace("NA", '"u,v"')
    assert text.header(draw=True) == 'draw,a,"b, c",k\r\n'
    assert text.filled({(2, 1): 5}, draw=2).splitlines()[2] == '2,"7",5,"x"'


def test_a_byte_order_mark_stays_first_and_a_column_named_draw_stays_beside_the_draws():
    write("\ufeffdraw,b\n1,2\n,3\n5,NA\n")
    text = text_like("x.csv", config_of(load_dataset("x.csv", validation=0)))
    assert text.header(draw=False) + text.filled({}) == "\ufeffdraw,b\n1,2\n,3\n5,NA\n"
    assert text.header(draw=True) == "\ufeffdraw_,draw,b\n"
    write("\ufeff1.5,2\n,3\n5,NA\n7,8\n", "y.csv")
    text = text_like("y.csv", config_of(load_dataset("y.csv", validation=0)))
    assert text.header(draw=True) + text.filled({(1, 0): 4}, draw=1) == (
        "\ufeff1,1.5,2\n1,4,3\n1,5,NA\n1,7,8\n"
    )


@pytest.mark.parametrize("text", ["1  .2\n3 NA\n 5 6\n", "1|.2\n3|\n5|6\n", "1\t.2\n\t4\n5\t6"])
def test_other_separators_stay(text):
    write(text, "x.txt")
    config = config_of(load_dataset("x.txt", validation=0))
    layout = text_like("x.txt", config).layout
    whole = Text(Path("x.txt"), layout)
    again = "".join((whole.header(draw=False), whole.filled({})))
    assert again.split() == text.split() and ("\t" in text) == ("\t" in again)


# New data


def test_columns_are_found_by_name_whatever_their_order_and_more_are_left_out():
    write(animals())
    config = config_of(load_dataset("x.csv"))
    header, *rows = [line.split(",") for line in Path("x.csv").read_text().splitlines()]
    order = [4, 2, 0, 3, 1]
    write("id," + ",".join(header[j] for j in order) + "\n" + "".join(
        f"{i}," + ",".join(row[j] for j in order) + "\n" for i, row in enumerate(rows)
    ), "new.csv")  # fmt: skip
    assert np.array_equal(read_matrix("new.csv", config), read_matrix("x.csv", config))


def test_rows_of_new_data_stay_whether_anything_is_observed_or_not():
    write(animals())
    config = config_of(load_dataset("x.csv"))
    write(animals(9, gaps={(2, j) for j in range(5)}), "new.csv")
    x = read_matrix("new.csv", config)
    assert len(x) == 9 and np.isnan(x[2]).all() and np.isfinite(np.delete(x, 2, axis=0)).all()
    assert len(load_dataset("new.csv", validation=0).x_train) == 8


def test_a_column_of_the_run_may_be_all_missing_in_new_data():
    write(animals())
    config = config_of(load_dataset("x.csv"))
    write(animals(6, gaps={(i, 0) for i in range(6)}), "new.csv")
    assert np.isnan(read_matrix("new.csv", config)[:, :3]).all()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("cat,", "fox,", "new.csv, line 2, column kind: 'fox' is none of the categories cat, dog,"
            " eel: correct it, or leave the cell empty"),
        (",n,", ",maybe,", "line 3, column tame: 'maybe' is none of the categories n, y"),
        (",0\n", ",2\n", "has 2 in row 2, column wild (counted from 1), which was 0 or 1"),
        ("kind,", "sort,", "has no column kind (its columns: sort, size, legs, tame, wild), which"
            " the model was trained on: add it; its cells may be empty"),
        ("\n", ",kind\n", "new.csv has two columns kind (columns 1 and 6): rename one"),
    ],
)  # fmt: skip
def test_new_data_of_another_kind_get_one_line(old, new, message):
    write(animals())
    config = config_of(load_dataset("x.csv"))
    write(animals().replace(old, new), "new.csv")
    with pytest.raises(ValueError) as error:
        read_matrix("new.csv", config)
    assert message in str(error.value) and "\n" not in str(error.value)
    assert "drop" not in str(error.value)  # what has no such option


# What cannot be trained on


def wordy(n, K):
    return "name,a\n" + "".join(f"w{i % K},{i}.5\n" for i in range(n))


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        (wordy(40, 40), {}, "x.csv: column name: 40 different values in 40 rows are no categories:"
            " leave out with drop='name', or take as categories with categorical='name'"),
        (wordy(5000, 1000), {}, "1,000 different values in 5,000 rows are no categories: leave out"
            " with drop='name'"),
        (wordy(5000, 1000), {"categorical": "name"}, "1,000 different values in 5,000 rows"),
        (wordy(9, 3).replace("name,a", "a,a"), {}, "x.csv has two columns a (columns 1 and 2):"
            " rename one, or leave one out with drop='2'"),
        ("a,b\n1,\n2,NA\n3,\n", {}, "x.csv has no observed cell in column b, among 2 rows to train"
            " on: leave it out with drop='b'"),
        ("a,b\n1,x\n", {}, "x.csv has 1 row: at least 2, to hold one out"),
        (wordy(9, 3), {"categorical": "c"}, "x.csv has no column 'c' for categorical"),
        (wordy(9, 3), {"categorical": "name", "drop": "name"}, "column name is not trained on"),
        (wordy(9, 3), {"scale": 10}, "x.csv has columns of categories, which no number divides"),
        (wordy(9, 3), {"binarize": "static"}, "x has columns of 0 and 1 or of categories: leave"),
        ("a,b\n1,\n0,1\n1,1\n0,0\n", {"binarize": "static"}, "x has missing cells: leave binarize"),
    ],
)  # fmt: skip
def test_what_cannot_be_trained_on_gets_one_line(text, options, message):
    write(text)
    with pytest.raises(ValueError) as error:
        load_dataset("x.csv", **options)
    assert message in str(error.value) and "\n" not in str(error.value)


def test_many_categories_are_taken_where_they_are_asked_for():
    write(wordy(40, 40))
    assert len(load_dataset("x.csv", categorical="name").variables[0].categories) == 40


def test_an_unnamed_column_gets_a_name_and_is_found_by_it():
    write("a,,c\n1,2,3\n4,5,7\n8,3,1\n")
    data = load_dataset("x.csv")
    assert data.feature_names == ("a", "unnamed 2", "c")
    assert read_matrix("x.csv", config_of(data)).shape == (3, 3)


def test_unnamed_columns_without_a_value_are_left_out_and_said():
    write("a,b,,\n" + "".join(f"{i}.5,{i % 3},,\n" for i in range(9)))
    data = load_dataset("x.csv")
    assert data.feature_names == ("a", "b")
    assert "2 unnamed columns without any value left out" in data.remark
    assert read_matrix("x.csv", config_of(data)).shape == (9, 2)


@pytest.mark.parametrize("amount", ["{}%", "${}", "{} €", "-{},5 %"])
def test_amounts_with_a_sign_are_no_categories(amount):
    write("p;q\n" + "".join(f"{amount.format(i % 4)};{i}\n" for i in range(40)))
    with pytest.raises(InputError, match=r"line 2, column p: .* write the number alone"):
        load_dataset("x.csv")
    assert len(load_dataset("x.csv", categorical="p").variables[0].categories) == 4


def test_a_column_that_is_observed_in_the_held_out_rows_alone_is_named():
    write("a,b\n" + "".join(f"{i},{i if i == 3 else ''}\n" for i in range(30)))
    for seed in range(200):
        try:
            data = load_dataset("x.csv", seed=seed)
        except ValueError as error:  # row 3 is among the test rows
            assert "no observed cell in column b, among 27 rows to train on" in str(error)
            continue
        try:
            hold_out(data)
        except ValueError as error:
            assert "x has no observed cell in column b, among 23 rows" in str(error)
            return
    raise AssertionError("row 3 was never held out")


# Arrays


def test_nan_in_an_array_is_refused_unless_cells_may_be_missing():
    x = np.random.default_rng(0).normal(size=(30, 3))
    x[4, 1] = np.nan
    np.save("x.npy", x)
    with pytest.raises(
        InputError, match=r"has nan in row 5, column 2 .*: remove or replace it, or"
    ):
        load_dataset("x.npy")
    data = load_dataset("x.npy", missing=True, validation=0)
    assert data.missing and np.isnan(data.x_train).sum() == 1
    assert np.isnan(read_matrix("x.npy", config_of(data))).sum() == 1
    vae = VAE(3, 1, hidden=(), missing=True, backend="numpy")
    assert np.isfinite(fit(vae, data.x_train, epochs=1, progress=False)[0]["loss"])
    x[:, 2] = np.nan
    np.save("x.npy", x)
    with pytest.raises(InputError, match="no observed cell in column 3, among 27 rows"):
        load_dataset("x.npy", missing=True)
    x[0, 2] = np.inf
    np.save("x.npy", x)
    with pytest.raises(InputError, match="has inf in row 1, column 3"):
        load_dataset("x.npy", missing=True, validation=0)


def test_the_statistics_of_observed_cells_are_numpy_s():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 4)) * [1, 50, 1e-3, 1] + [0, 1e6, 0, -3]
    x[rng.random(x.shape) < 0.3] = np.nan
    np.savetxt("x.csv", x, delimiter=",", header="a,b,c,d", comments="")
    scaling = load_dataset("x.csv", validation=0).scaling
    assert np.allclose(scaling.mean, np.nanmean(x, axis=0), rtol=1e-12)
    assert np.allclose(scaling.std, np.nanstd(x, axis=0), rtol=1e-9)
