CREATE TABLE quarantine (
  id integer PRIMARY KEY AUTOINCREMENT NOT NULL,
  source text NOT NULL,
  key text NOT NULL,
  node text,
  pool text,
  at integer NOT NULL,
  reason text NOT NULL,
  doc text NOT NULL
);
--> statement-breakpoint
CREATE UNIQUE INDEX quarantine_row ON quarantine (source, key);
