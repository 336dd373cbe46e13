-- The outbox: what the user's own systems are to be told. Rows are written in the transaction that stores the result.

CREATE TABLE notifications (
    project          TEXT NOT NULL,
    id               TEXT NOT NULL,     -- sent as webhook-id; derived from project, target, type and event
    target           TEXT NOT NULL,     -- its name in landfall.toml
    type             TEXT NOT NULL,     -- response.stored, batch.stored, ..., event.received, event.dead
    urgent           INTEGER NOT NULL,  -- a call waits for it: ahead of the others
    webhook_id       TEXT,              -- of the event
    event_id         TEXT,
    object_id        TEXT,
    event_created_at TEXT,
    created_at       TEXT NOT NULL,
    body             BLOB NOT NULL,     -- the bytes of every attempt
    state            TEXT NOT NULL,     -- pending, delivered, given_up
    attempts         INTEGER NOT NULL DEFAULT 0,
    attempts_before  INTEGER NOT NULL DEFAULT 0, -- those before its schedule last began
    next_attempt_at  TEXT,
    lease_owner      TEXT,
    lease_until      TEXT,
    delivered_at     TEXT,
    last_status      INTEGER,
    last_error       TEXT,
    PRIMARY KEY (project, id)
) STRICT;
CREATE INDEX notifications_by_id ON notifications (id);
CREATE INDEX notifications_due ON notifications (target, urgent, next_attempt_at) WHERE state = 'pending';
CREATE INDEX notifications_by_created_at ON notifications (created_at);
CREATE INDEX notifications_by_object_id ON notifications (object_id);

CREATE TABLE notification_attempts (
    project         TEXT NOT NULL,
    notification_id TEXT NOT NULL,
    attempt         INTEGER NOT NULL,   -- from 1
    started_at      TEXT NOT NULL,
    latency_ms      INTEGER NOT NULL,
    status          INTEGER,            -- NULL: there was no answer
    answer          TEXT,               -- its first bytes
    error           TEXT,               -- NULL: delivered
    PRIMARY KEY (project, notification_id, attempt),
    FOREIGN KEY (project, notification_id) REFERENCES notifications (project, id) ON DELETE CASCADE
) STRICT;

-- What all workers know of a target. Its settings are in landfall.toml.
CREATE TABLE notification_targets (
    target          TEXT NOT NULL PRIMARY KEY,
    state           TEXT NOT NULL,      -- active, paused (by a person), disabled (it answered 410)
    failures_in_row INTEGER NOT NULL DEFAULT 0,
    waits_until     TEXT,               -- the breaker, or the target's own Retry-After
    busy_until      TEXT,               -- by its rate, what was taken is sent by then
    updated_at      TEXT NOT NULL
) STRICT;
