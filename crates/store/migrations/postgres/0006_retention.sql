-- For retention: what goes together with an object, and with an event.
CREATE INDEX files_by_object_id ON files (object_id);
CREATE INDEX notifications_by_webhook_id ON notifications (webhook_id);
