-- A phase may be skipped.
ALTER TABLE tracking.phases
    DROP CONSTRAINT phases_status_is_known,
    ADD CONSTRAINT phases_status_is_known CHECK (status IN ('pending', 'running', 'completed', 'failed', 'skipped'));
