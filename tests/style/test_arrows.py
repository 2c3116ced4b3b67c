"""The include-direction check fails when an arrow is reversed, and holds for the tree as it is."""
import pathlib
import shutil

import check_arrows

ROOT = pathlib.Path(__file__).resolve().parents[2]


def small_tree(tmp_path, source):
    (tmp_path / "cmake").mkdir()
    shutil.copy(ROOT / "cmake" / "arrows.txt", tmp_path / "cmake")
    for header in ("worker/engine/step.h", "worker/backend/backend.h", "common/check.h"):
        (tmp_path / header).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / header).write_text("#pragma once\n")
    (tmp_path / "worker/engine/scheduler.cpp").write_text(source)
    return check_arrows.check(tmp_path)[1]


def test_the_tree_is_clean():
    count, problems = check_arrows.check(ROOT)
    assert count > 50
    assert problems == []


def test_allowed_arrow(tmp_path):
    assert small_tree(tmp_path, '#include "worker/engine/step.h"\n#include "common/check.h"\n') == []


def test_reversed_arrow(tmp_path):
    problems = small_tree(tmp_path, '#include "worker/backend/backend.h"\n')
    assert len(problems) == 1
    assert "worker/engine must not include worker/backend/backend.h" in problems[0]


def test_unknown_file(tmp_path):
    problems = small_tree(tmp_path, '#include "step.h"\n')
    assert len(problems) == 1 and "include by the path from the root" in problems[0]
