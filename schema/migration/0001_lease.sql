CREATE TABLE lease (
  name text PRIMARY KEY NOT NULL,
  holder text NOT NULL,
  epoch integer NOT NULL,
  renewal integer NOT NULL,
  expires_at integer NOT NULL,
  address text NOT NULL,
  writes integer NOT NULL
);
--> statement-breakpoint
CREATE VIEW fence AS SELECT epoch FROM lease WHERE name = 'leader';
--> statement-breakpoint
CREATE TRIGGER fence_check INSTEAD OF INSERT ON fence
WHEN NOT EXISTS (SELECT 1 FROM lease WHERE name = 'leader' AND epoch = NEW.epoch)
BEGIN
  SELECT RAISE(ABORT, 'navarch: stale epoch');
END;
