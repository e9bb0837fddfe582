"""Which elements fit a given text, and what they would look like filled with it.

Pure heuristics on the form of the text: bullets, numbers, question marks, colons, addresses. Nothing is
understood of what it says; where a right answer is not marked, the first choice stands in and the reason says
so. The same text gives the same suggestions, in reading order.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, Field

from composer_mcp.composition.elements import ELEMENTS
from composer_mcp.composition.fields import CONTROL, LINE_LIMIT
from composer_mcp.composition.vocabulary import Language, language_of, plain

MAX_SUGGESTIONS = 30
#: What is beyond is not looked at, in characters.
MAX_CONTENT = 100_000
#: A text element reads well up to about this many characters; longer passages are divided.
PASSAGE = 1500
SHOWN_TERM = 80
#: Fewer characters beside a picture's address ("see") do not describe it.
SHORTEST_DESCRIPTION = 12
MAX_CARDS, MAX_ITEMS, MAX_CHOICES, MAX_SLIDES, MAX_QUESTIONS = 60, 100, 10, 40, 50

_BULLET = re.compile(r"^\s*[-*•\u2013·▪]\s+(.+)$")
_NUMBER = re.compile(
    r"^\s*(?:\d{1,3}[.)ºª°]|(?:passo|step|etapa)\s+\d{1,3}\s*[:.\u2013-])\s*(.+)$", re.IGNORECASE
)
_BOX = re.compile(r"^\s*(?:[-*]\s*)?(?:\[[ xX]?\]|☐|☑|□)\s*(.+)$")
_LETTER = re.compile(r"^\s*(\(?[a-jA-J][).])\s*(.+)$")
_RIGHT = re.compile(r"\s*(?:\((?:certa?|correta?|correct|right|x)\)|\*|✓|✔)\s*$", re.IGNORECASE)
_ANSWER = re.compile(
    r"^\s*(?:resposta|gabarito|answer)(?:\s+(?:certa|correta|correct))?\s*[:=]\s*\(?([a-j])\b", re.IGNORECASE
)
_PAIR = re.compile(r"^\s*([^:\u2013\u2014?!.\n]{2,80}?)\s*(?::|\s[\u2013\u2014-])\s+(\S.{3,400})$")
_ADDRESS = re.compile(r"https://[^\s<>\"')\]]{4,1900}")
_PICTURE = re.compile(r"\.(?:png|jpe?g|gif|webp|svg|avif)(?:[?#]|$)", re.IGNORECASE)
_VIDEO = re.compile(
    r"\.(?:mp4|webm|m3u8|ogv)(?:[?#]|$)|//(?:www\.|m\.)?(?:youtube\.com|youtu\.be|vimeo\.com)/"
)

REASONS: dict[str, dict[Language, str]] = {
    "quiz": {
        "pt_BR": "perguntas com alternativas",
        "en": "questions with possible answers",
    },
    "quiz_unmarked": {
        "pt_BR": "perguntas com alternativas; a certa não está marcada em todas: confira cada `correct`",
        "en": "questions with possible answers; the right one is not marked everywhere: check each `correct`",
    },
    "questions": {
        "pt_BR": "perguntas sem alternativas: escreva-as, ou use um texto para pensar",
        "en": "questions without possible answers: write some, or keep them as a text to think about",
    },
    "flashcards": {
        "pt_BR": "pares de termo e definição",
        "en": "pairs of term and definition",
    },
    "numbered": {"pt_BR": "passos em ordem", "en": "steps in order"},
    "bullet": {"pt_BR": "itens curtos", "en": "short items"},
    "checkbox": {"pt_BR": "tarefas para marcar", "en": "tasks to tick"},
    "image": {
        "pt_BR": "endereço de uma imagem; descreva o que ela mostra",
        "en": "address of a picture; describe what it shows",
    },
    "gallery": {
        "pt_BR": "endereços de várias imagens; descreva o que cada uma mostra",
        "en": "addresses of several pictures; describe what each shows",
    },
    "video": {"pt_BR": "endereço de um vídeo", "en": "address of a video"},
    "text": {"pt_BR": "texto corrido", "en": "running text"},
    "long": {
        "pt_BR": "texto longo, dividido em partes; dê um título a cada uma",
        "en": "long text, divided into parts; give each a title",
    },
}
DESCRIBE: dict[Language, str] = {"pt_BR": "[o que a imagem mostra]", "en": "[what the picture shows]"}
OTHER: dict[Language, tuple[str, str]] = {
    "pt_BR": ("[resposta certa]", "[resposta errada]"),
    "en": ("[right answer]", "[wrong answer]"),
}


class Suggestion(BaseModel):
    """One element that fits a part of the content."""

    type: str
    reason: str
    element: dict[str, Any] = Field(
        description="ready for a lesson's `elements`; fill in what is in [brackets]"
    )


class Suggestions(BaseModel):
    """Elements that fit the content, in its order."""

    suggestions: list[Suggestion]
    left_out: int = Field(default=0, description="how many more would follow")


@dataclass(slots=True)
class _Reader:
    """Goes through the lines of a text."""

    lines: Sequence[str]
    language: Language
    place: int = 0

    @property
    def line(self) -> str:
        return self.lines[self.place] if self.place < len(self.lines) else ""

    @property
    def ended(self) -> bool:
        return self.place >= len(self.lines)

    def run(
        self, pattern: re.Pattern[str], group: int = 1, most: int = MAX_ITEMS, ends: str = ""
    ) -> list[str]:
        """Take lines that match, and empty ones between them, up to one with the end ``ends``."""
        found: list[str] = []
        ahead = self.place
        while ahead < len(self.lines) and len(found) < most:
            match = pattern.match(self.lines[ahead])
            if match and not (found and ends and self.lines[ahead].rstrip().endswith(ends)):
                found.append(match[group].strip())
                self.place = ahead + 1
            elif self.lines[ahead].strip():
                break
            ahead += 1
        return found


def suggest_elements(content: str, language: str) -> Suggestions:
    """Return elements that fit the first 100,000 characters of ``content``.

    At most 30, each a valid element of a lesson.
    """
    text = CONTROL.sub("", content.replace("\r\n", "\n")[:MAX_CONTENT])
    reader = _Reader(text.split("\n"), language_of(language))
    found: list[Suggestion] = []
    prose: list[str] = []
    while not reader.ended:
        if not reader.line.strip():
            prose.append("")
            reader.place += 1
            continue
        before = reader.place
        special = next((made for read in _READERS if (made := read(reader)) is not None), None)
        if special is None:
            reader.place = before + 1
            prose.append(reader.lines[before])
            continue
        if special.type in ("list", "flashcards") and (title := _heading_of(prose)):
            special.element = {"type": special.type, "title": title} | special.element
        found += _passages(prose, reader.language)
        prose = []
        found.append(special)
    found += _passages(prose, reader.language)
    return Suggestions(suggestions=found[:MAX_SUGGESTIONS], left_out=max(0, len(found) - MAX_SUGGESTIONS))


def _heading_of(prose: list[str]) -> str | None:
    """Take the line just before a list off the text if it announces the list."""
    while prose and not prose[-1].strip():
        prose.pop()
    last = prose[-1].strip() if prose else ""
    announces = last.endswith(":") or last.startswith("#")
    title = " ".join(last.lstrip("#").rstrip(":").split())
    if not announces or not title or len(title) > SHOWN_TERM:
        return None
    prose.pop()
    return title


def _made(reason: str, language: Language, element: dict[str, Any]) -> Suggestion:
    valid = ELEMENTS[element["type"]].model_validate(element)
    return Suggestion(
        type=valid.type, reason=REASONS[reason][language], element=valid.model_dump(exclude_unset=True)
    )


# --- one reader for each form; it takes its lines, or none and answers None ------------------------------


def _quiz(reader: _Reader) -> Suggestion | None:
    questions: list[dict[str, Any]] = []
    unmarked = False
    while len(questions) < MAX_QUESTIONS and (read := _question(reader)) is not None:
        question, marked = read
        questions.append(question)
        unmarked = unmarked or not marked
    if not questions:
        return None
    return _made(
        "quiz_unmarked" if unmarked else "quiz", reader.language, {"type": "quiz", "questions": questions}
    )


def _question(reader: _Reader) -> tuple[dict[str, Any], bool] | None:
    """Take a question and the lettered lines after it; say whether one of them is marked as right."""
    start = reader.place
    while not reader.ended and not reader.line.strip():
        reader.place += 1
    asked = _without_number(reader.line)
    reader.place += 1
    options = reader.run(_LETTER, 2, MAX_CHOICES)
    if not asked or _LETTER.match(reader.lines[start]) or len(options) < 2:
        reader.place = start
        return None
    answer = reader.run(_ANSWER, 1, 1)
    right = ord(answer[0].lower()) - ord("a") if answer else None
    marked = [number for number, option in enumerate(options) if _RIGHT.search(option)]
    choices: list[dict[str, Any]] = []
    for number, option in enumerate(options):
        text = _RIGHT.sub("", option).strip() or option
        if text.casefold() in {choice["text"].casefold() for choice in choices}:
            continue
        is_right = number == right if right is not None else number in marked
        choices.append({"text": text, "correct": True} if is_right else {"text": text})
    known = any("correct" in choice for choice in choices)
    if not known:
        choices[0]["correct"] = True
    if len(choices) < 2:
        choices.append({"text": OTHER[reader.language][1]})
    return {"question": asked, "choices": choices}, known


def _open_questions(reader: _Reader) -> Suggestion | None:
    asked: list[str] = []
    ahead = reader.place
    while ahead < len(reader.lines) and len(asked) < MAX_QUESTIONS:
        line = _without_number(reader.lines[ahead])
        if line.endswith("?") and len(line) <= LINE_LIMIT:
            asked.append(line)
            reader.place = ahead + 1
        elif line:
            break
        ahead += 1
    if not asked:
        return None
    right, wrong = OTHER[reader.language]
    choices = [{"text": right, "correct": True}, {"text": wrong}]
    questions = [{"question": line, "choices": choices} for line in asked]
    return _made("questions", reader.language, {"type": "quiz", "questions": questions})


def _without_number(line: str) -> str:
    match = _NUMBER.match(line) or _BULLET.match(line)
    return (match[1] if match else line).strip()


def _cards(reader: _Reader) -> Suggestion | None:
    start = reader.place
    cards: list[dict[str, str]] = []
    ahead = start
    while ahead < len(reader.lines) and len(cards) < MAX_CARDS:
        line = _without_number(reader.lines[ahead])
        match = _PAIR.match(line)
        if match and not _ADDRESS.search(line) and not _ANSWER.match(line):
            cards.append({"front": match[1].strip(" *_"), "back": match[2].strip()})
            reader.place = ahead + 1
        elif line:
            break
        ahead += 1
    if len(cards) < 2 or any(not card["front"] for card in cards):
        # A single colon is more often a sentence than a definition.
        reader.place = start
        return None
    return _made("flashcards", reader.language, {"type": "flashcards", "cards": cards})


def _list(pattern: re.Pattern[str], style: str) -> Callable[[_Reader], Suggestion | None]:
    def read(reader: _Reader) -> Suggestion | None:
        start = reader.place
        # A numbered question after numbered steps begins something else.
        items = reader.run(pattern, ends="?")
        if len(items) < 2:
            reader.place = start
            return None
        return _made(style, reader.language, {"type": "list", "style": style, "items": items})

    return read


def _media(reader: _Reader) -> Suggestion | None:
    """Take a line with an address of a picture or a video, and further lines with pictures."""
    found = _ADDRESS.search(reader.line)
    address = found[0].rstrip(".,;") if found else ""
    if _VIDEO.search(address):
        reader.place += 1
        title = _caption(reader.lines[reader.place - 1], address)
        element: dict[str, Any] = {"type": "video", "url": address} | ({"title": title} if title else {})
        return _made("video", reader.language, element)
    slides: list[dict[str, str]] = []
    ahead = reader.place
    while ahead < len(reader.lines) and len(slides) < MAX_SLIDES:
        line = reader.lines[ahead]
        pictures = [url.rstrip(".,;") for url in _ADDRESS.findall(line)]
        pictures = [url for url in pictures if _PICTURE.search(url)]
        if pictures:
            caption = _caption(line, pictures[0])
            for url in pictures[: MAX_SLIDES - len(slides)]:
                described = caption if len(caption) >= SHORTEST_DESCRIPTION else DESCRIBE[reader.language]
                slide = {"url": url, "description": described}
                slides.append(slide)
            reader.place = ahead + 1
        elif line.strip():
            break
        ahead += 1
    if not slides:
        return None
    if len(slides) == 1:
        return _made("image", reader.language, {"type": "image", **slides[0]})
    return _made("gallery", reader.language, {"type": "gallery", "slides": slides})


def _caption(line: str, address: str) -> str:
    """Return what a line says beside an address."""
    rest = _ADDRESS.sub(" ", line.replace(address, " "))
    words = " ".join(re.sub(r"[\[\]()!<>|*_]", " ", rest).split()).strip(" :-\u2013\u2014•")
    return words[:LINE_LIMIT] if re.search(r"\w", words) else ""


_READERS: tuple[Callable[[_Reader], Suggestion | None], ...] = (
    _media,
    _quiz,
    _open_questions,
    _list(_BOX, "checkbox"),
    _cards,
    _list(_NUMBER, "numbered"),
    _list(_BULLET, "bullet"),
)


def _passages(lines: Sequence[str], language: Language) -> list[Suggestion]:
    """Return running text as text elements of a length that reads well, divided between paragraphs."""
    paragraphs = [part.strip() for part in re.split(r"\n\s*\n", "\n".join(lines)) if part.strip()]
    parts: list[str] = []
    for paragraph in (piece for whole in paragraphs for piece in _pieces(whole)):
        if parts and len(parts[-1]) + len(paragraph) <= PASSAGE:
            parts[-1] += f"\n\n{paragraph}"
        else:
            parts.append(paragraph)
    reason = "long" if len(parts) > 1 else "text"
    return [_made(reason, language, _text(part)) for part in parts]


def _pieces(paragraph: str) -> list[str]:
    """Divide a paragraph that is too long by itself, after a sentence if it has any."""
    if len(paragraph) <= PASSAGE:
        return [paragraph]
    pieces = [""]
    for sentence in re.split(r"(?<=[.!?…])\s+", paragraph):
        for start in range(0, len(sentence), PASSAGE):
            part = sentence[start : start + PASSAGE]
            if pieces[-1] and len(pieces[-1]) + len(part) > PASSAGE:
                pieces.append(part)
            else:
                pieces[-1] = f"{pieces[-1]} {part}".strip()
    return [piece for piece in pieces if piece.strip()]


def _text(part: str) -> dict[str, Any]:
    """Return a text element; a short first line without a full stop is its title."""
    first, _, rest = part.partition("\n")
    title = " ".join(first.strip().lstrip("#").split())
    looks_like_title = rest.strip() and 0 < len(title) <= SHOWN_TERM and not re.search(r"[.!?:;,]$", title)
    if looks_like_title and plain(title):
        return {"type": "text", "title": title, "text": rest.strip()}
    return {"type": "text", "text": part}
