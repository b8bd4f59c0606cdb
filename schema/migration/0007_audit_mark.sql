ALTER TABLE audit ADD COLUMN mark text;
