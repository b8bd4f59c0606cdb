CREATE TABLE task (
  id text PRIMARY KEY NOT NULL,
  ordinal integer NOT NULL,
  state text NOT NULL,
  ended_at integer,
  doc text NOT NULL
);
--> statement-breakpoint
CREATE INDEX task_open ON task (ordinal) WHERE ended_at IS NULL;
--> statement-breakpoint
CREATE INDEX task_state ON task (state, ordinal);
--> statement-breakpoint
CREATE INDEX task_ended ON task (ended_at) WHERE ended_at IS NOT NULL;
