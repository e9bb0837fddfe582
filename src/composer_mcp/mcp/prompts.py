"""Prompts that a teacher chooses from a menu: each tells the model the way, in the teacher's language."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from typing import TYPE_CHECKING, Annotated, Any

from mcp.server.mcpserver.prompts import Prompt
from pydantic import Field

from composer_mcp.composition import vocabulary
from composer_mcp.composition.json_values import short
from composer_mcp.errors import INVALID_ARGUMENTS, UNKNOWN_PROMPT
from composer_mcp.mcp import prompt_texts as texts
from composer_mcp.mcp.arguments import PROBLEMS_TOLD, unknown
from composer_mcp.mcp.completions import uid_in

if TYPE_CHECKING:
    from composer_mcp.mcp.server import ComposerServer

Language = Annotated[str, Field(description="pt_BR / en")]
Topic = Annotated[str, Field(description="tema / topic")]
Subject = Annotated[str, Field(description="disciplina / subject")]
Grade = Annotated[str, Field(description="ano escolar / grade, e.g. 7º ano")]
Minutes = Annotated[str, Field(description="minutos / minutes")]
Content = Annotated[str, Field(description="texto da aula / the lesson's text")]
Count = Annotated[str, Field(description="quantas perguntas / how many questions")]
Composition = Annotated[str, Field(description="título para escolher, ou uid / title to choose by, or uid")]


async def plan_lesson(
    topic: Topic,
    subject: Subject = "",
    grade: Grade = "",
    duration_minutes: Minutes = "50",
    language: Language = "pt_BR",
) -> str:
    """Planejar uma aula e criá-la no Composer / Plan a lesson and create it in Composer."""
    about = _about(language, subject, grade)
    return _text(texts.PLAN, language, topic=topic, about=about, duration_minutes=duration_minutes)


async def create_from_content(
    content: Content, subject: Subject = "", grade: Grade = "", language: Language = "pt_BR"
) -> str:
    """Criar uma composição a partir de um texto / Create a composition from a text."""
    return _text(texts.FROM_CONTENT, language, content=content, about=_about(language, subject, grade))


async def review_composition(composition: Composition, language: Language = "pt_BR") -> str:
    """Revisar uma composição / Review a composition."""
    return _text(texts.REVIEW, language, uid=_uid(composition))


async def make_quiz(
    topic: Topic,
    grade: Grade = "",
    questions: Count = "5",
    composition: Composition = "",
    language: Language = "pt_BR",
) -> str:
    """Fazer um quiz, para uma composição ou sozinho / Make a quiz, for a composition or by itself."""
    place = (
        _text(texts.QUIZ_THERE, language, uid=_uid(composition))
        if composition
        else _text(texts.QUIZ_NEW, language)
    )
    about = _about(language, "", grade)
    return _text(texts.QUIZ, language, questions=questions, topic=topic, about=about, place=place)


def _text(words: dict[str, str], language: str, **values: str) -> str:
    return words[vocabulary.language_of(language)].format_map(values)


def _about(language: str, subject: str, grade: str) -> str:
    """Return subject and grade as part of a sentence."""
    in_subject, for_grade = texts.ABOUT[vocabulary.language_of(language)]
    term = vocabulary.find(vocabulary.SUBJECTS, subject) if subject else None
    named = term.label(language) if term else subject
    return (in_subject.format(named) if named else "") + (for_grade.format(grade) if grade else "")


def _uid(composition: str) -> str:
    uid = uid_in(composition)
    if uid is None:
        problem = {
            "path": "composition",
            "problem": "holds no uid",
            "given": short(composition),
            "nearest": "one of the completions, or a uid from search_compositions",
        }
        raise INVALID_ARGUMENTS.error(
            tool="this prompt", count=1, problems=[problem], arguments="composition, and others"
        )
    return uid


def check(name: str, given: Collection[str]) -> None:
    """Return if a prompt is asked for by its name and with its own arguments, all that are required.

    Raises:
        unknown_prompt, invalid_arguments.
    """
    prompt = next((prompt for prompt, _ in ALL if prompt.name == name), None)
    if prompt is None:
        raise UNKNOWN_PROMPT.error(prompt=name[:80], prompts=", ".join(NEEDS))
    known = prompt.arguments or []
    names = [argument.name for argument in known]
    problems = [unknown(strange, names) for strange in given if strange not in names]
    problems += [
        {"path": argument.name, "problem": "is required"}
        for argument in known
        if argument.required and argument.name not in given
    ]
    if problems:
        takes = ", ".join(argument.name if argument.required else f"[{argument.name}]" for argument in known)
        raise INVALID_ARGUMENTS.error(
            tool=f"the prompt {name}", count=len(problems), problems=problems[:PROBLEMS_TOLD], arguments=takes
        )


#: Each prompt with its title in the menu, and the tool without which it leads nowhere.
PROMPTS: list[tuple[Callable[..., Awaitable[Any]], str, str]] = [
    (plan_lesson, "Planejar uma aula / Plan a lesson", "create_composition"),
    (create_from_content, "Criar a partir de um texto / Create from a text", "create_composition"),
    (review_composition, "Revisar uma composição / Review a composition", "get_composition"),
    (make_quiz, "Fazer um quiz / Make a quiz", "create_composition"),
]
ALL = [(Prompt.from_function(function, title=title), tool) for function, title, tool in PROMPTS]
NEEDS = {prompt.name: tool for prompt, tool in ALL}


def register(server: ComposerServer) -> None:
    """Add all prompts to a server."""
    for prompt, _ in ALL:
        server.add_prompt(prompt)
