-- The order in which workers first saw events, for those who follow or go through all of them. A column of its own
-- instead of the rowid, which VACUUM may number anew. The trigger also numbers what an older version inserts.
ALTER TABLE events ADD COLUMN place INTEGER;
UPDATE events SET place = rowid;
CREATE UNIQUE INDEX events_by_place ON events (place);
CREATE TRIGGER events_get_a_place AFTER INSERT ON events WHEN NEW.place IS NULL
BEGIN
    UPDATE events SET place = (SELECT coalesce(max(place), 0) + 1 FROM events) WHERE rowid = NEW.rowid;
END;
