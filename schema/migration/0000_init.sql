CREATE TABLE meta (key text PRIMARY KEY NOT NULL, value text NOT NULL);
--> statement-breakpoint
CREATE TABLE pool (name text PRIMARY KEY NOT NULL, doc text NOT NULL);
--> statement-breakpoint
CREATE TABLE node (
  id text PRIMARY KEY NOT NULL,
  pool text,
  phase text NOT NULL,
  instance text,
  doc text NOT NULL
);
--> statement-breakpoint
CREATE UNIQUE INDEX node_instance ON node (instance) WHERE instance is not null;
--> statement-breakpoint
CREATE INDEX node_pool ON node (pool);
--> statement-breakpoint
CREATE TABLE operation (
  id text PRIMARY KEY NOT NULL,
  node text NOT NULL,
  kind text NOT NULL,
  state text NOT NULL,
  asked_at integer NOT NULL,
  doc text NOT NULL
);
--> statement-breakpoint
CREATE UNIQUE INDEX operation_open ON operation (node) WHERE state = 'asked';
--> statement-breakpoint
CREATE INDEX operation_asked_at ON operation (asked_at);
--> statement-breakpoint
CREATE TABLE inbox (
  id integer PRIMARY KEY AUTOINCREMENT NOT NULL,
  node text NOT NULL,
  received_at integer NOT NULL,
  doc text NOT NULL
);
--> statement-breakpoint
CREATE TABLE cursor (node text NOT NULL, stream text NOT NULL, seq integer NOT NULL, at integer NOT NULL);
--> statement-breakpoint
CREATE UNIQUE INDEX cursor_key ON cursor (node, stream);
--> statement-breakpoint
CREATE TABLE finding (
  id integer PRIMARY KEY AUTOINCREMENT NOT NULL,
  node text NOT NULL,
  stream text NOT NULL,
  seq integer NOT NULL,
  received_at integer NOT NULL,
  kind text NOT NULL,
  code integer,
  doc text NOT NULL
);
--> statement-breakpoint
CREATE UNIQUE INDEX finding_key ON finding (node, stream, seq);
--> statement-breakpoint
CREATE INDEX finding_node ON finding (node, id);
--> statement-breakpoint
CREATE TABLE event (
  id integer PRIMARY KEY AUTOINCREMENT NOT NULL,
  at integer NOT NULL,
  kind text NOT NULL,
  node text,
  pool text,
  session text,
  actor text NOT NULL,
  message text NOT NULL
);
--> statement-breakpoint
CREATE INDEX event_node ON event (node, id);
--> statement-breakpoint
CREATE INDEX event_pool ON event (pool, id);
--> statement-breakpoint
CREATE TABLE command (
  id text PRIMARY KEY NOT NULL,
  node text NOT NULL,
  state text NOT NULL,
  issued_at integer NOT NULL,
  doc text NOT NULL
);
--> statement-breakpoint
CREATE INDEX command_node ON command (node, issued_at);
--> statement-breakpoint
CREATE TABLE credential (id text PRIMARY KEY NOT NULL, hash text NOT NULL UNIQUE, doc text NOT NULL);
--> statement-breakpoint
CREATE TABLE outbox (
  id integer PRIMARY KEY AUTOINCREMENT NOT NULL,
  kind text NOT NULL,
  node text NOT NULL,
  body text NOT NULL,
  attempts integer NOT NULL,
  not_before integer NOT NULL
);
