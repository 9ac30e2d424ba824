-- The same tables as on PostgreSQL, in one file. Times are integer microseconds since 1970-01-01Z; `bucket` is seconds.
-- Tags, counters and overheads are JSON text; a histogram is a blob of packed little-endian 64-bit integers.
-- Kept to what SQLite 3.34 knows (no STRICT, no RETURNING): it is what long-lived distributions ship with Python 3.11.
-- The columns of a primary key come first and in its order: of a table without row ids where they do not, SQLite 3.40.0 to
-- 3.41.0 says falsely that it holds NULLs where none may be, whenever the file is checked.

CREATE TABLE schema_version (
    version    INTEGER PRIMARY KEY,
    name       TEXT    NOT NULL,
    checksum   TEXT    NOT NULL,
    applied_at INTEGER NOT NULL
);

CREATE TABLE runs (
    run_id               INTEGER PRIMARY KEY,
    started_at           INTEGER NOT NULL,
    ended_at             INTEGER,
    duration_ms          INTEGER,
    heartbeat_at         INTEGER,
    progress_at          INTEGER,
    requests             INTEGER NOT NULL DEFAULT 0,
    items                INTEGER NOT NULL DEFAULT 0,
    failed_requests      INTEGER NOT NULL DEFAULT 0,
    throttled_requests   INTEGER NOT NULL DEFAULT 0,
    errors               INTEGER NOT NULL DEFAULT 0,
    emitted              INTEGER NOT NULL DEFAULT 0,
    dropped              INTEGER NOT NULL DEFAULT 0,
    parent_run_id        INTEGER,
    clock_offset_ms      INTEGER NOT NULL DEFAULT 0,
    heartbeat_interval_s REAL,
    pid                  INTEGER NOT NULL,
    job                  TEXT    NOT NULL,
    status               TEXT    NOT NULL,
    notes                TEXT,
    tags                 TEXT    NOT NULL DEFAULT '{}',
    host                 TEXT    NOT NULL,
    boot_id              TEXT    NOT NULL,
    username             TEXT    NOT NULL,
    command              TEXT    NOT NULL,
    code_version         TEXT    NOT NULL,
    tracker_version      TEXT    NOT NULL,
    ended_by             TEXT,
    CONSTRAINT runs_run_id_is_positive CHECK (run_id > 0),
    CONSTRAINT runs_status_is_known
        CHECK (status IN ('running', 'completed', 'failed', 'terminated', 'abandoned')),
    CONSTRAINT runs_end_goes_with_status CHECK ((status = 'running') = (ended_at IS NULL))
);
CREATE INDEX runs_by_start ON runs (started_at DESC, run_id DESC);
CREATE INDEX runs_by_job ON runs (job, started_at DESC, run_id DESC);
CREATE INDEX runs_by_end ON runs (ended_at) WHERE ended_at IS NOT NULL;
CREATE INDEX runs_live ON runs (started_at DESC, run_id DESC) WHERE status = 'running';

CREATE TABLE phases (
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
    CONSTRAINT phases_status_is_known CHECK (status IN ('pending', 'running', 'completed', 'failed'))
) WITHOUT ROWID;

CREATE TABLE phase_series (
    run_id    INTEGER NOT NULL,
    phase     TEXT    NOT NULL,
    bucket    INTEGER NOT NULL,
    at        INTEGER NOT NULL,
    processed TEXT    NOT NULL DEFAULT '{}',
    memory_mb REAL,
    PRIMARY KEY (run_id, phase, bucket)
) WITHOUT ROWID;

-- One row a request.
CREATE TABLE requests (
    run_id      INTEGER NOT NULL,
    writer_id   INTEGER NOT NULL,
    seq         INTEGER NOT NULL,
    at          INTEGER NOT NULL,
    page_offset INTEGER,
    page_limit  INTEGER,
    items       INTEGER NOT NULL,
    duration_ms INTEGER NOT NULL,
    status      INTEGER,
    throttled   INTEGER NOT NULL,
    endpoint    TEXT    NOT NULL,
    error       TEXT,
    PRIMARY KEY (run_id, writer_id, seq)
) WITHOUT ROWID;

CREATE TABLE run_endpoints (
    run_id       INTEGER NOT NULL,
    endpoint     TEXT    NOT NULL,
    requests     INTEGER NOT NULL,
    failed       INTEGER NOT NULL,
    throttled    INTEGER NOT NULL,
    items        INTEGER NOT NULL,
    duration_ms  INTEGER NOT NULL,
    max_ms       INTEGER NOT NULL,
    status_2xx   INTEGER NOT NULL,
    status_3xx   INTEGER NOT NULL,
    status_4xx   INTEGER NOT NULL,
    status_5xx   INTEGER NOT NULL,
    status_other INTEGER NOT NULL,
    histogram    BLOB    NOT NULL,
    PRIMARY KEY (run_id, endpoint)
) WITHOUT ROWID;

CREATE TABLE run_series (
    run_id       INTEGER NOT NULL,
    bucket       INTEGER NOT NULL,
    width        INTEGER NOT NULL,
    items        INTEGER NOT NULL,
    duration_ms  INTEGER NOT NULL,
    requests     INTEGER NOT NULL,
    failed       INTEGER NOT NULL,
    throttled    INTEGER NOT NULL,
    status_2xx   INTEGER NOT NULL,
    status_3xx   INTEGER NOT NULL,
    status_4xx   INTEGER NOT NULL,
    status_5xx   INTEGER NOT NULL,
    status_other INTEGER NOT NULL,
    histogram    BLOB    NOT NULL,
    PRIMARY KEY (run_id, bucket, width)
) WITHOUT ROWID;

-- All runs together; sharded as on PostgreSQL, so that a store can move from here to there as it is.
CREATE TABLE throughput (
    width        INTEGER NOT NULL,
    bucket       INTEGER NOT NULL,
    shard        INTEGER NOT NULL,
    requests     INTEGER NOT NULL,
    failed       INTEGER NOT NULL,
    throttled    INTEGER NOT NULL,
    items        INTEGER NOT NULL,
    duration_ms  INTEGER NOT NULL,
    status_2xx   INTEGER NOT NULL,
    status_3xx   INTEGER NOT NULL,
    status_4xx   INTEGER NOT NULL,
    status_5xx   INTEGER NOT NULL,
    status_other INTEGER NOT NULL,
    histogram    BLOB    NOT NULL,
    PRIMARY KEY (width, bucket, shard)
) WITHOUT ROWID;

CREATE TABLE source_counts (
    run_id INTEGER NOT NULL,
    entity TEXT    NOT NULL,
    items  INTEGER NOT NULL,
    at     INTEGER NOT NULL,
    PRIMARY KEY (run_id, entity)
) WITHOUT ROWID;

CREATE TABLE errors (
    run_id      INTEGER NOT NULL,
    writer_id   INTEGER NOT NULL,
    seq         INTEGER NOT NULL,
    at          INTEGER NOT NULL,
    phase       TEXT,
    error_type  TEXT    NOT NULL,
    message     TEXT    NOT NULL,
    traceback   TEXT    NOT NULL,
    fingerprint TEXT    NOT NULL,
    PRIMARY KEY (run_id, writer_id, seq)
);
CREATE INDEX errors_by_time ON errors (at DESC);
CREATE INDEX errors_by_fingerprint ON errors (fingerprint, at DESC);

-- Batches that were taken: a batch sent again is recognised by its key and skipped whole.
CREATE TABLE batches (
    writer_id INTEGER NOT NULL,
    batch_seq INTEGER NOT NULL,
    at        INTEGER NOT NULL,
    PRIMARY KEY (writer_id, batch_seq)
) WITHOUT ROWID;
CREATE INDEX batches_by_time ON batches (at);

-- How far each writer has come with a run. What its last word added to `emitted` and `dropped` is what the run's own
-- counters grow by.
CREATE TABLE writers (
    run_id         INTEGER NOT NULL,
    writer_id      INTEGER NOT NULL,
    emitted        INTEGER NOT NULL DEFAULT 0,
    stored         INTEGER NOT NULL DEFAULT 0,
    dropped        INTEGER NOT NULL DEFAULT 0,
    emitted_before INTEGER NOT NULL DEFAULT 0,
    dropped_before INTEGER NOT NULL DEFAULT 0,
    overhead       TEXT    NOT NULL DEFAULT '{}',
    PRIMARY KEY (run_id, writer_id)
) WITHOUT ROWID;

-- No row means on. `job` is '' in the global scope.
CREATE TABLE switches (
    scope      TEXT    NOT NULL,
    job        TEXT    NOT NULL DEFAULT '',
    enabled    INTEGER NOT NULL,
    changed_at INTEGER NOT NULL,
    changed_by TEXT    NOT NULL,
    reason     TEXT    NOT NULL DEFAULT '',
    PRIMARY KEY (scope, job),
    CONSTRAINT switches_scope_is_known CHECK ((scope = 'global') = (job = '') AND scope IN ('global', 'job'))
) WITHOUT ROWID;

CREATE TABLE audit (
    id     INTEGER PRIMARY KEY,
    at     INTEGER NOT NULL,
    actor  TEXT    NOT NULL,
    action TEXT    NOT NULL,
    detail TEXT    NOT NULL DEFAULT '{}'
);

-- Runs that a clean-up removed lately: what arrives for them late is refused.
CREATE TABLE removed_runs (
    run_id     INTEGER PRIMARY KEY,
    removed_at INTEGER NOT NULL
);
CREATE INDEX removed_runs_by_time ON removed_runs (removed_at);

-- The latest cutoff of a clean-up: a finished run older than it is refused even without a row in removed_runs.
CREATE TABLE retention (
    only_row INTEGER PRIMARY KEY DEFAULT 1 CHECK (only_row = 1),
    cutoff   INTEGER NOT NULL
);
