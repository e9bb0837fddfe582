"""A preview looks the same on every host."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.mark.parametrize(
    ("asked", "given"),
    [
        ("sans-serif", "Noto Sans"),
        ("serif", "Noto Serif"),
        ("monospace", "DejaVu Sans Mono"),
        ("emoji", "Noto Color Emoji"),
        # A font that a composition names but no host has: the metric twin, so that lines break alike.
        ("Arial", "Liberation Sans"),
        ("Times New Roman", "Liberation Serif"),
        ("Courier New", "Liberation Mono"),
        ("Lato", "Lato"),
        ("A font that nobody has", "Noto Sans"),
    ],
)
def test_a_family_means_the_same_font_everywhere(host: Any, asked: str, given: str) -> None:
    assert host.run("fc-match -f '%%{family[0]}' %s", asked).stdout == given


@pytest.mark.parametrize("language", ["pt", "es", "en", "uk", "el", "ar", "he", "hi", "th"])
def test_there_are_letters_for_the_language(host: Any, language: str) -> None:
    assert host.run("fc-list :lang=%s family", language).stdout


def test_rendering_does_not_depend_on_a_screen(host: Any) -> None:
    settings = host.run("fc-match -f '%{antialias} %{hintstyle} %{rgba}' sans-serif").stdout
    assert settings == "True 1 5"


def test_fontconfig_has_no_complaint(host: Any) -> None:
    assert host.run("fc-match sans-serif").stderr == ""
