/**
 * The tables of the store, for drizzle. Documents are JSON in `doc`, validated when loaded; other
 * columns exist for queries or uniqueness. `migration/` has the same as SQL; a test compares them.
 */
import { integer, sqliteTable, text, uniqueIndex, index } from "drizzle-orm/sqlite-core";
import { sql } from "drizzle-orm";

/** Facts about the store and the fleet. */
export const meta = sqliteTable("meta", {
  key: text("key").primaryKey(),
  value: text("value").notNull(),
});

/** Read as SQL; a test compares it with the migrations. @internal */
export const migration = sqliteTable("migration", {
  tag: text("tag").primaryKey(),
  at: integer("at").notNull(),
});

/**
 * One row, `leader`. Every write names its epoch through the view `fence`, whose trigger refuses an
 * old one (docs/reference/safety.md#leadership). @internal
 */
export const lease = sqliteTable("lease", {
  name: text("name").primaryKey(),
  /** A random id of the process; empty once released. */
  holder: text("holder").notNull(),
  /** Grows with every change of holder. */
  epoch: integer("epoch").notNull(),
  /** Grows with every renewal: a candidate watches it instead of comparing clocks. */
  renewal: integer("renewal").notNull(),
  /** The holder's wall milliseconds, for people only. */
  expiresAt: integer("expires_at").notNull(),
  /** URL to which other replicas forward requests. */
  address: text("address").notNull(),
  /** Grows with every write on a server: a standby sees that its copy is old. */
  writes: integer("writes").notNull(),
});

export const pool = sqliteTable("pool", {
  name: text("name").primaryKey(),
  doc: text("doc").notNull(),
});

export const node = sqliteTable(
  "node",
  {
    id: text("id").primaryKey(),
    pool: text("pool"),
    phase: text("phase").notNull(),
    instance: text("instance"),
    doc: text("doc").notNull(),
  },
  (t) => [
    /** One node per instance: a second claim fails the transaction. */
    uniqueIndex("node_instance")
      .on(t.instance)
      .where(sql`${t.instance} is not null`),
    index("node_pool").on(t.pool),
  ],
);

export const operation = sqliteTable(
  "operation",
  {
    id: text("id").primaryKey(),
    node: text("node").notNull(),
    kind: text("kind").notNull(),
    state: text("state").notNull(),
    askedAt: integer("asked_at").notNull(),
    doc: text("doc").notNull(),
  },
  (t) => [
    /** At most one open operation per node. */
    uniqueIndex("operation_open")
      .on(t.node)
      .where(sql`${t.state} = 'asked'`),
    index("operation_asked_at").on(t.askedAt),
  ],
);

/** Reports that are durable but not yet folded into their node. */
export const inbox = sqliteTable("inbox", {
  id: integer("id").primaryKey({ autoIncrement: true }),
  node: text("node").notNull(),
  receivedAt: integer("received_at").notNull(),
  doc: text("doc").notNull(),
});

/** How far each agent's stream is durable: a repeated finding is recognised. */
export const cursor = sqliteTable(
  "cursor",
  {
    node: text("node").notNull(),
    stream: text("stream").notNull(),
    seq: integer("seq").notNull(),
    at: integer("at").notNull(),
  },
  (t) => [uniqueIndex("cursor_key").on(t.node, t.stream)],
);

/** Accepted findings up to their retention; unique by their place in the agent's stream. */
export const finding = sqliteTable(
  "finding",
  {
    id: integer("id").primaryKey({ autoIncrement: true }),
    node: text("node").notNull(),
    stream: text("stream").notNull(),
    seq: integer("seq").notNull(),
    receivedAt: integer("received_at").notNull(),
    kind: text("kind").notNull(),
    code: integer("code"),
    doc: text("doc").notNull(),
  },
  (t) => [
    uniqueIndex("finding_key").on(t.node, t.stream, t.seq),
    index("finding_node").on(t.node, t.id),
  ],
);

export const event = sqliteTable(
  "event",
  {
    id: integer("id").primaryKey({ autoIncrement: true }),
    at: integer("at").notNull(),
    kind: text("kind").notNull(),
    node: text("node"),
    pool: text("pool"),
    session: text("session"),
    actor: text("actor").notNull(),
    message: text("message").notNull(),
  },
  (t) => [index("event_node").on(t.node, t.id), index("event_pool").on(t.pool, t.id)],
);

export const command = sqliteTable(
  "command",
  {
    id: text("id").primaryKey(),
    node: text("node").notNull(),
    state: text("state").notNull(),
    issuedAt: integer("issued_at").notNull(),
    doc: text("doc").notNull(),
  },
  (t) => [index("command_node").on(t.node, t.issuedAt)],
);

export const credential = sqliteTable("credential", {
  id: text("id").primaryKey(),
  hash: text("hash").notNull().unique(),
  doc: text("doc").notNull(),
});

/** Web hook deliveries: at least once, in order of id per node. */
export const outbox = sqliteTable("outbox", {
  id: integer("id").primaryKey({ autoIncrement: true }),
  kind: text("kind").notNull(),
  node: text("node").notNull(),
  body: text("body").notNull(),
  attempts: integer("attempts").notNull(),
  notBefore: integer("not_before").notNull(),
});

/** Join tokens. */
export const joinToken = sqliteTable("join_token", {
  id: text("id").primaryKey(),
  hash: text("hash").notNull().unique(),
  uses: integer("uses").notNull(),
  expiresAt: integer("expires_at").notNull(),
  doc: text("doc").notNull(),
});

/** Each use of a join token, written before the credential leaves. */
export const joinUse = sqliteTable(
  "join_use",
  {
    token: text("token").notNull(),
    /** From 1. */
    ordinal: integer("ordinal").notNull(),
    /** Hash of the agent's nonce: a repeated one is the same use. */
    nonce: text("nonce").notNull(),
    at: integer("at").notNull(),
    doc: text("doc").notNull(),
  },
  (t) => [
    uniqueIndex("join_use_ordinal").on(t.token, t.ordinal),
    uniqueIndex("join_use_nonce").on(t.token, t.nonce),
  ],
);

/** Calls with their caller and result. */
export const audit = sqliteTable(
  "audit",
  {
    id: integer("id").primaryKey({ autoIncrement: true }),
    at: integer("at").notNull(),
    /** 1 = refused; trimmed apart from the others. */
    refused: integer("refused").notNull(),
    who: text("who").notNull(),
    role: text("role"),
    method: text("method").notNull(),
    path: text("path").notNull(),
    target: text("target"),
    code: text("code").notNull(),
    status: integer("status").notNull(),
    remote: text("remote").notNull(),
    request: text("request").notNull(),
    /** Equal refusals within a minute share a row. */
    count: integer("count").notNull(),
    until: integer("until").notNull(),
    verb: text("verb"),
    kind: text("kind"),
    namespace: text("namespace"),
    detail: text("detail"),
    mark: text("mark"),
  },
  (t) => [index("audit_refused").on(t.refused, t.id), index("audit_who").on(t.who, t.id)],
);

/** Set-up of machines: one row per attempt, the last ones of each node. */
export const bootstrap = sqliteTable(
  "bootstrap",
  {
    node: text("node").notNull(),
    attempt: integer("attempt").notNull(),
    startedAt: integer("started_at").notNull(),
    doc: text("doc").notNull(),
  },
  (t) => [uniqueIndex("bootstrap_key").on(t.node, t.attempt)],
);

/** Unreadable rows with the reason and their original text (`schema/quarantine.ts`). */
export const quarantine = sqliteTable(
  "quarantine",
  {
    id: integer("id").primaryKey({ autoIncrement: true }),
    source: text("source").notNull(),
    key: text("key").notNull(),
    node: text("node"),
    pool: text("pool"),
    at: integer("at").notNull(),
    reason: text("reason").notNull(),
    doc: text("doc").notNull(),
  },
  (t) => [uniqueIndex("quarantine_row").on(t.source, t.key)],
);

/** Claims of machines that the operator owns (`reconciler/provider/ssh/`), open and released. */
export const claim = sqliteTable(
  "claim",
  {
    /** Of the request: a repeated one finds its claim. */
    name: text("name").primaryKey(),
    provider: text("provider").notNull(),
    host: text("host").notNull(),
    address: text("address").notNull(),
    instance: text("instance").notNull(),
    at: integer("at").notNull(),
    releasedAt: integer("released_at"),
    doc: text("doc").notNull(),
  },
  (t) => [
    /** One open claim per machine: a second one fails. */
    uniqueIndex("claim_host")
      .on(t.provider, t.host)
      .where(sql`${t.releasedAt} is null`),
    uniqueIndex("claim_instance").on(t.instance),
  ],
);

/** Workers of AgentPools, from the decision to create the pod until it is gone. */
export const worker = sqliteTable("worker", {
  name: text("name").primaryKey(),
  pool: text("pool").notNull(),
  doc: text("doc").notNull(),
});

/** Claims of slots of workers. */
export const slotClaim = sqliteTable(
  "slot_claim",
  {
    id: text("id").primaryKey(),
    pool: text("pool").notNull(),
    endedAt: integer("ended_at"),
    doc: text("doc").notNull(),
  },
  (t) => [
    index("slot_claim_ended")
      .on(t.endedAt)
      .where(sql`${t.endedAt} is not null`),
  ],
);

/** Tasks of the demand queue. */
export const task = sqliteTable(
  "task",
  {
    id: text("id").primaryKey(),
    ordinal: integer("ordinal").notNull(),
    state: text("state").notNull(),
    endedAt: integer("ended_at"),
    doc: text("doc").notNull(),
  },
  (t) => [
    index("task_open")
      .on(t.ordinal)
      .where(sql`${t.endedAt} is null`),
    index("task_state").on(t.state, t.ordinal),
    index("task_ended")
      .on(t.endedAt)
      .where(sql`${t.endedAt} is not null`),
  ],
);

/** Runs of CI/CD pipelines. */
export const pipeline = sqliteTable(
  "pipeline",
  {
    id: text("id").primaryKey(),
    startedAt: integer("started_at").notNull(),
    ended: integer("ended").notNull(),
    doc: text("doc").notNull(),
  },
  (t) => [index("pipeline_started_at").on(t.startedAt)],
);
