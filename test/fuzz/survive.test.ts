/**
 * Whatever a schema of a stored document accepts survives the way into the real database and back.
 * A document that does not would be a row that nothing can read (`scenario/unreadable.test.ts`).
 */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import * as v from "valibot";
import { foldEntry } from "../../reconciler/core/fold/inbox-entry.ts";
import { newNode } from "../../reconciler/core/fold/new-node.ts";
import { openLibsqlStore } from "../../reconciler/store/libsql.ts";
import {
  emptyChange,
  type Change,
  type InboxEntry,
  type Store,
} from "../../reconciler/core/store.ts";
import { BootstrapAttempt } from "../../schema/bootstrap.ts";
import { Command } from "../../schema/command.ts";
import { Credential } from "../../schema/credential.ts";
import { Event } from "../../schema/event.ts";
import { Finding } from "../../schema/finding.ts";
import type { NodeId, StreamId } from "../../schema/id.ts";
import { JoinToken } from "../../schema/join.ts";
import { Node, Origin, PoolState } from "../../schema/node.ts";
import { Operation } from "../../schema/operation.ts";
import { Report } from "../../schema/report.ts";
import { Fact, factKey } from "../../schema/safety.ts";
import { policyOnce } from "../world/setting.ts";
import { arbitraryOf } from "./arbitrary.ts";
import { PATIENCE_MS, runs } from "./runs.ts";

let folder: string;
let store: Store;
let serial = 0;

/** One for each kind: `load()` reads everything, and a search leaves thousands of rows behind. */
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "navarch-survive-"));
  store = await openLibsqlStore({ url: `file:${join(folder, "navarch.db")}`, now: 1 });
});
afterEach(async () => {
  await store.close();
  rmSync(folder, { recursive: true, force: true });
});

/** Documents that the schema accepts, as it reads them. */
function accepted<S extends v.GenericSchema>(schema: S): fc.Arbitrary<v.InferOutput<S>> {
  return arbitraryOf(schema).map((raw) => v.parse(schema, raw));
}

/** As JSON has it: no `undefined`, no negative zero, and text as the database can hold it. */
function plain(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value));
}

const change = (part: Partial<Change>): Change => ({ ...emptyChange(), ...part });
const id = (): string => `n${++serial}`;
const open = { state: "asked" as const, closedAt: null };

/** For each stored schema: how one document of it is written, and read again. */
const KINDS: Record<string, { schema: v.GenericSchema; keep(one: never): Promise<unknown> }> = {
  node: {
    schema: Node,
    async keep(one: Node) {
      // Two may not claim one machine, and that is the database's rule.
      const node = { ...one, id: id() as NodeId, instance: null };
      await store.commit(change({ nodes: [node] }));
      const { nodes, unreadable } = await store.load();
      expect(unreadable).toEqual([]);
      await store.commit(change({ removedNodes: [node.id] }));
      return [node, nodes.find((other) => other.id === node.id)];
    },
  },
  instance: {
    schema: Node.entries.instance,
    async keep(instance: Node["instance"]) {
      const node = newNode({
        id: id() as NodeId,
        pool: null,
        slot: 0,
        gen: 1,
        at: 1,
        replaces: null,
      });
      await store.commit(change({ nodes: [{ ...node, instance }] }));
      const { nodes, unreadable } = await store.load();
      expect(unreadable).toEqual([]);
      await store.commit(change({ removedNodes: [node.id] }));
      return [instance, nodes.find((other) => other.id === node.id)?.instance];
    },
  },
  pool: {
    schema: PoolState,
    async keep(pool: PoolState) {
      await store.commit(change({ pools: [pool] }));
      const { pools, unreadable } = await store.load();
      expect(unreadable).toEqual([]);
      return [pool, pools.find((other) => other.name === pool.name)];
    },
  },
  operation: {
    schema: Operation,
    async keep(one: Operation) {
      const operation = { ...one, ...open, node: id() as NodeId };
      await store.commit(change({ operations: [operation] }));
      const { openOperations, unreadable } = await store.load();
      expect(unreadable).toEqual([]);
      await store.commit(change({ operations: [{ ...operation, state: "done" }] }));
      return [operation, openOperations.find((other) => other.node === operation.node)];
    },
  },
  command: {
    schema: Command,
    async keep(one: Command) {
      const command = { ...one, state: "accepted" as const };
      await store.commit(change({ commands: [command] }));
      expect((await store.load()).unreadable).toEqual([]);
      const read = await store.command(command.id);
      await store.commit(change({ commands: [{ ...command, state: "applied" }] }));
      return [command, read];
    },
  },
  fact: {
    schema: Fact,
    async keep(fact: Fact) {
      await store.commit(change({ facts: [fact] }));
      const { facts, unreadable } = await store.load();
      expect(unreadable).toEqual([]);
      await store.commit(change({ removedFacts: [factKey(fact)] }));
      return [fact, facts.find((other) => Bun.deepEquals(plain(other), plain(fact)))];
    },
  },
  finding: {
    schema: Finding,
    async keep(finding: Finding) {
      const node = id() as NodeId;
      const row = { node, stream: "s" as StreamId, seq: 1, receivedAt: 1, finding };
      await store.commit(change({ findings: [row] }));
      return [finding, (await store.findings(node, 1))[0]?.finding];
    },
  },
  event: {
    schema: Event,
    async keep(one: Event) {
      const event = { ...one, node: id() as NodeId };
      await store.commit(change({ events: [event] }));
      const query = { node: event.node, pool: null, since: null, after: null, limit: 1 };
      const [read] = await store.events(query);
      expect(read?.message).toBe(event.message.toWellFormed().replaceAll("\0", "\uFFFD"));
      return [event.at, read?.at];
    },
  },
  credential: {
    schema: Credential,
    async keep(one: Credential) {
      const credential = { ...one, id: id(), hash: id() };
      await store.saveCredential(credential);
      return [credential, (await store.credentials()).find((other) => other.id === credential.id)];
    },
  },
  "join token": {
    schema: JoinToken,
    async keep(one: JoinToken) {
      const token = { ...one, id: id(), hash: id() };
      await store.joinTable().save(token);
      return [token, (await store.joinTable().byId(token.id))?.token];
    },
  },
  bootstrap: {
    schema: BootstrapAttempt,
    async keep(one: BootstrapAttempt) {
      const attempt = { ...one, node: id() as NodeId };
      await store.saveBootstrap(attempt);
      return [attempt, (await store.bootstraps(attempt.node, 1))[0]];
    },
  },
};

test.each(Object.keys(KINDS))(
  "every %s that its schema accepts is read as it was",
  async (kind) => {
    const one = KINDS[kind];
    if (one === undefined) throw new Error(kind);
    await fc.assert(
      fc.asyncProperty(accepted(one.schema), async (document) => {
        const [written, read] = (await one.keep(document as never)) as unknown[];
        expect(plain(read)).toEqual(plain(written));
      }),
      runs(60),
    );
  },
  PATIENCE_MS,
);

test(
  "every report is kept, read and folded into a node that can be kept",
  async () => {
    await fc.assert(
      fc.asyncProperty(accepted(Report), accepted(Origin), async (report, origin) => {
        const node = id() as NodeId;
        const entry: Required<InboxEntry> = {
          node,
          bootId: report.boot_id,
          stream: report.stream,
          agentVersion: report.agent_version,
          simulated: report.simulated,
          inventory: report.inventory ?? null,
          check: report.check ?? null,
          findings: report.findings ?? [],
          gaps: report.gaps ?? [],
          results: report.results ?? [],
          origin,
          notice: report.notice,
        };
        const top = Math.max(0, ...entry.findings.map((one) => one.seq));
        const mark = { node, stream: report.stream, seq: top };
        const ids = await store.appendEntries([{ entry, receivedAt: 1 }], [mark]);
        const { entries, cursors, unreadable } = await store.load();
        expect(unreadable).toEqual([]);
        expect(plain(entries.at(-1)?.entry)).toEqual(plain(entry));
        expect(cursors.find((one) => one.node === node)?.seq).toBe(top);
        const known = newNode({ id: node, pool: null, slot: null, gen: 0, at: 1, replaces: null });
        const folded = foldEntry(known, entries.at(-1)?.entry ?? entry, 1_000, {
          policy: policyOnce(),
          labels: {},
        });
        const findings = entry.findings.map(({ seq, finding }) => {
          return { node, stream: report.stream, seq, receivedAt: 1, finding };
        });
        const { events } = folded;
        await store.commit(change({ nodes: [folded.node], events, findings, foldedEntries: ids }));
        expect((await store.load()).unreadable).toEqual([]);
        await store.commit(change({ removedNodes: [node] }));
      }),
      runs(60),
    );
  },
  PATIENCE_MS,
);
