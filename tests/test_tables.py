"""Tables in text as people have them: separators, headers, comments, indices, labels, columns and
compression are read rightly, and whatever is in the way gets one line with its place and remedy."""

import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from tinyvae.core.errors import InputError
from tinyvae.data import csv_reader, load_dataset, read_labelled, read_matrix

X = np.round(np.random.default_rng(0).normal(size=(30, 3)), 3)


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def write(name, text, encoding="utf-8"):
    opener = gzip.open if name.endswith(".gz") else open
    with opener(name, "wb") as file:
        file.write(text.encode(encoding))


def table(x=X, header="a,b,c", sep=",", first=""):
    lines = [sep.join(map(str, row)) for row in np.asarray(x).tolist()]
    return first + "\n".join([header.replace(",", sep)] * bool(header) + lines) + "\n"


def read(name="x.csv", labels=None, **options):
    return csv_reader.read(Path(name), labels, **options)


def indexed(numbers):
    return "".join(
        f"{i},{','.join(map(str, row))}\n" for i, row in zip(numbers, X.tolist(), strict=True)
    )


@pytest.mark.parametrize(
    ("name", "text"),
    [
        *((f"x{s}", table(sep=sep)) for s in (".csv", ".txt") for sep in (",", ";", "\t", "|")),
        ("x.tsv", table(sep="\t")),
        ("x.CSV", table()),
        ("x.csv.gz", table()),
        ("x.txt", table(sep="   ")),
        ("x.txt", "\n".join("  " + "  ".join(map(str, r)) + " " for r in X.tolist())),
        ("x.txt", '"a" "b" "c"\n' + indexed(range(1, 31)).replace(",", " ")),  # R: write.table
        ("x.csv", '"","a","b","c"\n' + indexed(range(1, 31))),  # R: write.csv
        ("x.csv", ",a,b,c\n" + indexed(range(30))),  # pandas
        ("x.csv", ",a,b,c\n" + indexed(np.random.default_rng(1).permutation(99)[:30])),
        ("x.csv", table(first="# made by hand\n#\n\n")),
        ("x.csv", table(first="# one of many\n" * 500)),
        ("x.csv", table(header="# a,b,c")),  # np.savetxt
        ("x.csv", table(X[:2]) + "# a comment\n" + table(X[2:], header="")),
        ("x.csv", table().replace("\n", "\r\n")),
        ("x.csv", "\ufeff" + table()),
        ("x.csv", table([[f"{value:.4e}" for value in row] for row in X.tolist()])),
    ],
)
def test_a_table_is_read_whatever_its_layout(name, text):
    write(name, text)
    found = read(name)
    assert np.array_equal(found.x, X) and found.labels is None
    assert found.columns == (("a", "b", "c") if found.named else ("1", "2", "3"))


def test_what_is_left_out_is_said():
    write("x.csv", ",a,b,c\n" + indexed(range(5, 35)))
    assert "unnamed first column counts the rows and is left out" in load_dataset("x.csv").remark
    write("x.csv", table(first="# one\n# two\n"))
    assert "2 comment lines left out" in load_dataset("x.csv").remark


def test_rows_without_a_value_and_named_columns_that_count_are_said():
    write("x.csv", table() + ",,\n , ,\n")
    assert len(read().x) == 30 and read().remark == "2 rows without any value left out"
    write("x.csv", "id,a,b,c\n" + indexed(range(1, 31)))
    assert read().x.shape == (30, 4) and "column id counts the rows: drop it" in read().remark
    write("x.csv", "Unnamed: 0,a,b,c\n" + indexed(range(30)))
    assert read().x.shape == (30, 3)


def test_an_unnamed_column_of_measurements_stays():
    write("x.csv", table(header=",b,c"))
    assert read().x.shape == (30, 3)


COUNTED = "4,2,cat,dog\n1.5,2,0\n3,4,1\n5,6,1\n7,8,0\n"


def test_a_first_line_of_counts_names_the_classes_of_the_last_column():
    write("x.csv", COUNTED)
    found = read()
    assert found.x.tolist() == [[1.5, 2], [3, 4], [5, 6], [7, 8]]
    assert found.labels.tolist() == ["cat", "dog", "dog", "cat"]
    write("x.csv", COUNTED.replace("7,8,0\n", ""))
    with pytest.raises(ValueError, match=r"counts 4 rows, it has 3: is it cut off?"):
        read()


@pytest.mark.parametrize(
    ("header", "asked"),
    [
        ("2001,2002,2003", True),  # years
        ("400,410.5,421", True),  # wavelengths, equally spaced
        ("0,1,2", True),  # a frame's columns without names
        ("7,19,3", True),  # whole numbers above fractions
        ("0.31,-0.2,1.4", False),
    ],
)
def test_a_header_of_numbers_is_asked_about(header, asked):
    write("x.csv", table(header=header))
    if asked:
        with pytest.raises(ValueError, match=r"may name the columns .*header='yes' or header='no'"):
            read()
    assert len(read(header="no").x) == 31
    found = read(header="yes")
    assert len(found.x) == 30 and found.columns == tuple(header.split(","))


def test_rising_rows_are_no_header():
    write("x.csv", table(np.cumsum(np.abs(X), axis=1).repeat(2, axis=1), header=""))
    assert len(read().x) == 30


@pytest.mark.parametrize(
    ("columns", "drop", "kept"),
    [
        ("a,c", None, "ac"), ("1-2", None, "ab"), ("c,a", None, "ac"), (None, "b", "ac"),
        (None, "2-3", "a"), ("a-c", "b", "ac"), (None, [1, "c"], "b"), (2, None, "b"),
        (["a", 3], None, "ac"), ("a , b", None, "ab"),
    ],
)  # fmt: skip
def test_columns_are_chosen_by_names_numbers_and_ranges(columns, drop, kept):
    write("x.csv", table())
    found = read(columns=columns, drop=drop)
    assert found.columns == tuple(kept)
    assert np.array_equal(found.x, X[:, ["abc".index(name) for name in kept]])


@pytest.mark.parametrize("text", ["a,d\n", "a,b,c,d\n"])
def test_a_left_out_column_hides_no_ragged_line(text):
    write("x.csv", "a,b,c\n1,2,x\n3,4,y,z\n")
    with pytest.raises(ValueError, match="line 3 has 4 columns instead of 3"):
        read(drop="c")


def test_a_comma_in_text_shifts_no_names():
    write("x.csv", "name,x,y\n" + "".join(f"Smith, {i},{i}.5,1.{i}\n" for i in range(9)))
    for drop in (None, "1", "name"):
        with pytest.raises(ValueError, match="line 2 has 4 columns instead of 3"):
            read(drop=drop)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"drop": "d"}, r"no column 'd' for drop \(its columns: a, b, c\)"),
        ({"columns": "4"}, "no column '4' for columns"),
        ({"columns": "c-a"}, "no column 'c-a'"),
        ({"drop": "a-c"}, "no column is left to train on"),
        ({"header": "maybe"}, "header='maybe': expected auto, yes or no"),
    ],
)
def test_columns_that_there_are_not_are_refused(option, message):
    write("x.csv", table())
    with pytest.raises(ValueError, match=message):
        read(**option)


def test_a_name_that_two_columns_have_is_refused():
    write("x.csv", table(header="a,a,c"))
    with pytest.raises(ValueError, match="several columns a: give its number"):
        read(drop="a")
    assert read(drop="2").columns == ("a", "c")


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        (
            "a,b\nmm,g\n1,2\n3,4\n", {},
            "line 2, column a: 'mm' is not a finite number: leave the cell empty (missing), or the"
            " column out with drop='a', or take it as categories with categorical='a'",
        ),
        ("a,b\nmm,g\n1,2\n3,4\n", {"drop": "a"}, "line 2, column b: 'g' is not"),
        ("a,b,c\n1,2,3\n4,x,6\n7,8,9\n", {"drop": "c"}, "the column out with drop='c,b', or"),
        ("a|b\n1|x\n2|3\n2|4\n", {}, "line 2, column b: 'x' is not a finite number"),
        ("a,b\n1,inf\n2,3\n", {}, "line 2, column b: 'inf' is not a finite number: leave the cell"),
        ('a,b\n"1,000",2\n"2,000",3\n', {}, "'1,000' has a comma: remove it where it separates"),
        ("a;b\n1,5;2\n2,25;3\n", {}, "has numbers with decimal commas: write them with decimal"),
    ],
)  # fmt: skip
def test_a_cell_that_is_no_number_gets_its_place_and_what_can_be_done(text, options, message):
    write("x.csv", text)
    with pytest.raises(InputError) as error:
        read(**options)
    assert message in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16"])
def test_another_encoding_is_asked_to_be_utf_8(encoding):
    write("x.csv", table(header="Größe,b,c"), encoding)
    with pytest.raises(ValueError, match=r"x\.csv is not a text file in UTF-8.*save it as text in"):
        read()


def test_a_compressed_file_that_is_cut_off_is_said_to_be():
    write("x.csv.gz", table())
    content = Path("x.csv.gz").read_bytes()
    for cut in (content[:60], b"hello"):
        Path("x.csv.gz").write_bytes(cut)
        with pytest.raises(ValueError, match=r"x\.csv\.gz cannot be read"):
            read("x.csv.gz")


# Scaling


def test_a_table_is_standardised_and_says_so_unless_told_otherwise():
    write("x.csv", table(X * 1000 + 5000))
    data = load_dataset("x.csv")
    assert data.scaling.kind == "standardize" and "scale none leaves" in data.describe()
    assert np.allclose(data.x_train.mean(axis=0), 0, atol=1e-6)
    assert load_dataset("x.csv", scale="none").scaling.kind == "none"
    np.save("x.npy", X)
    assert load_dataset("x.npy").scaling.kind == "none"


def test_a_table_to_be_binarized_is_not_standardised():
    write("x.csv", table(np.random.default_rng(0).random((20, 4)), header="a,b,c,d"))
    assert set(np.unique(load_dataset("x.csv", binarize="static").x_train)) == {0, 1}


@pytest.mark.parametrize("header", [True, False])
def test_columns_of_pixels_are_divided_by_255_and_are_images(header):
    pixels = np.random.default_rng(0).integers(0, 256, (20, 64))
    labelled = np.c_[np.arange(20) % 10, pixels]
    names = "label," + ",".join(f"pixel{i}" for i in range(64))
    write("x.csv", table(labelled, header=names if header else ""))
    if not header:
        with pytest.raises(ValueError, match=r"one more than 8 × 8 pixels have.*labels=1 or"):
            load_dataset("x.csv")
    data = load_dataset("x.csv", labels=None if header else "1")
    assert data.label_names == tuple("0123456789") and data.image_shape == (8, 8)
    assert data.scaling.unit and data.x_train.max() == 1 and "taken for pixels" in data.describe()


def test_few_whole_levels_in_many_columns_are_no_pixels():
    write("x.csv", table(np.random.default_rng(0).integers(0, 17, (20, 70)), header=""))
    assert load_dataset("x.csv").scaling.kind == "standardize"


def test_a_column_constant_in_training_only_is_named_with_the_row():
    x = np.c_[X, np.ones(30)]
    write("x.csv", table(x, header="a,b,c,flag"))
    data = load_dataset("x.csv")
    assert "1 constant column becomes 0 (column flag)" in data.describe()
    config = json.loads(json.dumps(data.to_config()))
    x[4, 3] = 5000
    write("new.csv", table(x[:6], header="a,b,c,flag"))
    with pytest.raises(ValueError, match=r"has 5000 in row 5, column flag .*trained on have 1: "):
        read_matrix("new.csv", config)
    first = data.scaling.undo(data.x_test)[0, :3]
    held_out = int(np.argmin(np.abs(X - first).sum(axis=1)))
    x[4, 3], x[held_out, 3] = 1, 7
    write("x.csv", table(x, header="a,b,c,flag"))
    with pytest.raises(ValueError, match=f"has 7 in row {held_out + 1}, column flag"):
        load_dataset("x.csv")


def test_what_is_undone_keeps_the_digits_of_the_data():
    times = 1.7e9 + np.arange(300.0) * 7
    write("x.csv", table(np.c_[times, times % 60], header="time,b"))
    data = load_dataset("x.csv")
    undone = data.scaling.undo(data.x_train)
    assert undone.dtype == np.float64
    assert np.abs(undone[:, 0][:, None] - times).min(axis=1).max() < 0.01
    np.save("x.npy", np.c_[times, times % 60])
    assert "column 1 is rounded to steps of 128" in load_dataset("x.npy").describe()


def test_with_no_part_held_out_all_rows_are_trained_on():
    write("x.csv", table())
    data = load_dataset("x.csv", validation=0)
    assert len(data.x_train) == 30 and "(the same rows)" in data.describe()


# Labels


def labelled(values):
    rows = zip(X.tolist(), values, strict=True)
    return "a,kind,b\n" + "".join(f"{row[0]},{value},{row[1]}\n" for row, value in rows)


@pytest.mark.parametrize("form", ["{}", "{}.0", "{}.000000000000000000e+00"])
def test_whole_numbers_are_labels_however_they_are_written(form):
    write("x.csv", labelled([form.format(i % 3) for i in range(30)]))
    data = load_dataset("x.csv", labels="kind")
    assert data.label_names == ("0", "1", "2")
    assert "3 labels: 0 (10), 1 (10), 2 (10)" in data.describe()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (X[:, 2], "labels of type float64, such as "),
        (["x", "y", ""] * 10, r"no label in row 3 \(''\): fill it in, or remove the row"),
        (["1", "2", "nan"] * 10, r"no label in row 3 \('nan'\)"),
        (range(100, 130), "30 different labels in 30 rows: labels are classes"),
    ],
)
def test_what_is_no_class_is_refused_as_a_label(values, message):
    write("x.csv", labelled(values))
    with pytest.raises(ValueError, match=message):
        load_dataset("x.csv", labels="kind")


@pytest.mark.parametrize("header", ["kind,a,b", ""])
def test_new_data_may_come_without_the_columns_that_were_left_out(header):
    x = np.c_[np.arange(30) % 2, X[:, :2]]
    write("old.csv", table(x, header=header))
    write("bare.csv", table(X[:4, :2], header=header[5:]))
    config = load_dataset("old.csv", labels="1").to_config()
    assert config["n_features"] == 2 and read_labelled("old.csv", config)[1] is not None
    rows, labels = read_labelled("bare.csv", config)
    assert rows.shape == (4, 2) and labels is None
    assert np.array_equal(rows, read_matrix("old.csv", config)[:4])
    dropped = load_dataset("old.csv", drop="1").to_config()
    assert np.array_equal(read_matrix("bare.csv", dropped), read_matrix("old.csv", dropped)[:4])


@pytest.mark.parametrize("header", ["2001,2002,2003", ""])
def test_new_data_are_never_asked_about_their_header(header):
    write("old.csv", table(header=header))
    config = load_dataset("old.csv", header="yes" if header else "auto").to_config()
    wanted = read_matrix("old.csv", config)
    write("new.csv", table([[1, 2, 3], *X.tolist()], header=header))  # may name columns
    assert np.array_equal(read_matrix("new.csv", config)[1:], wanted)
    write("bare.csv", table([[1, 2, 3], *X.tolist()], header=""))
    options = config["options"] | {"header": "auto"}
    assert np.array_equal(read_matrix("bare.csv", config | {"options": options})[1:], wanted)
