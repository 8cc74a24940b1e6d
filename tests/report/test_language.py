"""Every phrase of figures and page has its Chinese, with the same values."""

from __future__ import annotations

import ast
import re

from places import REPO

from topiclab.report.language import CHINESE, LANGUAGES

REPORT = REPO / "topiclab" / "report"
CALLED = re.compile(r"""\b(?:say|known)\(\s*"((?:[^"\\]|\\.)*)\"""")
IN_HTML = re.compile(r"\{\{(.+?)\}\}")


def phrases() -> set[str]:
    """Phrases of say("...") and NoChart("...") in Python, say("...") in JavaScript and {{...}} in HTML."""
    found: set[str] = set()
    for path in [*REPORT.rglob("*.py"), *(REPO / "topiclab" / "tasks").glob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
                name = getattr(node.func, "id", getattr(node.func, "attr", ""))
                if name in ("say", "NoChart", "language"):
                    found.add(str(node.args[0].value))
    for path in (REPORT / "page" / "assets").iterdir():
        text = path.read_text(encoding="utf-8")
        found |= set(IN_HTML.findall(text)) if path.suffix == ".html" else set()
        found |= set(CALLED.findall(text)) if path.suffix == ".js" else set()
    return found - {""}


def test_every_phrase_is_translated_with_its_values() -> None:
    assert len(phrases()) > 60
    assert sorted(phrases() - CHINESE.keys()) == []
    fields = re.compile(r"\{(\w+)\}")
    unequal = {text for text, other in CHINESE.items() if {*fields.findall(text)} != {*fields.findall(other)}}
    assert unequal == set()
    assert LANGUAGES["zh"]("{num} topics", num=3) == "3 个主题"
    assert LANGUAGES["en"]("{num} topics", num=3) == "3 topics"
