"""Finding conversations: by the words in their titles and messages."""

import json
import re
import sqlite3

from edgespec.store.records import Summary

_LISTED = """
    SELECT id, title, updated, '' FROM conversation WHERE deleted IS NULL
    ORDER BY updated DESC, id DESC LIMIT ?
"""
_INDEXED = """
    SELECT conversation, max(message.id)
    FROM message_words JOIN message ON message.id = message_words.rowid
    WHERE message_words MATCH :words GROUP BY conversation
"""
_READ = """
    SELECT conversation, max(id) FROM message
    WHERE done AND NOT EXISTS (
        SELECT 1 FROM json_each(:parts) WHERE message.text NOT LIKE value ESCAPE '\\'
    ) GROUP BY conversation
"""
_FOUND = """
    WITH hit (conversation, message) AS ({hits})
    SELECT id, title, updated, coalesce(substr(
        (SELECT text FROM message WHERE message.id = hit.message), 1, 100000), '')
    FROM conversation LEFT JOIN hit ON hit.conversation = conversation.id
    WHERE deleted IS NULL AND (hit.message IS NOT NULL OR title LIKE :title ESCAPE '\\')
    ORDER BY updated DESC, id DESC LIMIT :limit
"""
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]"
)
"""Letters of scripts without spaces between words: Thai to Khmer, kana, Chinese characters."""
_BEFORE, _AFTER = 8, 40
"""Characters of an excerpt around the first word found, which a narrow list must still show."""


def find(connection: sqlite3.Connection, query: str, limit: int) -> list[Summary]:
    """The conversations with all words of `query` in one message, or with it in their title.

    The last word may be the beginning of one. Without any word, all conversations.
    """
    words = re.findall(r"\w+", query)
    if not words:
        return [Summary(*row) for row in connection.execute(_LISTED, (limit,))]
    values = {
        "words": " ".join(f'"{word}"' for word in words) + "*",
        "parts": json.dumps([_containing(word) for word in words]),
        "title": _containing(query.strip()),
        "limit": limit,
    }
    # The index takes what has no spaces in it for one word, of which nobody types the beginning.
    hits = _READ if _UNSPACED.search(query) else _INDEXED
    rows = connection.execute(_FOUND.format(hits=hits), values)
    return [
        Summary(id_, title, updated, _excerpt(text, words)) for id_, title, updated, text in rows
    ]


def _containing(text: str) -> str:
    """A pattern of LIKE for what has `text` somewhere."""
    escaped = re.sub(r"([\\%_])", r"\\\1", text)
    return f"%{escaped}%"


def _excerpt(text: str, words: list[str]) -> str:
    """What stands around the first of `words` in `text`, in one line."""
    found = re.search("|".join(map(re.escape, words)), text, re.IGNORECASE)
    if not found:
        return " ".join(text[: _BEFORE + _AFTER].split())
    start = max(found.start() - _BEFORE, 0)
    part = " ".join(text[start : found.end() + _AFTER].split())
    return ("…" if start else "") + part + ("…" if found.end() + _AFTER < len(text) else "")
