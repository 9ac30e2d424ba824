-- A phase may be skipped. A machine's process numbers are those of one pid namespace. `runs` comes
-- first, as writers lock.
ALTER TABLE tracking.runs ADD COLUMN pid_namespace text NOT NULL DEFAULT '';
ALTER TABLE tracking.phases
    DROP CONSTRAINT phases_status_is_known,
    ADD CONSTRAINT phases_status_is_known CHECK (status IN ('pending', 'running', 'completed', 'failed', 'skipped'));
