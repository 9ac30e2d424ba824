-- A phase may be skipped. SQLite changes no constraint of a table that is there, so phases are copied
-- into another one.

CREATE TABLE phases_of_version_2 (
    run_id          INTEGER NOT NULL,
    phase           TEXT    NOT NULL,
    position        INTEGER NOT NULL,
    status          TEXT    NOT NULL,
    started_at      INTEGER,
    ended_at        INTEGER,
    changed_at      INTEGER NOT NULL,
    counters        TEXT    NOT NULL DEFAULT '{}',
    memory_mb       REAL,
    peak_memory_mb  REAL,
    memory_limit_mb REAL,
    PRIMARY KEY (run_id, phase),
    CONSTRAINT phases_status_is_known CHECK (status IN ('pending', 'running', 'completed', 'failed', 'skipped'))
) WITHOUT ROWID;
INSERT INTO phases_of_version_2 (
    run_id, phase, position, status, started_at, ended_at, changed_at, counters, memory_mb, peak_memory_mb,
    memory_limit_mb)
SELECT
    run_id, phase, position, status, started_at, ended_at, changed_at, counters, memory_mb, peak_memory_mb,
    memory_limit_mb
FROM phases;
DROP TABLE phases;
ALTER TABLE phases_of_version_2 RENAME TO phases;
