-- The outbox: what the user's own systems are to be told. Rows are written in the transaction that stores the result.

CREATE TABLE notifications (
    project          text NOT NULL,
    id               text NOT NULL,     -- sent as webhook-id; derived from project, target, type and event
    target           text NOT NULL,     -- its name in landfall.toml
    type             text NOT NULL,     -- response.stored, batch.stored, ..., event.received, event.dead
    urgent           boolean NOT NULL,  -- a call waits for it: ahead of the others
    webhook_id       text,              -- of the event
    event_id         text,
    object_id        text,
    event_created_at timestamptz,
    created_at       timestamptz NOT NULL,
    body             bytea NOT NULL,     -- the bytes of every attempt
    state            text NOT NULL,     -- pending, delivered, given_up
    attempts         bigint NOT NULL DEFAULT 0,
    attempts_before  bigint NOT NULL DEFAULT 0, -- those before its schedule last began
    next_attempt_at  timestamptz,
    lease_owner      text,
    lease_until      timestamptz,
    delivered_at     timestamptz,
    last_status      bigint,
    last_error       text,
    PRIMARY KEY (project, id)
);
CREATE INDEX notifications_by_id ON notifications (id);
CREATE INDEX notifications_due ON notifications (target, urgent, next_attempt_at) WHERE state = 'pending';
CREATE INDEX notifications_by_created_at ON notifications (created_at);
CREATE INDEX notifications_by_object_id ON notifications (object_id);

CREATE TABLE notification_attempts (
    project         text NOT NULL,
    notification_id text NOT NULL,
    attempt         bigint NOT NULL,   -- from 1
    started_at      timestamptz NOT NULL,
    latency_ms      bigint NOT NULL,
    status          bigint,            -- NULL: there was no answer
    answer          text,               -- its first bytes
    error           text,               -- NULL: delivered
    PRIMARY KEY (project, notification_id, attempt),
    FOREIGN KEY (project, notification_id) REFERENCES notifications (project, id) ON DELETE CASCADE
);

-- What all workers know of a target. Its settings are in landfall.toml.
CREATE TABLE notification_targets (
    target          text NOT NULL PRIMARY KEY,
    state           text NOT NULL,      -- active, paused (by a person), disabled (it answered 410)
    failures_in_row bigint NOT NULL DEFAULT 0,
    waits_until     timestamptz,               -- the breaker, or the target's own Retry-After
    busy_until      timestamptz,               -- by its rate, what was taken is sent by then
    updated_at      timestamptz NOT NULL
);
