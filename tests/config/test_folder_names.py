import os

import pytest

from topiclab.config.compose import compose_cell
from topiclab.config.folder_names import folder_name

USUAL = [
    "lee/theta/lsa-zero_shot/bow/K50/data.vocabulary.ngrams=[1,2],model.dropout=0.1/seed0",
    "lee//bow/data.vocabulary.token_pattern='[^\\s\\d.,;:!?()\"]{3,}'/seed0",
    "predict/new/run=outputs/default/x/seed0",
    "predict/new/run=../../elsewhere/seed0",
    "prédiction/" + 255 * "x",
    "क्षमा\u200d/日本",
    "",
]


@pytest.mark.parametrize("name", USUAL)
def test_names_that_every_file_system_takes_stay(name):
    assert folder_name(name) == name


@pytest.mark.parametrize(
    "name",
    [
        256 * "x",
        100 * "प्रेम",
        "a/" + 300 * "é" + "/b",
        "line\nbreak",
        "null\0byte",
        "a\udc80b",
        "../x",
        "a/../../x",
    ],
)
def test_other_names_are_cut_and_hashed(name, tmp_path):
    found = folder_name(name)
    assert found != name
    assert found.isprintable()
    assert all(len(part.encode()) <= 140 for part in found.split("/"))
    assert os.path.normpath(tmp_path / found).startswith(f"{tmp_path}/")
    (tmp_path / found).mkdir(parents=True)
    assert folder_name(found) == found
    assert folder_name(name + "y") != found


def test_long_lines_have_a_folder_of_their_own(tmp_path):
    words = [f"data.vocabulary.token_pattern={'w' * number}" for number in (300, 301)]
    folders = [compose_cell([f"paths.outputs={tmp_path}", "name=" + 300 * "n", word])[1] for word in words]
    assert len(set(folders)) == 2
    for folder in folders:
        folder.mkdir(parents=True)
