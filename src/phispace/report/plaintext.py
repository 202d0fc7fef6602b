"""Text that came from outside (file names, labels, error texts), made safe to store and to show.

Markup is not touched here: escaping belongs to the place where the text is shown (HTML, Markdown, CSV).
"""

from __future__ import annotations

import re
import unicodedata
from typing import Annotated, Any

from pydantic import BeforeValidator

# Overrides of the writing direction can make a name read as another one; they have no business in a label.
_DIRECTION = {chr(c) for c in (*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x200E, 0x200F, 0x061C)}
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>()#!|~&$])")


def clean(value: Any) -> Any:
    """Replace what cannot be stored or shown: lone surrogates, control characters, direction overrides.

    Line breaks and tabs stay. What is not a string, or is escaped markup already, comes back as it is.
    """
    if not isinstance(value, str) or hasattr(value, "__html__"):
        return value
    text = value.encode("utf-8", "backslashreplace").decode("utf-8")
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        "\N{REPLACEMENT CHARACTER}"
        if character in _DIRECTION or (unicodedata.category(character) == "Cc" and character not in "\n\t")
        else character
        for character in text
    )


PlainText = Annotated[str, BeforeValidator(clean)]


def one_line(text: str) -> str:
    """The text in one line: every run of white space is one space."""
    return " ".join(str(clean(text)).split())


def markdown_text(text: str) -> str:
    """The text for a Markdown table cell: nothing in it is markup."""
    return _MARKDOWN.sub(r"\\\1", one_line(text))


def csv_text(text: str) -> str:
    """The text for a CSV cell that a spreadsheet may open: what would be read as a formula gets an apostrophe."""
    text = one_line(text)
    return f"'{text}" if text.startswith(_FORMULA) else text
