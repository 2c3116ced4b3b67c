"""The check for names that are defined twice finds them, and holds for the tree as it is."""
import pathlib
import subprocess

import check_names

ROOT = pathlib.Path(__file__).resolve().parents[2]
HEADER = ["namespace bessemer {", "struct Thing {", "  int a;", "};", "inline int half(int x) {", "  return x / 2;", "}",
          "}  // namespace bessemer"]


def found(*sources):
    return list(check_names.collisions(sources))


def test_the_tree_is_clean():
    files = subprocess.run(["git", "-C", ROOT, "ls-files", "*.h", "*.cpp"], check=True, capture_output=True, text=True).stdout.split()
    assert len(files) > 100
    assert found(*((file, (ROOT / file).read_text(encoding="utf-8").splitlines()) for file in files)) == []


def test_two_headers():
    problems = found(("router/a.h", HEADER), ("worker/b.h", HEADER))
    assert len(problems) == 2
    assert "worker/b.h:2: bessemer::Thing is defined in router/a.h:2 too" in problems[0]


def test_unnamed_namespaces_and_nested_types_are_their_own():
    hidden = ["namespace bessemer {", "namespace {", *HEADER[1:-1], "}  // namespace", "struct Thing::Part {", "};", HEADER[-1]]
    assert found(("router/a.h", HEADER), ("worker/b.cpp", hidden)) == []


def test_overloads_differ():
    other = [line.replace("int x", "float x").replace("struct Thing", "struct Other") for line in HEADER]
    assert found(("router/a.h", HEADER), ("worker/b.h", other)) == []


def test_programs_of_tests_are_kept_from_the_product_only():
    assert len(found(("tests/a.cpp", HEADER), ("tests/b.cpp", HEADER), ("router/c.h", HEADER))) == 4
    assert found(("tests/a.cpp", HEADER), ("tests/b.cpp", HEADER)) == []
