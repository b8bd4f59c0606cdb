CREATE TABLE worker (
  name text PRIMARY KEY NOT NULL,
  pool text NOT NULL,
  doc text NOT NULL
);
--> statement-breakpoint
CREATE TABLE slot_claim (
  id text PRIMARY KEY NOT NULL,
  pool text NOT NULL,
  ended_at integer,
  doc text NOT NULL
);
--> statement-breakpoint
CREATE INDEX slot_claim_ended ON slot_claim (ended_at) WHERE ended_at IS NOT NULL;
