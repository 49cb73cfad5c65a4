from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.cli.conftest import invoke

GOOD = "@app.workflow\nasync def flow(ctx):\n    await ctx.sleep(ctx.random())\n"
BAD = "import time\n@app.workflow\ndef flow(ctx):\n    return time.time()\n"
DOUBTFUL = "@app.workflow\ndef flow(ctx):\n    print('x')\n"


@pytest.fixture
def flows(tmp_path: Path) -> Path:
    """A folder with one file of each kind, and what is none of ours."""
    folder = tmp_path / "flows"
    for name, text in {
        "good.py": GOOD, "bad.py": BAD, "inner/doubtful.py": DOUBTFUL, "notes.txt": BAD, ".hidden/x.py": BAD,
        ".venv/x.py": BAD, "node_modules/x.py": BAD, "__pycache__/x.py": BAD, "env/pyvenv.cfg": "", "env/lib/x.py": BAD,
    }.items():  # fmt: skip
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def test_findings_are_told_with_their_place_and_what_to_do(flows: Path) -> None:
    answer = invoke("lint", "flows")
    assert answer.out.splitlines() == [
        "flows/bad.py:4:12 PGF101 `time.time()` is another time at every replay",
        "  -> `ctx.now()` is recorded",
        "flows/inner/doubtful.py:3:5 PGF119 `print()` writes again at every replay",
        "  -> `ctx.log(...)` writes once",
    ]
    assert answer.err == "1 error and 1 warning in 3 files\n"
    assert answer.code == 1


def test_findings_are_told_as_json(flows: Path) -> None:
    answer = invoke("lint", "flows", "--json")
    assert (answer.code, answer.err) == (1, "")
    assert {name: answer.json[name] for name in ("ok", "files", "errors", "warnings")} == {
        "ok": False, "files": 3, "errors": 1, "warnings": 1,
    }  # fmt: skip
    assert answer.json["findings"][0] == {
        "path": "flows/bad.py",
        "line": 4,
        "column": 12,
        "code": "PGF101",
        "level": "error",
        "message": "`time.time()` is another time at every replay",
        "hint": "`ctx.now()` is recorded",
    }


@pytest.mark.parametrize(
    ("args", "code"),
    [
        (["flows/good.py"], 0),
        (["flows/good.py", "--strict"], 0),
        (["flows/inner"], 0),
        (["flows/inner", "--strict"], 1),
        (["flows/good.py", "flows/bad.py"], 1),
        (["flows/notes.txt"], 1),
        (["flows/.hidden"], 1),
        (["flows/absent"], 2),
    ],
)
def test_errors_fail_and_warnings_only_when_it_is_strict(flows: Path, args: list[str], code: int) -> None:
    assert invoke("lint", *args).code == code
    assert invoke("lint", *args, "--json").code == code


def test_without_a_path_it_looks_here(flows: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(flows)
    answer = invoke("lint")
    assert answer.out.startswith("bad.py:4:12 PGF101 ")
    assert answer.err == "1 error and 1 warning in 3 files\n"


def test_a_file_that_is_named_twice_is_told_once(flows: Path) -> None:
    assert len(invoke("lint", "flows", "flows/bad.py", flows / "bad.py", "--json").json["findings"]) == 2


def test_a_file_that_does_not_parse_is_no_traceback(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("def broken(:\n")
    answer = invoke("lint")
    assert (answer.code, answer.err) == (1, "1 error and 0 warnings in 1 file\n")
    assert answer.out.splitlines()[0].startswith("broken.py:1:12 PGF100 does not parse: ")


def test_a_name_that_is_no_text_is_told_all_the_same(tmp_path: Path) -> None:
    os.mkdir(b"ev\xffil\x1b")  # noqa: PTH102 (a path cannot be made of bytes)
    Path(os.fsdecode(b"ev\xffil\x1b"), "x.py").write_text(BAD)
    assert invoke("lint").out.startswith("ev?il\\x1b/x.py:4:12 PGF101 ")
    assert invoke("lint", "--json").json["errors"] == 1


def test_an_empty_folder_is_fine(tmp_path: Path) -> None:
    answer = invoke("lint")
    assert (answer.code, answer.out, answer.err) == (0, "", "0 errors and 0 warnings in 0 files\n")
