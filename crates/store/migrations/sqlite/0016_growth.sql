-- One index of events for counts, lists and retention, instead of two. A webhook and a notification are looked up along
-- the primary key, project by project. Every index that is gone is one less to write for each event.
CREATE INDEX events_by_state ON events (family, state, received_at);
DROP INDEX events_by_family;
DROP INDEX events_by_received_at;
DROP INDEX events_by_webhook_id;
DROP INDEX notifications_by_id;
-- Retention reads responses in the order in which they were received.
CREATE INDEX responses_by_received_at ON responses (received_at);
