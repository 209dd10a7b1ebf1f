"""The tables of the store, and how an older file is brought up to date."""

import sqlite3

from edgespec.errors import InvalidInput

_MIGRATIONS = (
    """
    CREATE TABLE conversation (
        id INTEGER PRIMARY KEY,
        title TEXT NOT NULL,
        system TEXT NOT NULL DEFAULT '',
        leaf INTEGER,
        created REAL NOT NULL,
        updated REAL NOT NULL,
        deleted REAL
    );
    CREATE INDEX conversation_updated ON conversation (updated);
    CREATE TABLE message (
        id INTEGER PRIMARY KEY,
        conversation INTEGER NOT NULL REFERENCES conversation ON DELETE CASCADE,
        parent INTEGER REFERENCES message ON DELETE CASCADE,
        role TEXT NOT NULL CHECK (role IN ('user', 'assistant')),
        text TEXT NOT NULL,
        done INTEGER NOT NULL,
        created REAL NOT NULL,
        facts TEXT NOT NULL DEFAULT '{}'
    );
    CREATE INDEX message_conversation ON message (conversation);
    CREATE INDEX message_parent ON message (parent);
    CREATE TABLE session (
        pid INTEGER NOT NULL,
        started REAL NOT NULL,
        conversation INTEGER,
        draft TEXT NOT NULL DEFAULT '',
        PRIMARY KEY (pid, started)
    );
    CREATE VIRTUAL TABLE message_words USING fts5 (
        text, content = 'message', content_rowid = 'id', tokenize = 'unicode61 remove_diacritics 2'
    );
    CREATE TRIGGER message_inserted AFTER INSERT ON message WHEN new.done BEGIN
        INSERT INTO message_words (rowid, text) VALUES (new.id, new.text);
    END;
    CREATE TRIGGER message_deleted AFTER DELETE ON message WHEN old.done BEGIN
        INSERT INTO message_words (message_words, rowid, text)
        VALUES ('delete', old.id, old.text);
    END;
    CREATE TRIGGER message_reopened AFTER UPDATE OF text, done ON message WHEN old.done BEGIN
        INSERT INTO message_words (message_words, rowid, text)
        VALUES ('delete', old.id, old.text);
    END;
    CREATE TRIGGER message_written AFTER UPDATE OF text, done ON message WHEN new.done BEGIN
        INSERT INTO message_words (rowid, text) VALUES (new.id, new.text);
    END;
    """,
)
"""One script for each version of the file. Words are indexed once a message is complete."""


def migrate(connection: sqlite3.Connection) -> None:
    """Bring the tables to this version. Raises InvalidInput for a file of a later edgespec."""
    version = _version(connection)
    if version > len(_MIGRATIONS):
        raise InvalidInput("it was written by a later version of edgespec", "update edgespec")
    if version == len(_MIGRATIONS):
        return
    # Another process may be at it as well: whoever waited finds the work done.
    connection.execute("BEGIN IMMEDIATE")
    try:
        for number in range(_version(connection), len(_MIGRATIONS)):
            for statement in _statements(_MIGRATIONS[number]):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {number + 1}")
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _statements(script: str) -> list[str]:
    """The single statements; `executescript` would commit the transaction around them."""
    statements, begun = [], ""
    for line in script.splitlines(keepends=True):
        begun += line
        if sqlite3.complete_statement(begun):
            statements.append(begun)
            begun = ""
    return statements
