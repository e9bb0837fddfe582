"""Names that callers write instead of ours: known from practice, from Composer's format, from Portuguese.

Used by ``problems`` to say what was meant; nothing is accepted silently under a wrong name.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection

from composer_mcp.composition.vocabulary import plain

#: Fields: what is written, and what it may mean, the likeliest first; a meaning counts where it is a field.
FIELDS: dict[str, tuple[str, ...]] = {
    "action_type": ("action",),
    "alt": ("description",),
    "alt_text": ("description",),
    "alternativas": ("choices",),
    "alternatives": ("choices",),
    "answer": ("back", "text"),
    "answers": ("choices",),
    "assunto": ("subject",),
    "autor": ("author", "author_name"),
    "author": ("author_name",),
    "blocks": ("elements",),
    "body": ("text",),
    "bullets": ("items",),
    "caption_text": ("caption",),
    "cards_list": ("cards",),
    "cartoes": ("cards",),
    "changes": ("widgets",),
    "components": ("elements",),
    "content": ("text", "elements", "items", "html"),
    "content_language": ("language",),
    "content_title": ("title",),
    "conteudo": ("text", "elements"),
    "correta": ("correct",),
    "correto": ("correct",),
    "definition": ("back",),
    "descricao": ("description", "text"),
    "description": ("text",),
    "disciplina": ("subject",),
    "disciplines": ("subject",),
    "duracao": ("duration_minutes",),
    "duration": ("duration_minutes",),
    "elementos": ("elements",),
    "entries": ("items",),
    "enunciado": ("question",),
    "explanation": ("feedback",),
    "flashcards": ("cards",),
    "frente": ("front",),
    "grade_level": ("grade",),
    "header": ("title",),
    "heading": ("title",),
    "hotspots": ("points",),
    "href": ("url",),
    "id": ("widget_id",),
    "ids": ("widget_ids",),
    "image": ("url", "background_image"),
    "image_url": ("url",),
    "imagem": ("url",),
    "images": ("slides",),
    "index": ("position",),
    "is_correct": ("correct",),
    "itens": ("items",),
    "kind": ("type",),
    "label": ("title", "text"),
    "legenda": ("caption",),
    "level": ("grade",),
    "link": ("url",),
    "list_style": ("style",),
    "markdown": ("text",),
    "minutes": ("duration_minutes",),
    "name": ("title",),
    "nivel": ("grade",),
    "opcoes": ("choices",),
    "op": ("action",),
    "operation": ("action",),
    "operations": ("widgets",),
    "options": ("choices",),
    "order": ("widget_ids",),
    "pergunta": ("question", "front"),
    "perguntas": ("questions",),
    "pictures": ("slides",),
    "points": ("items",),
    "pontos": ("points",),
    "prompt": ("question",),
    "question": ("front",),
    "questoes": ("questions",),
    "resposta": ("back", "text"),
    "respostas": ("choices",),
    "right": ("correct",),
    "school_year": ("grade",),
    "sections": ("elements",),
    "serie": ("grade",),
    "source": ("url",),
    "src": ("url",),
    "statement": ("question",),
    "structure": ("elements",),
    "tema": ("title",),
    "text": ("question", "title", "front"),
    "term": ("front",),
    "termo": ("front",),
    "texto": ("text",),
    "tipo": ("type",),
    "titulo": ("title",),
    "uri": ("url",),
    "value": ("text",),
    "verso": ("back",),
    "video": ("url",),
    "video_url": ("url",),
    "widget": ("element",),
    "widgets": ("elements",),
}
#: Fields that name the right answer from outside the choices.
RIGHT_ANSWER = (
    "answer", "answer_index", "correct", "correct_answer", "correct_answers", "correct_choice",
    "correct_index", "correct_option", "correctAnswer", "correctIndex", "gabarito", "resposta",
    "resposta_correta", "right_answer",
)  # fmt: skip
#: Objects that are put around fields without need.
WRAPPERS = frozenset(
    {
        "attributes",
        "config",
        "content",
        "data",
        "fields",
        "options",
        "params",
        "properties",
        "props",
        "settings",
    }
)

#: Types of elements, and actions of a change.
TAGS: dict[str, str] = {
    "append": "add",
    "banner": "heading",
    "bullet_list": "list",
    "bullets": "list",
    "cabecalho": "heading",
    "cards": "flashcards",
    "carousel": "gallery",
    "cartoes": "flashcards",
    "checklist": "list",
    "create": "add",
    "delete": "remove",
    "edit": "replace",
    "flashcard": "flashcards",
    "foto": "image",
    "galeria": "gallery",
    "head": "heading",
    "header": "heading",
    "hotspot": "hotspots",
    "html": "text",
    "imagem": "image",
    "insert": "add",
    "lista": "list",
    "markdown": "text",
    "multimidia": "video",
    "multiple_choice": "quiz",
    "numbered_list": "list",
    "ordered_list": "list",
    "paragraph": "text",
    "paragrafo": "text",
    "photo": "image",
    "picture": "image",
    "put": "replace",
    "question": "quiz",
    "questions": "quiz",
    "quizz": "quiz",
    "reorder": "order",
    "rich_text": "text",
    "slides": "gallery",
    "slideshow": "gallery",
    "sort": "order",
    "swap": "move",
    "texto": "text",
    "title": "heading",
    "titulo": "heading",
    "update": "replace",
    "youtube": "video",
}

#: Words for the values of fields that have a few.
VALUES: dict[str, str] = {
    "arte": "arts",
    "biologia": "science",
    "biology": "science",
    "check": "checkbox",
    "checklist": "checkbox",
    "ciencia": "science",
    "ciencias da natureza": "science",
    "decimal": "numbered",
    "disc": "bullet",
    "english": "language",
    "fisica": "science",
    "maths": "math",
    "numerada": "numbered",
    "number": "numbered",
    "ol": "numbered",
    "ordered": "numbered",
    "physics": "science",
    "portugues": "language",
    "quimica": "science",
    "todo": "checkbox",
    "ul": "bullet",
    "unordered": "bullet",
}

LONGEST_NAME = 60


def field(written: str, fields: Collection[str], taken: Collection[str]) -> str | None:
    """Return the field that a wrong name means, of those that are not taken yet."""
    name = _normal(written)
    free = [each for each in fields if each not in taken]
    for meant in (name, *FIELDS.get(name, ())):
        if meant in free:
            return meant
    near = difflib.get_close_matches(name, free, n=1, cutoff=0.75)
    return near[0] if near else None


def tag(written: str, tags: Collection[str]) -> str | None:
    """Return the type or action that a wrong one means; Composer's own names end in ``-1``."""
    name = _normal(written)
    stem = name.removesuffix("_1")
    for meant in (name, stem, TAGS.get(name), TAGS.get(stem)):
        if meant in tags:
            return meant
    near = difflib.get_close_matches(stem, tags, n=1, cutoff=0.6)
    return near[0] if near else None


def value(written: str, values: Collection[str]) -> str | None:
    """Return the value that a wrong word means, of the few that a field may have."""
    name = plain(written[:LONGEST_NAME])
    if VALUES.get(name) in values:
        return VALUES[name]
    near = difflib.get_close_matches(name, values, n=1, cutoff=0.6)
    return near[0] if near else None


def shortened(written: str) -> str:
    """Return a name as a message can carry it."""
    shown = written if len(written) <= LONGEST_NAME else written[:LONGEST_NAME] + "…"
    return shown.encode("utf-8", "backslashreplace").decode()


def _normal(written: str) -> str:
    """Return a name in the form of ours: ``contentTitle``, ``Content-Title`` become ``content_title``."""
    short = written[:LONGEST_NAME]
    spread = "".join(
        f"_{c}" if c.isupper() and number and short[number - 1].islower() else c
        for number, c in enumerate(short)
    )
    return plain(spread).replace("-", "_").replace(" ", "_").strip("_")
