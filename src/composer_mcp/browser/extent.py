"""How much a picture shows; a module of its own, because whoever asks for pictures needs no browser."""

from __future__ import annotations

from typing import Literal

#: All of the page, or what fits its window; or there is no picture.
Extent = Literal["page", "window", "none"]
