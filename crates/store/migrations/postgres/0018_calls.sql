-- The notification of a call is worthless after its time to live. Both are null in rows of a previous version.
ALTER TABLE notifications ADD COLUMN expires_at timestamptz;
ALTER TABLE notifications ADD COLUMN reason text;
