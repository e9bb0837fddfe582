"""Rich text as Composer keeps it: HTML in paragraphs, reduced to an allow-list before we write it.

What we read is left as it is; only what we write passes through here.

The list holds what rich-text editors of this kind produce and teachers see: paragraphs, headings, emphasis,
lists, tables, quotations, links, pictures from https, and of styles colour, alignment, size and indentation.
Left out are classes and ids (they reach into the application's own style sheets and scripts), addresses
without a scheme (they lead into the application, its login included), ``data:`` (scripts, and pictures of any
size), everything that is played, embedded or filled in (there are widgets for it), and positions and
backgrounds by address (they cover the page or call home).
"""

from __future__ import annotations

import html
import re

import nh3

BLOCKS = {
    "blockquote", "caption", "dd", "div", "dl", "dt", "figcaption", "figure", "h1", "h2", "h3", "h4", "h5",
    "h6", "hr", "li", "ol", "p", "pre", "table", "tbody", "td", "tfoot", "th", "thead", "tr", "ul",
}  # fmt: skip
TAGS = BLOCKS | {
    "a", "abbr", "b", "br", "cite", "code", "col", "colgroup", "del", "em", "i", "img", "ins", "kbd", "mark",
    "q", "s", "small", "span", "strong", "sub", "sup", "u", "var",
}  # fmt: skip
#: Their text goes with them: it is program, or was never meant to be read in this place.
DROPPED_WHOLE = {
    "iframe", "math", "noembed", "noframes", "noscript", "object", "script", "select", "style", "svg",
    "template", "textarea", "title", "xmp",
}  # fmt: skip
ATTRIBUTES = {
    "*": {"lang", "style", "title"},
    "a": {"href"},
    "img": {"alt", "height", "src", "width"},
    "li": {"value"},
    "ol": {"start"},
    "td": {"colspan", "rowspan"},
    "th": {"colspan", "rowspan", "scope"},
}
#: Links may lead to http, as many schools' pages still do; a picture is loaded at once, so it may not.
SCHEMES = {"http", "https", "mailto"}
NUMBERS = {"colspan", "height", "rowspan", "start", "value", "width"}

_COLOUR = r"#[0-9a-fA-F]{3,8}|[a-zA-Z]{3,20}|(?:rgb|hsl)a?\([\d.,%/ ]{1,40}\)"
_LENGTH = r"0|[1-9]?\d(?:\.\d{1,3})?(?:px|pt)|\d(?:\.\d{1,3})?r?em|[1-3]?\d{1,2}%"
STYLES = {
    "background-color": _COLOUR,
    "color": _COLOUR,
    "font-size": _LENGTH,
    "font-style": "italic|normal|oblique",
    "font-weight": "normal|bold|bolder|lighter|[1-9]00",
    "list-style-type": "[a-z-]{1,30}",
    "margin-left": _LENGTH,
    "padding-left": _LENGTH,
    "text-align": "left|right|center|justify|start|end",
    "text-decoration": "none|underline|line-through|underline line-through",
    "vertical-align": "baseline|top|middle|bottom|sub|super",
}
_STYLES = {name: re.compile(form, re.ASCII) for name, form in STYLES.items()}
_BLOCK = re.compile(rf"<(?:{'|'.join(sorted(BLOCKS))})\b")
_BLOCK_EDGE = re.compile(rf"</?(?:br|{'|'.join(sorted(BLOCKS))})\b[^>]*>")
#: Misnested elements can be written shorter than they are; a passage that grows more than this is hostile.
GROWTH = 8
#: Deeper ones cost a parser time that grows with the square; no page that people write comes near.
MAX_DEPTH = 100
_EDGE = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9]*)")
#: Elements that end by themselves, or have no end.
_ENDS_ITSELF = {"br", "col", "dd", "dt", "hr", "img", "input", "li", "p", "td", "th", "tr"}
#: So often the result is cleaned again; what still changes then is not shown as HTML.
PASSES = 5
FIRST_WORDS = 60


def sanitize(fragment: str) -> str:
    """Return ``fragment`` with nothing but what is allowed, as a paragraph if it has no block.

    The result is a fixed point: a parser reads in it what we wrote, so no second reading finds a script in
    it that the first one missed. What has none, or is nested too deep, becomes plain text.
    """
    if is_too_deep(fragment):
        return paragraphs(re.sub(r"<[^>]*>", " ", fragment))
    clean = _once(fragment)
    for _ in range(PASSES):
        again = _once(clean)
        if again == clean:
            return clean
        if len(again) > GROWTH * len(fragment) + 1000:
            break
        clean = again
    return paragraphs(text_of(fragment))


def _once(fragment: str) -> str:
    # A picture without an address shows nothing but that it is broken.
    clean = _CLEANER.clean(_whole(fragment)).replace("<img>", "").strip()
    return clean if _BLOCK.search(clean) else f"<p>{clean}</p>"


def _whole(text: str) -> str:
    """Return ``text`` without halves of surrogate pairs, which no parser takes."""
    return text.encode("utf-8", "replace").decode()


def is_too_deep(fragment: str) -> bool:
    """Whether elements are nested in elements beyond reason."""
    depth = 0
    for end, name in _EDGE.findall(fragment):
        if name.lower() not in _ENDS_ITSELF:
            depth = max(0, depth + (-1 if end else 1))
            if depth > MAX_DEPTH:
                return True
    return False


def _attribute(tag: str, name: str, value: str) -> str | None:
    """Return what is left of an attribute's value, nothing if the attribute goes."""
    if name == "style":
        return _style(value) or None
    if name in NUMBERS:
        return value if re.fullmatch(r"\d{1,4}%?", value.strip(), re.ASCII) else None
    if (tag, name) == ("img", "src"):
        return value if re.match(r"https://[^/\s]", value, re.IGNORECASE) else None
    return value


def _style(value: str) -> str:
    kept = []
    for declaration in value.split(";"):
        name, _, setting = declaration.partition(":")
        name, setting = name.strip().lower(), " ".join(setting.split())
        if name in _STYLES and _STYLES[name].fullmatch(setting):
            kept.append(f"{name}:{setting}")
    return ";".join(kept)


_CLEANER = nh3.Cleaner(
    tags=TAGS,
    clean_content_tags=DROPPED_WHOLE,
    attributes=ATTRIBUTES,
    attribute_filter=_attribute,
    filter_style_properties=set(STYLES),
    url_schemes=SCHEMES,
    url_relative="deny",
    link_rel="noopener noreferrer",
)
_READER = nh3.Cleaner(tags=BLOCKS | {"br"}, clean_content_tags=DROPPED_WHOLE, attributes={}, link_rel=None)


def text_of(fragment: str) -> str:
    """Return what can be read in ``fragment``: one line for each block that has text."""
    if is_too_deep(fragment):
        fragment = re.sub(r"<[^>]*>", " ", fragment)
    blocks = _BLOCK_EDGE.split(_READER.clean(_whole(fragment)))
    lines = (" ".join(html.unescape(block).split()) for block in blocks)
    return "\n".join(line for line in lines if line)


def shows_something(fragment: str) -> bool:
    """Whether anything can be seen of ``fragment`` once it is sanitized."""
    clean = sanitize(fragment)
    return "<img" in clean or "<hr" in clean or bool(text_of(clean))


def first_words(fragment: str) -> str:
    """Return the beginning of the first block of ``fragment`` that has text, as it reads on the page."""
    return text_of(fragment[:100_000]).partition("\n")[0][:FIRST_WORDS]


def looks_like_html(text: object) -> bool:
    """Whether a text is probably meant as HTML: it closes an element that rich text has."""
    return isinstance(text, str) and re.search(r"</[a-z][a-z0-9]{0,9}>|<br ?/?>", text) is not None


def paragraphs(text: str) -> str:
    """Return plain text as HTML: an empty line ends a paragraph, a single line break stays one."""
    blocks = [block for block in re.split(r"\n\s*\n", text.strip("\n")) if block.strip()] or [""]
    return "".join(
        f"<p>{html.escape(block.strip(), quote=False).replace(chr(10), '<br>')}</p>" for block in blocks
    )
