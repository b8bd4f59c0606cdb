CREATE TABLE bootstrap (
  node text NOT NULL,
  attempt integer NOT NULL,
  started_at integer NOT NULL,
  doc text NOT NULL
);
--> statement-breakpoint
CREATE UNIQUE INDEX bootstrap_key ON bootstrap (node, attempt);
