"""Policies made of text, the way an admin makes them."""

from __future__ import annotations

from collections.abc import Callable
from textwrap import dedent
from typing import TYPE_CHECKING, TypeAlias

import pytest

from policies import Policy, PolicyErrors, load

if TYPE_CHECKING:
    from pathlib import Path

LoadText: TypeAlias = Callable[..., Policy]
Mistakes: TypeAlias = Callable[..., list[str]]


@pytest.fixture
def load_text(tmp_path: Path) -> LoadText:
    """Return a function that loads texts as the files a.yaml, b.yaml, ... of one folder."""

    def load_files(*texts: str) -> Policy:
        for name, text in zip("abcdef", texts, strict=False):
            (tmp_path / f"{name}.yaml").write_text(dedent(text), encoding="utf-8")
        return load(tmp_path)

    return load_files


@pytest.fixture
def mistakes(load_text: LoadText, tmp_path: Path) -> Mistakes:
    """Return a function that loads texts and returns the errors, without the folder's path."""

    def errors_of(*texts: str) -> list[str]:
        with pytest.raises(PolicyErrors) as raised:
            load_text(*texts)
        return [str(error).replace(f"{tmp_path}/", "") for error in raised.value.errors]

    return errors_of
