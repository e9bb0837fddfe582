"""What we write is shown as the teacher meant it, and never runs."""

from __future__ import annotations

import re
import time
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from composer_mcp.composition import html
from tests.unit.composition.strategies import patient

KEPT = [
    "<p>a <strong>b</strong> <em>c</em> <u>d</u> <s>e</s> x<sub>2</sub> y<sup>3</sup></p>",
    "<h2>A</h2><h3>B</h3><p>a<br>b</p><hr>",
    '<ul><li>a</li><li>b</li></ul><ol start="3"><li>c</li></ol>',
    '<table><thead><tr><th scope="col">a</th></tr></thead></table>',
    '<table><tbody><tr><td colspan="2">b</td></tr></tbody></table>',
    "<blockquote><p>a</p></blockquote><pre><code>b</code></pre>",
    '<p><a href="https://x.example/a?b=1#c" rel="noopener noreferrer">a</a></p>',
    '<p><a href="http://x.example/" rel="noopener noreferrer">a</a></p>',
    '<p><a href="mailto:a@x.example" rel="noopener noreferrer">a</a></p>',
    '<p><img src="https://x.example/a.png" alt="folha" width="320"></p>',
    '<p style="text-align:center"><span style="color:#aa2c23;background-color:yellow">a</span></p>',
    '<p lang="fr">bonjour</p>',
    "<p>São 5 &lt; 6 &amp; 7 &gt; 2, “aspas”, 日本</p>",
]


@pytest.mark.parametrize("fragment", KEPT)
def test_what_the_editor_can_show_is_kept(fragment: str) -> None:
    assert html.sanitize(fragment) == fragment


@pytest.mark.parametrize(
    ("given_html", "made"),
    [
        ("nur Text", "<p>nur Text</p>"),
        ("a <b>b</b>", "<p>a <b>b</b></p>"),
        ("<div>a</div><div>b</div>", "<div>a</div><div>b</div>"),
        ('<p class="ql-x" id="root" data-x="1">a</p>', "<p>a</p>"),
        (
            '<p style="COLOR : Red ;font-size:12pt; position:fixed">a',
            '<p style="color:Red;font-size:12pt">a</p>',
        ),
        ("<section><p>a</p></section>", "<p>a</p>"),
        ('<font color="red">a</font>', "<p>a</p>"),
        ("<form><label>a</label><input value='b'></form>", "<p>a</p>"),
        ("<p>a", "<p>a</p>"),
        ("</p></div>a", "<p></p>a"),
        ('<img src="http://x.example/a.png">a', "<p>a</p>"),
    ],
)
def test_the_rest_is_reduced_without_losing_text(given_html: str, made: str) -> None:
    assert html.sanitize(given_html) == made


HOSTILE = [
    "<script>alert(1)</script>",
    "<SCRIPT SRC=//x.example/x.js></SCRIPT>",
    "<scr<script>ipt>alert(1)</scr</script>ipt>",
    '<p onclick="alert(1)" ONMOUSEOVER=alert(1)>a</p>',
    "<img src=x onerror=alert(1)>",
    '<img src="https://x.example/a.png" onload=alert(1)>',
    '<img src="data:image/svg+xml;base64,PHN2Zy8+">',
    "<img src=javascript:alert(1)>",
    '<a href="javascript:alert(1)">a</a>',
    '<a href=" &#14; javascript:alert(1)">a</a>',
    '<a href="java&#x0A;script:alert(1)">a</a>',
    '<a href="JaVaScRiPt&colon;alert(1)">a</a>',
    '<a href="data:text/html,<script>alert(1)</script>">a</a>',
    '<a href="vbscript:x">a</a><a href="file:///etc/passwd">a</a><a href="blob:https://x">a</a>',
    '<a href="//x.example">a</a><a href="#/embed/auth-with-token/x">a</a><a href="/x">a</a>',
    "<svg onload=alert(1)>a</svg>",
    "<svg><script>alert(1)</script></svg>",
    '<svg><a xlink:href="javascript:alert(1)"><text>a</text></a></svg>',
    "<svg><style><img src=x onerror=alert(1)></style></svg>",
    '<math><mtext><table><mglyph><style><!--</style><img title="--&gt;&lt;img src=1 onerror=alert(1)&gt;">',
    "<form><math><mtext></form><form><mglyph><style></math><img src onerror=alert(1)>",
    "<math><mi//xlink:href='data:x,<script>alert(1)</script>'>",
    '<noscript><p title="</noscript><img src=x onerror=alert(1)>">',
    '<textarea><p title="</textarea><img src=x onerror=alert(1)>">',
    '<title><p title="</title><img src=x onerror=alert(1)>">',
    "<xmp><p title='</xmp><img src=x onerror=alert(1)>'>",
    '<iframe src="javascript:alert(1)"></iframe><iframe srcdoc="<script>alert(1)</script>">',
    "<object data='data:text/html,x'></object><embed src=x><applet code=x>",
    '<meta http-equiv="refresh" content="0;url=https://x.example"><base href="https://x.example">',
    '<link rel="stylesheet" href="https://x.example/x.css"><style>@import "https://x.example"</style>',
    '<p style="background:url(https://x.example/t.gif)">a</p>',
    '<p style="color:expression(alert(1));behavior:url(x)">a</p>',
    '<p style="position:fixed;top:0;left:0;width:100vw;height:100vh;z-index:9999">a</p>',
    '<p style="color:red;}body{background:url(x)">a</p>',
    r'<p style="c\6flor:url(x);background-color:u\72l(x)">a</p>',
    '<p style="font-size:99999px">a</p>',
    "<template><script>alert(1)</script></template>",
    '<video><source onerror="alert(1)"></video><audio src=x onerror=alert(1)>',
    "<details open ontoggle=alert(1)>a</details>",
    "<marquee onstart=alert(1)>a</marquee>",
    '<input autofocus onfocus=alert(1)><button formaction="javascript:alert(1)">a</button>',
    "<!--><script>alert(1)</script>-->",
    "<!--[if IE]><script>alert(1)</script><![endif]-->",
    "<![CDATA[<script>alert(1)</script>]]>",
    "<?xml version='1.0'?><script>alert(1)</script>",
    "<p>a</p\x00><scr\x00ipt>alert(1)</script>",
    "\ufeff<script>alert(1)</script>",
    "+ADw-script+AD4-alert(1)+ADw-/script+AD4-",
    "\ud83d<script>alert(1)</script>",
    "<a href='https://x.example' target=_self ping=https://y.example>a</a>",
    "<b><i><u></b></i></u><p><table><p></table></b>" * 20,
]
URL_ATTRIBUTES = {"href", "src"}


class Reader(HTMLParser):
    """Notes every element and attribute, as a parser that is not the sanitizer's own finds them."""

    def __init__(self, fragment: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(fragment)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def assert_harmless(fragment: str) -> None:
    for tag, attributes in Reader(fragment).found:
        assert tag in html.TAGS, fragment
        allowed = html.ATTRIBUTES["*"] | html.ATTRIBUTES.get(tag, set()) | ({"rel"} if tag == "a" else set())
        assert attributes.keys() <= allowed, fragment
        for name in URL_ATTRIBUTES & attributes.keys():
            assert re.match(r"(https?://|mailto:)", attributes[name] or "", re.IGNORECASE), fragment
        for declaration in filter(None, (attributes.get("style") or "").split(";")):
            name, _, value = declaration.partition(":")
            assert name in html.STYLES and "url" not in value and "\\" not in value, fragment


@pytest.mark.parametrize("fragment", HOSTILE)
def test_hostile_html_is_harmless_wherever_it_stands(fragment: str) -> None:
    for whole in (fragment, f"<p>antes {fragment} depois</p>", f"<table><tr><td>{fragment}", fragment * 3):
        clean = html.sanitize(whole)
        assert_harmless(clean)
        assert html.sanitize(clean) == clean


PIECES = st.one_of(
    st.sampled_from(HOSTILE + KEPT),
    st.sampled_from(
        ["<p>", "</p>", "<b>", "<table>", "<td>", "<svg>", "<math>", "<style>", "<mglyph>", "<!--", "-->",
         '"', "'", "<a href=", "<form>", "<select>", "<option>", "&lt;", "&#0;", "</", "<", ">",
         "<li>", "<pre>\n\n"]
    ),
    st.text(st.characters(exclude_categories=()), max_size=10),
)  # fmt: skip


@patient
@given(st.lists(PIECES, max_size=12))
def test_what_was_sanitized_stays_as_it_is_and_harmless(pieces: list[str]) -> None:
    clean = html.sanitize("".join(pieces))
    assert html.sanitize(clean) == clean
    assert_harmless(clean)
    html.text_of("".join(pieces))


@pytest.mark.parametrize(
    "fragment",
    ["<b>" * 6000, "<ul><li>" * 2500, "<table><tr><td>" * 1300, "&" * 20_000, "<!--" * 5000, "<svg>" * 4000,
     "".join(f"<b lang={n}>" for n in range(900)) + "<p>x" * 2000, "<p>x" * 5000,
     "<a href=https://x>" * 1000],
    ids=lambda fragment: fragment[:16],
)  # fmt: skip
def test_what_is_made_to_be_slow_or_large_is_neither(fragment: str) -> None:
    started = time.process_time()
    clean = html.sanitize(fragment)
    assert time.process_time() - started < 2
    assert len(clean) <= html.GROWTH * len(fragment) + 1000


@pytest.mark.parametrize(
    ("fragment", "words"),
    [
        ("<p></p><p>a  <b>b</b>\nc</p><p>d</p>", "a b c"),
        ("<ul><li>um &lt; dois</li><li>x</li></ul>", "um < dois"),
        ("sem marca", "sem marca"),
        ("<p> </p>", ""),
        ("<style>p{}</style><script>x</script><p>a</p>", "a"),
        ("<p>a<br>b</p>", "a"),
    ],
)
def test_the_first_words_are_those_that_can_be_read(fragment: str, words: str) -> None:
    assert html.first_words(fragment) == words


def test_the_text_of_a_passage_has_a_line_for_each_block() -> None:
    fragment = "<h2>A</h2><p>b <i>c</i></p><table><tr><td>d</td><td>e</td></tr></table>"
    assert html.text_of(fragment) == "A\nb c\nd\ne"


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("a\n\nb\nc", "<p>a</p><p>b<br>c</p>"),
        ("<b>&", "<p>&lt;b&gt;&amp;</p>"),
        ("\n\n", "<p></p>"),
    ],
)
def test_plain_text_is_shown_as_it_was_typed(text: str, made: str) -> None:
    assert html.paragraphs(text) == made


@pytest.mark.parametrize(
    ("text", "expected"), [("<p>a</p>", True), ("a<br>b", True), ("a < b > c", False), (7, False)]
)
def test_html_is_told_from_plain_text(text: Any, expected: bool) -> None:
    assert html.looks_like_html(text) is expected
