"""The tables that the inventory loads into.

Owns their columns and statements. They stand in Python, next to the job that uses them, so that a job can
be copied whole.
"""

# An inventory says what is there now, so the last one is replaced.
BEGIN_AFRESH = """
DROP TABLE IF EXISTS distributions;
CREATE TABLE distributions (
    distribution_id INTEGER PRIMARY KEY, name TEXT, version TEXT, summary TEXT, licence TEXT,
    requires_python TEXT, installer TEXT, location TEXT, files INTEGER, bytes INTEGER
);
DROP TABLE IF EXISTS files;
CREATE TABLE files (distribution_id INTEGER, path TEXT, kind TEXT, bytes INTEGER, condition TEXT);
DROP TABLE IF EXISTS dependencies;
CREATE TABLE dependencies (
    distribution_id INTEGER, needs TEXT, extras TEXT, specifier TEXT, marker TEXT, extra TEXT,
    installed INTEGER
);
DROP TABLE IF EXISTS quirks;
CREATE TABLE quirks (distribution_id INTEGER, kind TEXT, detail TEXT);
"""
ADD_DISTRIBUTION = "INSERT INTO distributions VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
ADD_FILE = "INSERT INTO files VALUES (?, ?, ?, ?, ?)"
ADD_DEPENDENCY = "INSERT INTO dependencies VALUES (?, ?, ?, ?, ?, ?, ?)"
ADD_QUIRK = "INSERT INTO quirks VALUES (?, ?, ?)"
