"""The words of a lesson in the languages of its readers: subjects, grades, element types.

For completions and for what the server itself writes. The grades are those of Brazilian schools (ensino
fundamental of nine years, ensino médio of three) with the age at which a child usually begins one.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import Literal

Language = Literal["pt_BR", "en"]


@dataclass(frozen=True, slots=True)
class Term:
    """One word of a vocabulary: the value that calls use, and what people call it."""

    value: str
    pt: str
    en: str
    es: str = ""

    def label(self, language: str) -> str:
        """Return what people call it in ``language``; English where it is not known."""
        return {"pt": self.pt, "es": self.es}.get(language[:2].lower()) or self.en


@dataclass(frozen=True, slots=True)
class Grade(Term):
    """One year at school. ``band`` groups years that are taught alike; ``age`` is the usual one in years."""

    band: Literal["early", "middle", "upper", "secondary"] = "upper"
    age: int = 0


SUBJECTS: dict[str, Term] = {
    term.value: term
    for term in (
        Term("science", "Ciências", "Science", "Ciencias"),
        Term("math", "Matemática", "Mathematics", "Matemáticas"),
        Term("history", "História", "History", "Historia"),
        Term("geography", "Geografia", "Geography", "Geografía"),
        Term("language", "Língua Portuguesa", "Language", "Lengua"),
        Term("arts", "Artes", "Arts", "Artes"),
    )
}

_BANDS: tuple[Literal["early", "middle", "upper"], ...] = ("early",) * 2 + ("middle",) * 3 + ("upper",) * 4
GRADES: dict[str, Grade] = {
    grade.value: grade
    for grade in (
        *(
            Grade(f"{year}º ano", f"{year}º ano", f"Grade {year}", band=band, age=year + 5)
            for year, band in enumerate(_BANDS, 1)
        ),
        *(
            Grade(
                f"{year}ª série",
                f"{year}ª série do Ensino Médio",
                f"Grade {year + 9}",
                band="secondary",
                age=year + 14,
            )
            for year in (1, 2, 3)
        ),
    )
}

ELEMENT_TYPES: dict[str, Term] = {
    term.value: term
    for term in (
        Term("heading", "Cabeçalho", "Heading"),
        Term("text", "Texto", "Text"),
        Term("quiz", "Quiz", "Quiz"),
        Term("image", "Imagem", "Image"),
        Term("video", "Vídeo", "Video"),
        Term("list", "Lista", "List"),
        Term("flashcards", "Cartões", "Flashcards"),
        Term("gallery", "Galeria", "Gallery"),
        Term("hotspots", "Pontos na imagem", "Hotspots"),
    )
}


def language_of(name: str | None) -> Language:
    """Return the nearest language that the server itself writes in; Portuguese if nothing is said."""
    return "pt_BR" if not name or plain(name).startswith("p") else "en"


def plain(text: str) -> str:
    """Return a text as people compare it: small letters, no accents, single spaces."""
    # A decomposed º is an o and ª an a, which is how people type them.
    letters = unicodedata.normalize("NFKD", text.casefold())
    return " ".join("".join(c for c in letters if not unicodedata.combining(c)).split())


def complete(vocabulary: dict[str, Term], typed: str, language: str) -> list[str]:
    """Return the labels that continue what was typed, in order of the vocabulary; accents do not matter."""
    wanted = plain(typed)
    return [
        term.label(language)
        for term in vocabulary.values()
        if not wanted or any(word.startswith(wanted) for word in _ways_to_begin(term))
    ]


def _ways_to_begin(term: Term) -> list[str]:
    return [plain(word) for word in (term.value, term.pt, term.en, *term.pt.split()[1:]) if word]


def find(vocabulary: dict[str, Term], name: str) -> Term | None:
    """Return the term that ``name`` means: its value or its label in any language, accents aside."""
    wanted = plain(name)
    for term in vocabulary.values():
        if wanted in {plain(word) for word in (term.value, term.pt, term.en, term.es) if word}:
            return term
    return None


def grade_of(text: str) -> Grade | None:
    """Return the year at school that a text names: ``7º ano``, ``7``, ``Grade 7``, ``2ª série EM``."""
    words = plain(text)
    number = re.search(r"\d{1,2}", words)
    if number is None:
        return None
    year = int(number[0])
    secondary = re.search(r"serie|medio|\bem\b", words) is not None
    if secondary or 10 <= year <= 12:
        year = year - 9 if year > 9 else year
        return GRADES.get(f"{year}ª série")
    return GRADES.get(f"{year}º ano")
