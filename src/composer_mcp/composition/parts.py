"""What all parts of a Composer document have in common."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Part(BaseModel):
    """Base of widgets and what is in them: strict types; fields that nobody here knows do no harm.

    A part is a view: ``document`` keeps the JSON it was read from, so nothing is lost by not knowing it.
    """

    model_config = ConfigDict(extra="ignore", strict=True, frozen=True)
