"""The table of mutants fits the current tree; `python tests/support/mutants.py` tries them, in minutes."""

import shutil

import pytest
from mutants import MUTANTS
from places import REPO


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_every_mutant_finds_its_line_and_its_tests(mutant, tmp_path):
    (tmp_path / mutant.file).parent.mkdir(parents=True)
    shutil.copy(REPO / mutant.file, tmp_path / mutant.file)
    mutant.apply(tmp_path)
    assert (tmp_path / mutant.file).read_text() != (REPO / mutant.file).read_text()
    with pytest.raises(ValueError, match="0 times instead of once"):
        mutant.apply(tmp_path)
    for test in mutant.tests:
        path, function = test.partition("[")[0].split("::")
        assert f"def {function}(" in (REPO / path).read_text()
