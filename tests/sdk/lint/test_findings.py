from __future__ import annotations

from pathlib import Path

import pytest

from pgflow.sdk.lint import lint_file, lint_source
from tests.sdk.lint.snippets import body, codes


@pytest.mark.parametrize(
    "comment",
    [
        "# pgflow: ignore",
        "#pgflow:ignore",
        "# pgflow: ignore[PGF101]",
        "# pgflow: ignore[PGF119, pgf101]",
        "# pgflow: ignore (known)",
        "# noqa  # pgflow: ignore[PGF101]",
    ],
)
def test_a_comment_silences_its_line(comment: str) -> None:
    assert body(f"time.time()  {comment}") == []
    assert codes(body(f"time.time()  {comment}\ntime.time()")) == ["PGF101"]


@pytest.mark.parametrize(
    "comment",
    ["# pgflow: ignore[PGF102]", "# pgflow: ignore[]", "# pgflow: ignore[PGF101", "# pgflow: ignored", "# ignore"],
)
def test_other_comments_silence_nothing(comment: str) -> None:
    assert codes(body(f"time.time()  {comment}")) == ["PGF101"]


def test_a_comment_within_a_string_silences_nothing() -> None:
    assert codes(body("time.time(); x = '# pgflow: ignore'")) == ["PGF101"]


def test_an_expression_over_several_lines_is_silenced_at_either_end() -> None:
    for text in ("requests.get(  {}\n    given,\n)", "requests.get(\n    given,\n)  {}"):
        assert codes(body(text.format(""))) == ["PGF105"]
        assert body(text.format("# pgflow: ignore[PGF105]")) == []


def test_clauses_are_told_and_silenced_at_their_own_line() -> None:
    text = "try:\n    await ctx.sleep(5)\nexcept:{}\n    pass\nelse:\n    pass\nfinally:{}\n    # why\n    given()"
    found = body(text.format("", ""))
    first = found[0].line
    assert [(finding.code, finding.line - first) for finding in found] == [("PGF111", 0), ("PGF113", 4)]
    assert codes(body(text.format("  # pgflow: ignore", ""))) == ["PGF113"]
    assert codes(body(text.format("", "  # pgflow: ignore"))) == ["PGF111"]


def test_columns_count_characters() -> None:
    found = lint_source("import time\n@a.workflow\ndef flow(ctx):\n    'äö€😀'; time.time()\n")
    assert [(finding.line, finding.column) for finding in found] == [(4, 13)]


def test_lines_end_as_python_says() -> None:
    for end in ("\n", "\r\n", "\r"):
        text = end.join(["import time", "@a.workflow", "def flow(ctx):", "    '\x0c'", "    time.time()", ""])
        assert [finding.line for finding in lint_source(text)] == [5], repr(end)


@pytest.mark.parametrize(
    ("data", "line", "said"),
    [
        (b"x = 1\ndef broken(:\n", 2, "does not parse: invalid syntax"),
        (b"x = '\xff'\n", 1, "does not decode"),
        (b"# coding: nonsense\n", 1, "does not decode: unknown encoding: nonsense"),
        (b"x = '\0'\n", 1, "does not parse: source code string cannot contain null bytes"),
        (b"x = " + b"(" * 5000, 1, "does not parse: too many nested parentheses"),
        (b"x = " + b"-" * 200_000 + b"1", 1, "does not parse: it nests too deeply"),
    ],
)
def test_a_file_that_cannot_be_read_is_a_finding(tmp_path: Path, data: bytes, line: int, said: str) -> None:
    path = tmp_path / "flow.py"
    path.write_bytes(data)
    (finding,) = lint_file(path)
    assert (finding.code, finding.path, finding.line) == ("PGF100", str(path), line)
    assert finding.message.startswith(said)


def test_a_file_that_is_not_there_is_a_finding(tmp_path: Path) -> None:
    (finding,) = lint_file(tmp_path / "none.py")
    assert (finding.code, finding.message) == ("PGF100", "cannot be read: No such file or directory")


def test_a_file_in_another_encoding_is_read(tmp_path: Path) -> None:
    path = tmp_path / "flow.py"
    text = "# coding: latin-1\nimport time\n@a.workflow\ndef flow(ctx):\n    'ä'; time.time()\n"
    path.write_bytes(text.encode("latin-1"))
    assert [(finding.code, finding.column) for finding in lint_file(path)] == [("PGF101", 10)]
    path.write_bytes(b"\xef\xbb\xbf" + text.replace("latin-1", "utf-8").encode())
    assert [(finding.code, finding.column) for finding in lint_file(path)] == [("PGF101", 10)]
