-- The trace id of the request that an execution came from; the log names it, nothing else uses it.
ALTER TABLE execution ADD COLUMN trace BLOB NOT NULL DEFAULT x'' CHECK (length(trace) IN (0, 16));
