"""20 Newsgroups: posts from a Parquet file or from scikit-learn."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from topiclab.data.documents import Document
from topiclab.data.sources.file import read_records


def newsgroups(path: Path | None, subset: str, remove: Sequence[str]) -> Iterator[Document]:
    """20 Newsgroups, split by date into train and test by its authors; ids are <group>/<number>.

    remove: any of headers, footers, quotes, cut by scikit-learn's own functions wherever the posts come from.
    """
    from sklearn.datasets import _twenty_newsgroups as sklearn_newsgroups

    strip = {
        "headers": sklearn_newsgroups.strip_newsgroup_header,
        "footers": sklearn_newsgroups.strip_newsgroup_footer,
        "quotes": sklearn_newsgroups.strip_newsgroup_quoting,
    }
    if subset not in ("all", "train", "test"):
        raise ValueError(f"data.subset={subset} is unknown; use all, train or test")
    if unknown := sorted(set(remove) - set(strip)):
        raise ValueError(
            f"data.remove={list(remove)} names {', '.join(unknown)}; use any of {', '.join(strip)}"
        )
    for document, part in newsgroup_posts(path, subset):
        if subset not in ("all", part):
            continue
        text = document.text
        for name in ("headers", "footers", "quotes"):
            text = strip[name](text) if name in remove else text
        yield document._replace(text=text)


def newsgroup_posts(path: Path | None, subset: str) -> Iterator[tuple[Document, str]]:
    """Raw posts, each with its subset."""
    if path is not None and path.is_file():
        for record in read_records(path, ["id", "text", "label_name", "split"]):
            name = record["label_name"]
            yield Document(record["text"], f"{name}/{record['id']}", name), record["split"]
        return
    from sklearn.datasets import fetch_20newsgroups

    try:
        posts: Any = fetch_20newsgroups(subset=subset, shuffle=False)
    except OSError as error:
        raise FileNotFoundError(
            f"data=20newsgroups: no file {path}, and scikit-learn could not download the posts ({error}); "
            "give data.path or $TOPICLAB_DATA, or fill scikit-learn's folder with fetch_20newsgroups once"
        ) from error
    for text, target, file in zip(posts.data, posts.target, posts.filenames, strict=True):
        name = posts.target_names[target]
        yield Document(text, f"{name}/{Path(file).name}", name), subset
