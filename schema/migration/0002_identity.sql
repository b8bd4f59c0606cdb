CREATE TABLE join_token (
  id text PRIMARY KEY NOT NULL,
  hash text NOT NULL UNIQUE,
  uses integer NOT NULL,
  expires_at integer NOT NULL,
  doc text NOT NULL
);
--> statement-breakpoint
CREATE TABLE join_use (
  token text NOT NULL,
  ordinal integer NOT NULL,
  nonce text NOT NULL,
  at integer NOT NULL,
  doc text NOT NULL
);
--> statement-breakpoint
CREATE UNIQUE INDEX join_use_ordinal ON join_use (token, ordinal);
--> statement-breakpoint
CREATE UNIQUE INDEX join_use_nonce ON join_use (token, nonce);
--> statement-breakpoint
CREATE TABLE audit (
  id integer PRIMARY KEY AUTOINCREMENT NOT NULL,
  at integer NOT NULL,
  refused integer NOT NULL,
  who text NOT NULL,
  role text,
  method text NOT NULL,
  path text NOT NULL,
  target text,
  code text NOT NULL,
  status integer NOT NULL,
  remote text NOT NULL,
  request text NOT NULL,
  count integer NOT NULL,
  until integer NOT NULL
);
--> statement-breakpoint
CREATE INDEX audit_refused ON audit (refused, id);
--> statement-breakpoint
CREATE INDEX audit_who ON audit (who, id);
