"""How an element of a lesson becomes a widget of a document."""

from __future__ import annotations

import uuid
from typing import Any

from composer_mcp.composition import elements, html, unconfirmed, widgets

#: Where Composer keeps the default pictures of headings.
MEDIA = "https://pocs.digitalpages.com.br/rdpcomposer/media"


class Ids:
    """Ids for a widget and its parts, derived from the widget's own: the same input, the same ids."""

    def __init__(self, widget_id: str) -> None:
        self._widget_id = widget_id
        self._count = 0

    def next(self) -> str:
        """Return the next id."""
        self._count += 1
        return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{self._widget_id}/{self._count}"))


def widget(element: elements.AnyElement, widget_id: str, media: str = MEDIA) -> dict[str, Any]:
    """Return the JSON of the widget that shows an element of a lesson, complete with all its fields."""
    made = model(element, widget_id, media).model_dump(mode="json")
    for question in made.get("questions", []):
        for part in (question, *question["choices"]):
            if part["feedback"] is None:
                del part["feedback"]
    return made


def model(element: elements.AnyElement, widget_id: str, media: str = MEDIA) -> widgets.Known:
    """Return the widget that shows an element of a lesson."""
    ids = Ids(widget_id)
    match element:
        case elements.Heading():
            return _head(element, widget_id, media)
        case elements.Text():
            content = html.paragraphs(element.text) if element.text else html.sanitize(element.html or "")
            return widgets.Text(id=widget_id, content_title=element.title, content=content)
        case elements.Quiz():
            questions = [_question(question, ids) for question in element.questions]
            return widgets.Quiz(id=widget_id, questions=questions)
        case elements.Image():
            return unconfirmed.Image(
                id=widget_id, image=element.url, description=element.description, caption=element.caption
            )
        case elements.Video():
            return unconfirmed.Video(id=widget_id, content_title=element.title, video=element.url)
        case elements.List():
            items = [unconfirmed.Item(id=ids.next(), content=html.paragraphs(item)) for item in element.items]
            return unconfirmed.List(
                id=widget_id, content_title=element.title, list_style=element.style, items=items
            )
        case elements.Flashcards():
            cards = [
                unconfirmed.Card(
                    id=ids.next(), front=html.paragraphs(card.front), back=html.paragraphs(card.back)
                )
                for card in element.cards
            ]
            return unconfirmed.Flashcards(id=widget_id, content_title=element.title, cards=cards)
        case elements.Gallery():
            slides = [
                unconfirmed.Slide(
                    id=ids.next(), image=slide.url, description=slide.description, caption=slide.caption
                )
                for slide in element.slides
            ]
            return unconfirmed.Gallery(id=widget_id, content_title=element.title, slides=slides)
        case elements.Hotspots():
            return unconfirmed.Hotspots(
                id=widget_id,
                content_title=element.title,
                image=element.url,
                description=element.description,
                hotspots=[_hotspot(point, ids) for point in element.points],
            )


def _head(element: elements.Heading, widget_id: str, media: str) -> widgets.Head:
    colours = {
        name: value
        for name in ("primary_color", "secondary_color")
        if (value := getattr(element, name)) is not None
    }
    return widgets.Head(
        id=widget_id,
        content_title=element.title,
        category=html.paragraphs(element.category) if element.category else "",
        author_name=html.paragraphs(element.author_name) if element.author_name else "",
        author_office=html.paragraphs(element.author_office) if element.author_office else None,
        show_category=element.category is not None,
        show_author_name=element.author_name is not None,
        background_image=element.background_image or f"{media}/head-1/background.png",
        avatar=element.avatar or f"{media}/head-1/avatar.png",
        **colours,
    )


def _question(question: elements.Question, ids: Ids) -> widgets.Question:
    return widgets.Question(
        id=ids.next(),
        question=html.paragraphs(question.question),
        feedback=_rich(question.feedback),
        choices=[
            widgets.Choice(
                id=ids.next(),
                correct=choice.correct,
                text=html.paragraphs(choice.text),
                feedback=_rich(choice.feedback),
            )
            for choice in question.choices
        ],
    )


def _hotspot(point: elements.Point, ids: Ids) -> unconfirmed.Hotspot:
    return unconfirmed.Hotspot(
        id=ids.next(), x=point.x, y=point.y, title=point.title, content=_rich(point.text)
    )


def _rich(text: str | None) -> str | None:
    return None if text is None else html.paragraphs(text)
