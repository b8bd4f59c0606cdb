CREATE TABLE pipeline (
  id text PRIMARY KEY NOT NULL,
  started_at integer NOT NULL,
  ended integer NOT NULL,
  doc text NOT NULL
);
--> statement-breakpoint
CREATE INDEX pipeline_started_at ON pipeline (started_at);
