CREATE TABLE claim (
  name text PRIMARY KEY NOT NULL,
  provider text NOT NULL,
  host text NOT NULL,
  address text NOT NULL,
  instance text NOT NULL,
  at integer NOT NULL,
  released_at integer,
  doc text NOT NULL
);
--> statement-breakpoint
CREATE UNIQUE INDEX claim_host ON claim (provider, host) WHERE released_at IS NULL;
--> statement-breakpoint
CREATE UNIQUE INDEX claim_instance ON claim (instance);
