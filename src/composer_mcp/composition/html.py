"""Rich text as Composer keeps it: HTML in paragraphs, reduced to an allow-list before we write it.

What we read is left as it is; only what we write passes through here.
"""

from __future__ import annotations

import html
import re

import nh3

TAGS = {
    "a", "b", "blockquote", "br", "code", "em", "h2", "h3", "h4", "hr", "i", "li", "ol", "p", "pre", "s",
    "strong", "sub", "sup", "table", "tbody", "td", "th", "thead", "tr", "u", "ul",
}  # fmt: skip
ATTRIBUTES = {"a": {"href"}, "td": {"colspan", "rowspan"}, "th": {"colspan", "rowspan"}}
SCHEMES = {"https", "mailto"}
_BLOCK = re.compile(r"<(blockquote|h2|h3|h4|hr|ol|p|pre|table|ul)\b")


def sanitize(fragment: str) -> str:
    """Return ``fragment`` with nothing but the allowed elements, as a paragraph if it has no block."""
    clean = nh3.clean(
        fragment,
        tags=TAGS,
        attributes=ATTRIBUTES,
        url_schemes=SCHEMES,
        link_rel="noopener noreferrer",
    ).strip()
    return clean if _BLOCK.search(clean) else f"<p>{clean}</p>"


def looks_like_html(text: object) -> bool:
    """Whether a text is probably meant as HTML: it closes an element that rich text has."""
    return isinstance(text, str) and re.search(r"</(?:[a-z][a-z0-9]{0,9})>|<br ?/?>", text) is not None


def paragraphs(text: str) -> str:
    """Return plain text as HTML: an empty line ends a paragraph, a single line break stays one."""
    blocks = [block for block in re.split(r"\n\s*\n", text.strip("\n")) if block.strip()] or [""]
    return "".join(
        f"<p>{html.escape(block.strip(), quote=False).replace(chr(10), '<br>')}</p>" for block in blocks
    )


def first_words(fragment: str) -> str:
    """Return the beginning of the first block of ``fragment`` that has text, as it reads on the page."""
    for block in re.split(r"</?(?:blockquote|br|h\d|hr|li|ol|p|pre|table|td|th|tr|ul)\b[^>]*>", fragment):
        text = " ".join(html.unescape(re.sub(r"<[^>]*>", "", block)).split())
        if text:
            return text[:60]
    return ""
