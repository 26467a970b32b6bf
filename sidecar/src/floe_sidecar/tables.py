"""The spool's tables, and the SQL that moves many of their rows at once."""

from __future__ import annotations

from floe_sidecar.statements import SIZES

SCHEMA = """
CREATE TABLE IF NOT EXISTS events (
    sequence INTEGER PRIMARY KEY, run TEXT NOT NULL, received_at REAL NOT NULL, size INTEGER NOT NULL, digest BLOB NOT
    NULL
);
CREATE TABLE IF NOT EXISTS bodies (sequence INTEGER PRIMARY KEY, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS delivered (sequence INTEGER PRIMARY KEY, delivered_at REAL NOT NULL, digest BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS dead_letters (
    sequence INTEGER PRIMARY KEY, run TEXT NOT NULL, received_at REAL NOT NULL, size INTEGER NOT NULL, digest BLOB NOT
    NULL, died_at REAL NOT NULL, reason TEXT NOT NULL, detail TEXT NOT NULL, body BLOB
);
"""
_COLUMNS = "e.sequence, e.run, e.received_at, e.size, e.digest, b.body"
READ = f"SELECT {_COLUMNS} FROM events e LEFT JOIN bodies b USING (sequence) "  # noqa: S608 - our own names


class Statements:
    """SQL for a number of rows at once."""

    def __init__(self, rows: int) -> None:
        some = f"WHERE sequence IN ({','.join('?' * rows)})"
        self.insert_events = "INSERT INTO events VALUES " + ",".join(["(?,?,?,?,?)"] * rows)  # noqa: S608 - as below
        self.insert_bodies = "INSERT INTO bodies VALUES " + ",".join(["(?,?)"] * rows)  # noqa: S608 - as below
        self.measure = f"SELECT count(*), total(size) FROM events {some}"  # noqa: S608 - question marks only
        self.remember = f"INSERT OR IGNORE INTO delivered SELECT sequence, ?, digest FROM events {some}"  # noqa: S608 - as above
        self.delete_events = f"DELETE FROM events {some}"  # noqa: S608 - as above
        self.delete_bodies = f"DELETE FROM bodies {some}"  # noqa: S608 - as above


FOR_ROWS = {rows: Statements(rows) for rows in SIZES}
