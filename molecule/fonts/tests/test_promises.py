"""A preview looks the same on every host."""

from __future__ import annotations

import re
from typing import Any

import pytest


@pytest.mark.parametrize(
    ("asked", "given"),
    [
        ("sans-serif", "Noto Sans"),
        ("serif", "Noto Serif"),
        ("monospace", "Liberation Mono"),
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


@pytest.mark.parametrize(
    "family", ["Lato", "Lato:bold:italic", "Arial", "Noto Serif", "DejaVu Sans", "emoji"]
)
def test_hosts_of_both_releases_draw_from_the_same_outlines(hosts: list[Any], family: str) -> None:
    digests = {
        host.run("sha256sum \"$(fc-match -f '%%{file}' %s)\" | cut -c 1-64", family).stdout for host in hosts
    }
    assert len(digests) == 1 and len(digests.pop().strip()) == 64


def test_nothing_but_fonts_comes_from_another_release(host: Any) -> None:
    for package in ("fontconfig", "libc6", "chromium"):
        candidate = re.findall(r"Candidate: (\S+)", host.check_output(f"apt-cache policy {package}"))[0]
        offers = host.check_output(f"apt-cache madison {package} | grep -F ' {candidate} '")
        assert f" {host.system_info.codename}" in offers
    planned = host.check_output("apt-get --simulate dist-upgrade").splitlines()
    other = "Debian:13" if host.system_info.codename == "bookworm" else "Debian:12"
    assert not [line for line in planned if line.startswith("Inst") and other in line]


@pytest.mark.parametrize("language", ["pt", "es", "en", "uk", "el", "ar", "he", "hi", "th"])
def test_there_are_letters_for_the_language(host: Any, language: str) -> None:
    assert host.run("fc-list :lang=%s family", language).stdout


def test_rendering_does_not_depend_on_a_screen(host: Any) -> None:
    settings = host.run("fc-match -f '%{antialias} %{hintstyle} %{rgba}' sans-serif").stdout
    assert settings == "True 0 5"


def test_fontconfig_has_no_complaint(host: Any) -> None:
    assert host.run("fc-match sans-serif").stderr == ""
