-- When the files of a batch were last read again and found to be what is stored: OpenAI has no other results, even if they
-- are not one line a request. Null again when its rows change.
ALTER TABLE batches ADD COLUMN results_confirmed_at timestamptz;
