-- The tables that jobs and dashboards meet in. Times are timestamptz; `bucket` is seconds since 1970-01-01Z.
CREATE SCHEMA IF NOT EXISTS tracking;

CREATE TABLE tracking.schema_version (
    version    integer     PRIMARY KEY,
    name       text        NOT NULL,
    checksum   text        NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- Counters and heartbeats update a run in place, so no index may touch what they change, and half of each page is left
-- free for the new versions of its rows (HOT).
CREATE TABLE tracking.runs (
    run_id               bigint      PRIMARY KEY,
    started_at           timestamptz NOT NULL,
    ended_at             timestamptz,
    duration_ms          bigint,
    heartbeat_at         timestamptz,
    progress_at          timestamptz,
    requests             bigint      NOT NULL DEFAULT 0,
    items                bigint      NOT NULL DEFAULT 0,
    failed_requests      bigint      NOT NULL DEFAULT 0,
    throttled_requests   bigint      NOT NULL DEFAULT 0,
    errors               bigint      NOT NULL DEFAULT 0,
    emitted              bigint      NOT NULL DEFAULT 0,
    dropped              bigint      NOT NULL DEFAULT 0,
    parent_run_id        bigint,
    clock_offset_ms      bigint      NOT NULL DEFAULT 0,
    heartbeat_interval_s real,
    pid                  integer     NOT NULL,
    job                  text        NOT NULL,
    status               text        NOT NULL,
    notes                text,
    tags                 jsonb       NOT NULL DEFAULT '{}',
    host                 text        NOT NULL,
    boot_id              text        NOT NULL,
    username             text        NOT NULL,
    command              text        NOT NULL,
    code_version         text        NOT NULL,
    tracker_version      text        NOT NULL,
    ended_by             text,
    CONSTRAINT runs_run_id_is_positive CHECK (run_id > 0),
    CONSTRAINT runs_status_is_known
        CHECK (status IN ('running', 'completed', 'failed', 'terminated', 'abandoned')),
    CONSTRAINT runs_end_goes_with_status CHECK ((status = 'running') = (ended_at IS NULL))
) WITH (fillfactor = 50);
CREATE INDEX runs_by_start ON tracking.runs (started_at DESC, run_id DESC);
CREATE INDEX runs_by_job ON tracking.runs (job, started_at DESC, run_id DESC);
CREATE INDEX runs_by_end ON tracking.runs (ended_at) WHERE ended_at IS NOT NULL;
CREATE INDEX runs_live ON tracking.runs (started_at DESC, run_id DESC) WHERE status = 'running';

CREATE TABLE tracking.phases (
    run_id          bigint      NOT NULL,
    phase           text        NOT NULL,
    position        integer     NOT NULL,
    status          text        NOT NULL,
    started_at      timestamptz,
    ended_at        timestamptz,
    changed_at      timestamptz NOT NULL,
    counters        jsonb       NOT NULL DEFAULT '{}',
    memory_mb       real,
    peak_memory_mb  real,
    memory_limit_mb real,
    PRIMARY KEY (run_id, phase),
    CONSTRAINT phases_status_is_known CHECK (status IN ('pending', 'running', 'completed', 'failed'))
) WITH (fillfactor = 70);

CREATE TABLE tracking.phase_series (
    run_id    bigint      NOT NULL,
    bucket    bigint      NOT NULL,
    at        timestamptz NOT NULL,
    phase     text        NOT NULL,
    processed jsonb       NOT NULL DEFAULT '{}',
    memory_mb real,
    PRIMARY KEY (run_id, phase, bucket)
);

-- One row a request. No foreign key: it nearly doubles the cost of a batch. Weekly partitions (partitions.sql) through
-- the time that is part of every run id; the default one holds only runs whose clock was absurd.
CREATE TABLE tracking.requests (
    run_id      bigint      NOT NULL,
    writer_id   bigint      NOT NULL,
    seq         bigint      NOT NULL,
    at          timestamptz NOT NULL,
    page_offset bigint,
    page_limit  bigint,
    items       bigint      NOT NULL,
    duration_ms bigint      NOT NULL,
    status      integer,
    throttled   boolean     NOT NULL,
    endpoint    text        NOT NULL,
    error       text,
    PRIMARY KEY (run_id, writer_id, seq)
) PARTITION BY RANGE (run_id);
CREATE TABLE tracking.requests_default PARTITION OF tracking.requests DEFAULT;

CREATE TABLE tracking.run_endpoints (
    run_id       bigint   NOT NULL,
    requests     bigint   NOT NULL,
    failed       bigint   NOT NULL,
    throttled    bigint   NOT NULL,
    items        bigint   NOT NULL,
    duration_ms  bigint   NOT NULL,
    max_ms       bigint   NOT NULL,
    status_2xx   bigint   NOT NULL,
    status_3xx   bigint   NOT NULL,
    status_4xx   bigint   NOT NULL,
    status_5xx   bigint   NOT NULL,
    status_other bigint   NOT NULL,
    endpoint     text     NOT NULL,
    histogram    bigint[] NOT NULL,
    PRIMARY KEY (run_id, endpoint)
) WITH (fillfactor = 70);

-- Not partitioned: its rows go with their run, whatever becomes of a week, and a fresh connection that has to read the
-- bounds of another tree of partitions takes a tenth longer over one immediate request.
CREATE TABLE tracking.run_series (
    run_id       bigint   NOT NULL,
    bucket       bigint   NOT NULL,
    items        bigint   NOT NULL,
    duration_ms  bigint   NOT NULL,
    width        integer  NOT NULL,
    requests     integer  NOT NULL,
    failed       integer  NOT NULL,
    throttled    integer  NOT NULL,
    status_2xx   integer  NOT NULL,
    status_3xx   integer  NOT NULL,
    status_4xx   integer  NOT NULL,
    status_5xx   integer  NOT NULL,
    status_other integer  NOT NULL,
    histogram    bigint[] NOT NULL,
    PRIMARY KEY (run_id, bucket, width)
);

-- A tenth of each page is left free: cells change for ten seconds and are then mostly read, and space is what is short.
-- All runs together. Sharded by writer, so that writers seldom wait for each other's cell.
CREATE TABLE tracking.throughput (
    bucket       bigint   NOT NULL,
    width        integer  NOT NULL,
    shard        integer  NOT NULL,
    requests     bigint   NOT NULL,
    failed       bigint   NOT NULL,
    throttled    bigint   NOT NULL,
    items        bigint   NOT NULL,
    duration_ms  bigint   NOT NULL,
    status_2xx   bigint   NOT NULL,
    status_3xx   bigint   NOT NULL,
    status_4xx   bigint   NOT NULL,
    status_5xx   bigint   NOT NULL,
    status_other bigint   NOT NULL,
    histogram    bigint[] NOT NULL,
    PRIMARY KEY (width, bucket, shard)
) WITH (fillfactor = 90);

CREATE TABLE tracking.source_counts (
    run_id bigint      NOT NULL,
    items  bigint      NOT NULL,
    at     timestamptz NOT NULL,
    entity text        NOT NULL,
    PRIMARY KEY (run_id, entity)
);

CREATE TABLE tracking.errors (
    run_id      bigint      NOT NULL,
    writer_id   bigint      NOT NULL,
    seq         bigint      NOT NULL,
    at          timestamptz NOT NULL,
    phase       text,
    error_type  text        NOT NULL,
    message     text        NOT NULL,
    traceback   text        NOT NULL,
    fingerprint text        NOT NULL,
    PRIMARY KEY (run_id, writer_id, seq)
);
CREATE INDEX errors_by_time ON tracking.errors (at DESC);
CREATE INDEX errors_by_fingerprint ON tracking.errors (fingerprint, at DESC);

-- Batches that were taken: a batch sent again is recognised by its key and skipped whole.
CREATE TABLE tracking.batches (
    writer_id bigint      NOT NULL,
    batch_seq bigint      NOT NULL,
    at        timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (writer_id, batch_seq)
);
CREATE INDEX batches_by_time ON tracking.batches (at);

-- How far each writer has come with a run. What its last word added to `emitted` and `dropped` is what the run's own
-- counters grow by: only under this row's lock is it known what another word of the same writer has added already.
CREATE TABLE tracking.writers (
    run_id         bigint NOT NULL,
    writer_id      bigint NOT NULL,
    emitted        bigint NOT NULL DEFAULT 0,
    stored         bigint NOT NULL DEFAULT 0,
    dropped        bigint NOT NULL DEFAULT 0,
    emitted_before bigint NOT NULL DEFAULT 0,
    dropped_before bigint NOT NULL DEFAULT 0,
    overhead       jsonb  NOT NULL DEFAULT '{}',
    PRIMARY KEY (run_id, writer_id)
) WITH (fillfactor = 70);

-- No row means on. `job` is '' in the global scope.
CREATE TABLE tracking.switches (
    scope      text        NOT NULL,
    job        text        NOT NULL DEFAULT '',
    enabled    boolean     NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    changed_by text        NOT NULL,
    reason     text        NOT NULL DEFAULT '',
    PRIMARY KEY (scope, job),
    CONSTRAINT switches_scope_is_known CHECK ((scope = 'global') = (job = '') AND scope IN ('global', 'job'))
);

CREATE TABLE tracking.audit (
    id     bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    actor  text        NOT NULL,
    action text        NOT NULL,
    detail jsonb       NOT NULL DEFAULT '{}'
);

-- Runs that a clean-up removed lately: what arrives for them late is refused.
CREATE TABLE tracking.removed_runs (
    run_id     bigint      PRIMARY KEY,
    removed_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX removed_runs_by_time ON tracking.removed_runs (removed_at);

-- The latest cutoff of a clean-up: a finished run older than it is refused even without a row in removed_runs.
CREATE TABLE tracking.retention (
    only_row integer     PRIMARY KEY DEFAULT 1 CHECK (only_row = 1),
    cutoff   timestamptz NOT NULL
);
