"""Tables as spreadsheets, and people in a hurry, save them."""

import gzip

import pytest

from mgca_mm.errors import UserError
from mgca_mm.tables import LABEL_VALUES, is_name, read_table

COLUMNS = ("image", "report")
TEXT = 'image;report\r\nim/0.png;"The lungs; clear,\r\nheart normal."\r\nim/1.png;Caf\xe9-au-lait spot.\r\n'
ROWS = [("im/0.png", "The lungs; clear,\r\nheart normal.", 3), ("im/1.png", "Caf\xe9-au-lait spot.", 4)]


def read(folder, content, columns=COLUMNS, name="pairs.csv"):
    path = folder / name
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    return list(read_table(path, columns))


def refusal(folder, content, **options):
    with pytest.raises(UserError) as caught:
        read(folder, content, **options)
    assert len(str(caught.value).splitlines()) <= 2
    return str(caught.value).replace(f"{folder}/", "")


@pytest.mark.parametrize("name", ["pairs.csv", "pairs.csv.gz"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_delimiters_and_encodings(tmp_path, delimiter, encoding, name):
    text = TEXT.replace("image;", f"image{delimiter}").replace("png;", f"png{delimiter}")
    rows = read(tmp_path, text.encode(encoding), name=name)
    assert [(row["image"], row["report"], row.line) for row in rows] == ROWS


def test_utf_16_of_the_other_order_with_its_mark(tmp_path):
    rows = read(tmp_path, b"\xfe\xff" + TEXT.encode("utf-16-be"))
    assert [row["image"] for row in rows] == ["im/0.png", "im/1.png"]


@pytest.mark.parametrize("first", ["sep=;\r\n", '"sep=;"\n', "SEP=;\n"])
def test_a_line_that_states_the_delimiter(tmp_path, first):
    rows = read(tmp_path, (first + TEXT).encode("utf-8-sig"))
    assert [(row["image"], row["report"], row.line - 1) for row in rows] == ROWS
    message = refusal(tmp_path, (first + TEXT.replace("image", "file")).encode())
    assert message.startswith("pairs.csv, line 2: no column 'image' in the header; it has file, report\n")


def test_the_header_alone_decides_and_the_comma_first(tmp_path):
    """Rows with more semicolons than commas are still a table of commas."""
    (row,) = read(tmp_path, b"image,report,a;b\nx;y;z.png,a;b;c;d,1\n")
    assert dict(row) == {"image": "x;y;z.png", "report": "a;b;c;d", "a;b": "1"}
    assert "line 2: more cells than columns; is a semicolon without" in refusal(tmp_path, b"image;report\na;b;c\n")


def test_marks_and_spaces_around_names(tmp_path):
    (row,) = read(tmp_path, "\ufeff\ufeffimage , \xa0report\na,b\n".encode())
    assert dict(row) == {"image": "a", "report": "b"}


@pytest.mark.parametrize(
    ("header", "named"),
    [
        ("Image,Report", "Image, Report"),
        ("Image;Report", "Image, Report"),
        ("IMAGE\tREPORT\tAge", "IMAGE, REPORT, Age"),
        ("image_path,caption", "image_path, caption"),
        ("'image','report'", "'image', 'report'"),
        ("path_to_image,ImageID,Finding Labels,Befund", "path_to_image, ImageID, Finding Labels, 1 more"),
        (",".join(("id", "age", "sex") * 4), "id, age, sex, id, age, sex, id, age, 4 more"),
        # Rows of data, where a header is missing.
        ("scans/a.png,normal", None),
        ("JANE SMITH,COUGH FOR WEEKS,Doe John", None),
        ("doe,jane,cough", None),
        ("Doe;Jane;Pneumonia;F", None),
        ("Doe\tEdema\tfrontal", None),
        ("p17,normal", None),
        ("Smith,The heart is normal in size", None),
        ("Smith,The lungs are clear.", None),
        ("Doe,\u202ereversed", None),
        ("Doe,caf\udce9", None),
        (f"Doe,{'x' * 50}", None),
    ],
)
def test_other_names_are_named_but_no_data(tmp_path, header, named):
    message = refusal(tmp_path, f"{header}\na,b\n".encode("utf-8", "surrogateescape"))
    found = "" if named is None else f"; it has {named}"
    assert message.splitlines()[0] == f"pairs.csv, line 1: no column 'image', 'report' in the header{found}"


@pytest.mark.parametrize(
    "content",
    [
        "image,report\na.png,Clear.,\nb.png,Large.,,,\n",
        "image;report;;\na.png;Clear.;;\n;;;\nb.png;Large.;;\n ; ;;\n",
        "\n\r\nimage,report\n\na.png,Clear.\n\nb.png,Large.\n",
        ";;\n;;\nimage;report;\na.png;Clear.;\nb.png;Large.;\n",
        "sep=;\n\nimage;report\na.png;Clear.\nb.png;Large.\n",
        'image, report\na.png, "Clear."\nb.png, Large.\n',
    ],
)
def test_cells_and_lines_without_text(tmp_path, content):
    rows = read(tmp_path, content.encode())
    assert [(row["image"], row["report"]) for row in rows] == [("a.png", "Clear."), ("b.png", "Large.")]


def test_a_space_before_quotation_marks(tmp_path):
    (row,) = read(tmp_path, b'image, report, "age, years"\na.png, "Clear, dry", 3\n')
    assert dict(row) == {"image": "a.png", "report": "Clear, dry", "age, years": "3"}
    assert "line 2: more cells than columns; is a comma" in refusal(tmp_path, b"image,report\na,b,,c\n")


def test_names():
    assert is_name("Pleural Effusion") and is_name("patient_id") and is_name("Größe (mm)")
    assert not any(map(is_name, ("", "1", "a.png", "p0", "no acute disease is seen here", "x" * 41, "a\nb", "-")))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"PK\3\4 and more", "a zip file or a workbook of Excel (.xlsx)\nUnpack it, or save the sheet as CSV UTF-8"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "a workbook of Excel (.xls)\nSave the sheet as CSV UTF-8"),
        (gzip.compress(b"image,report\n", mtime=0), "a gzip file\nRename it to end in .gz"),
        (b"\n <!doctype html><p>Log in</p>", "a web page\nDownload the file again, with your login if it takes one"),
        (TEXT.encode("utf-16")[:-1], "truncated, or not UTF-16 all through\nSave it again, as CSV UTF-8"),
        ("image,report\na,b\n".encode("utf-16") + b"\x00\xdc", "truncated, or not UTF-16 all through"),
        ("图像,image,report\na,b,c\n".encode("utf-16-le"), "UTF-16 without a byte order mark, or UTF-32\nSave it as"),
        (TEXT.encode("utf-32"), "UTF-16 without a byte order mark, or UTF-32\nSave it as CSV UTF-8"),
        (TEXT.encode("utf-32-be"), "UTF-16 without a byte order mark, or UTF-32\nSave it as CSV UTF-8"),
    ],
    ids=["zip", "xls", "gzip", "web page", "UTF-16 cut off", "half a pair", "UTF-16 of Chinese", "UTF-32", "UTF-32-BE"],
)
def test_other_formats_are_named(tmp_path, content, message):
    assert refusal(tmp_path, content).startswith(f"pairs.csv: {message}")


def test_decimal_commas_beside_semicolons(tmp_path):
    (row,) = read(tmp_path, b"a;b;c;d\n0,5;1,0;1.000,5;1,000,5\n", ("a",))
    assert row.number("a") == 0.5 and row.choice("b", LABEL_VALUES) == 1
    for column in "cd":
        with pytest.raises(UserError, match=f"line 2: column '{column}' is not a number"):
            row.number(column)
    (row,) = read(tmp_path, b'a,b\n"0,5",1\n', ("a",))
    with pytest.raises(UserError, match="column 'a' is not a number"):  # It could be a thousands separator.
        row.number("a")


def test_a_quotation_mark_left_open_joins_no_rows(tmp_path):
    table = tmp_path / "labels.csv"
    table.write_text('image,report\na.png,"no change\nb.png,"stable, as before"\n')
    with pytest.raises(UserError, match="Is a quotation mark left open"):
        list(read_table(table, ("image",)))
