"""The map of the project names files that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
QUESTIONS = PAGE[PAGE.index("## Five questions") :]
FILES = sorted(set(re.findall(r"`([a-z]+/[\w./-]+\.(?:py|c|h))`", QUESTIONS)))


def test_five_questions_are_answered():
    """Each question has an answer that names files."""
    answers = re.split(r"^\*\*.+\?\*\*", QUESTIONS, flags=re.MULTILINE)[1:]
    assert len(answers) == 5
    assert all(any(f"`{file}`" in answer for file in FILES) for answer in answers)


@pytest.mark.parametrize("file", FILES)
def test_answers_lead_to_files(file: str):
    """Every file that an answer names is there."""
    assert (ROOT / file).is_file()
