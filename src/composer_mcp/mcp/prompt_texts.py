"""The words of the prompts, in Portuguese and English. What is in braces is filled in by ``prompts``."""

from __future__ import annotations

PLAN = {
    "pt_BR": """\
Planeje uma aula sobre “{topic}”{about}, de {duration_minutes} minutos.
1. Chame get_lesson_guidance com a disciplina, o ano, a duração e os objetivos.
2. Mostre-me o plano em poucas linhas e espere meu acordo.
3. Crie a aula inteira com uma única chamada de create_composition; se for recusada, corrija o que o erro
   lista e chame de novo.
4. Chame preview_composition, diga o que se vê e dê-me o endereço (url).""",
    "en": """\
Plan a lesson about “{topic}”{about}, {duration_minutes} minutes long.
1. Call get_lesson_guidance with subject, grade, duration and objectives.
2. Show me the plan in a few lines and wait for my agreement.
3. Create the whole lesson with one call of create_composition; if it is refused, mend what the error lists
   and call again.
4. Call preview_composition, say what is seen, and give me the address (url).""",
}

FROM_CONTENT = {
    "pt_BR": """\
Faça deste conteúdo uma composição{about}.
Chame suggest_widgets com o conteúdo para escolher os elementos, depois create_composition uma única vez,
sem inventar fatos que não estejam no texto. Dê-me o endereço (url).

<conteudo>
{content}
</conteudo>""",
    "en": """\
Make a composition of this content{about}.
Call suggest_widgets with the content to choose the elements, then create_composition once, without facts
that are not in the text. Give me the address (url).

<content>
{content}
</content>""",
}

REVIEW = {
    "pt_BR": """\
Revise a composição {uid}.
Leia-a com get_composition (detail: full) e veja-a com preview_composition. Avalie: objetivos e sequência,
clareza para a idade, erros de conteúdo e de português, respostas certas dos quizzes, descrições das imagens.
Liste o que mudaria, do mais ao menos importante, e não mude nada antes do meu acordo; depois use
update_composition com a versão que leu.""",
    "en": """\
Review the composition {uid}.
Read it with get_composition (detail: full) and look at it with preview_composition. Judge: objectives and
sequence, clarity for the age, mistakes of content and language, the quizzes' correct answers, descriptions
of pictures. List what you would change, most important first, and change nothing before I agree; then use
update_composition with the version that you read.""",
}

QUIZ = {
    "pt_BR": """\
Faça um quiz de {questions} perguntas sobre “{topic}”{about}: quatro alternativas por pergunta, uma só
correta, erros plausíveis, e um comentário (feedback) que explica a resposta.
Mostre-me as perguntas e espere meu acordo. {place}""",
    "en": """\
Make a quiz of {questions} questions about “{topic}”{about}: four choices for each question, exactly one
correct, plausible mistakes, and feedback that explains the answer.
Show me the questions and wait for my agreement. {place}""",
}
QUIZ_THERE = {
    "pt_BR": "Acrescente-o com update_composition à composição {uid}, lida antes com get_composition.",
    "en": "Add it with update_composition to the composition {uid}, after reading it with get_composition.",
}
QUIZ_NEW = {
    "pt_BR": "Crie com ele uma composição nova com create_composition.",
    "en": "Make a new composition of it with create_composition.",
}

ABOUT = {"pt_BR": (" de {}", " para o {}"), "en": (" in {}", " for {}")}
