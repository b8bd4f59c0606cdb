/**
 * Decides what an unreadable row means for the fleet. Pure. Its machine may be in use, so it never
 * counts as absent. A node keeps its slot and instance and is held, also if the unreadable row is
 * its open operation or its credential. A pool is put on hold, and so is the pool of a node whose
 * slot is unknown. A fact that restrains the fleet freezes it. Any other row is only quarantined.
 * If only optional descriptions in a node's evidence are unreadable, they are emptied instead, and
 * the node continues.
 */
import * as v from "valibot";
import type { EventDraft } from "../../../schema/event.ts";
import { NodeId, PoolName } from "../../../schema/id.ts";
import { Node, PoolState } from "../../../schema/node.ts";
import type { Operation } from "../../../schema/operation.ts";
import type { UnreadableRow } from "../../../schema/quarantine.ts";
import { type Change, emptyChange, type Snapshot } from "../store.ts";
import { newNode } from "./new-node.ts";
import { newPoolState } from "./new-pool.ts";

/** Bounded, so that a forgotten hold ends. */
const HOLD_MS = 365 * 24 * 3_600_000;
/** Far more generations than a pool has used, because no node name may be reused. */
const GENERATIONS_SKIPPED = 1_000_000;
/** Most rounds; each empties one unreadable field. */
const EMPTIED_MAX = 64;
/** Parts of a node whose descriptions affect no decision. */
const EVIDENCE: readonly (readonly string[])[] = [
  ["health", "held"],
  ["health", "aside"],
  ["health", "history"],
  ["agent", "inventory"],
];
/** Facts that restrain the fleet. */
const RESTRAINS = /^fact:(?:freeze|breaker|quarantine|discredited|lemon)\b/;

type Recovered = { snapshot: Snapshot; change: Change };

/** `change` is what the leader writes, so that the next load needs no recovery. */
export function recoverSnapshot(snapshot: Snapshot, now: number): Recovered {
  const change = emptyChange();
  if (snapshot.unreadable.length === 0) return { snapshot, change };
  const nodes = new Map(snapshot.nodes.map((node) => [String(node.id), node]));
  const pools = new Map(snapshot.pools.map((pool) => [String(pool.name), pool]));
  const changed = new Set<string>();
  const held = new Set<string>();
  const facts = [...snapshot.facts];
  const hold = (id: string | null, why: string): void => {
    const node = nodes.get(id ?? "");
    if (node === undefined || node.phase.kind === "gone") return;
    nodes.set(node.id, heldNode(node, why, now));
    changed.add(node.id);
  };
  const still = (name: string | null, why: string): void => {
    const pool = pools.get(name ?? "");
    if (pool === undefined) return;
    const longer = pool.hold !== null && pool.hold.until >= now + HOLD_MS;
    const own = { by: "navarch", why, until: now + HOLD_MS };
    pools.set(pool.name, { ...pool, hold: longer ? pool.hold : own });
    held.add(pool.name);
  };
  change.quarantined = snapshot.unreadable;
  for (const row of inOrder(snapshot.unreadable)) {
    const why = `its stored ${row.source} cannot be read: ${row.reason}`;
    let more = "";
    if (row.source === "pool") {
      const pool = recoverPool(row, nodes.values(), now);
      if (pool !== null) pools.set(pool.name, pool);
      still(row.pool, why);
      more = "the pool is on hold: check its size, then resume it";
    } else if (row.source === "node" && row.columns.phase === "gone") {
      change.removedNodes.push(row.key as NodeId);
    } else if (row.source === "node") {
      const { node, whole } = recoverNode(row, snapshot.openOperations, now);
      nodes.set(node.id, node);
      changed.add(node.id);
      if (whole) more = "its description was emptied there, and the node goes on";
      else more = "the node is held: uncordon it when it is well, or terminate it";
      if (node.slot === null && node.pool !== null) {
        still(node.pool, `the slot of node ${node.id} is not known`);
        more += "; its pool is on hold";
      }
    } else if (row.source === "operation" || row.source === "credential") {
      hold(row.node, why);
      more = row.node === null ? "it counts as revoked" : `node ${row.node} is held`;
    } else if (RESTRAINS.test(row.key) && row.source === "fact") {
      // It may have kept a wrong rule from cordoning the fleet.
      const wide = { until: null, all: true } as const;
      const freeze = { kind: "freeze", by: "navarch", why, at: now, ...wide } as const;
      if (!facts.some((fact) => fact.kind === "freeze")) facts.push(freeze);
      if (!snapshot.facts.some((fact) => fact.kind === "freeze")) change.facts = [freeze];
      more = "the fleet is frozen: see `navarch safety`, then unfreeze it";
    }
    change.events.push(quarantineEvent(row, now, more));
  }
  change.nodes = [...changed].flatMap((id) => nodes.get(id) ?? []);
  change.pools = [...held].flatMap((name) => pools.get(name) ?? []);
  const known = { nodes: [...nodes.values()], pools: [...pools.values()], facts };
  return { snapshot: { ...snapshot, ...known }, change };
}

export function quarantineEvent(row: UnreadableRow, at: number, more = ""): EventDraft {
  const node = v.safeParse(NodeId, row.node);
  const pool = v.safeParse(PoolName, row.pool);
  const what = `the stored ${row.source} ${row.key} cannot be read and was quarantined`;
  return {
    at,
    kind: "store.quarantined",
    node: node.success ? node.output : null,
    pool: pool.success ? pool.output : null,
    session: null,
    actor: "navarch",
    message: `${what}: ${row.reason}${more === "" ? "" : `; ${more}`}`,
  };
}

/** Nodes first, because the other rows refer to them; then pools. */
function inOrder(rows: readonly UnreadableRow[]): UnreadableRow[] {
  const rank = (row: UnreadableRow): number =>
    row.source === "node" ? 0 : row.source === "pool" ? 1 : 2;
  return rows.toSorted((a, b) => rank(a) - rank(b));
}

/** Held until a person releases it; its operation and order are dropped. */
function heldNode(node: Node, why: string, now: number): Node {
  const phase = { kind: "held" as const, since: now, heldBy: "navarch", why };
  return { ...node, phase, operation: null, order: null, fence: node.fence + 1 };
}

/** `whole`: only descriptions were lost. */
function recoverNode(
  row: UnreadableRow,
  open: readonly Operation[],
  now: number,
): { node: Node; whole: boolean } {
  const raw = objectOf(row.doc);
  const emptied = emptyDescriptions(raw);
  if (emptied !== null && emptied.id === row.key) return { node: emptied, whole: true };
  const id = row.key as NodeId;
  const place = /-(\d+)-(\d+)$/.exec(id);
  const parsedPool = v.safeParse(PoolName, row.pool);
  const base = newNode({
    id,
    pool: parsedPool.success ? parsedPool.output : null,
    slot: place === null || !parsedPool.success ? null : Number(place[1]),
    gen: Number(place?.[2] ?? 0),
    at: now,
    replaces: null,
  });
  // Larger than any before: targets refuse an older fence, and no session id may be reused.
  const fresh = { ...base, fence: now, sessions: now, instance: instanceOf(row, now) };
  const fields: Record<string, unknown> = { ...fresh };
  // Slot and generation come from the node's name, not from the damaged document.
  const own = ["id", "pool", ...(base.slot === null ? [] : ["slot", "gen"])];
  for (const [name, schema] of Object.entries(Node.entries)) {
    if (own.includes(name) || raw === null) continue;
    const read = v.safeParse(schema, raw[name]);
    if (read.success) fields[name] = read.output;
  }
  // The row's own column decides, because the database enforces its uniqueness.
  const read = v.safeParse(Node.entries.instance, fields["instance"]);
  const claim = read.success && read.output !== null ? claimOf(read.output) : null;
  if (claim !== (row.columns.instance ?? null)) fields["instance"] = fresh.instance;
  const why = `its stored record cannot be read: ${row.reason}`;
  const node = heldNode(v.parse(Node, fields), why, now);
  const operation = open.find((one) => one.node === id)?.id ?? null;
  return { node: { ...node, operation }, whole: false };
}

function claimOf(instance: { provider: string; id: string }): string {
  return `${instance.provider}/${instance.id}`;
}

/** The instance from the row's column `<provider>/<instance id>`. */
function instanceOf(row: UnreadableRow, now: number): Node["instance"] {
  const claim = /^([^/]+)\/(.+)$/s.exec(row.columns.instance ?? "");
  const read = v.safeParse(Node.entries.instance, {
    id: claim?.[2],
    provider: claim?.[1],
    state: "running",
    region: null,
    zone: null,
    instanceType: "",
    internalIp: null,
    externalIp: null,
    pricePerHour: null,
    boundAt: now,
    absentSince: null,
    adopted: true,
  });
  return read.success ? read.output : null;
}

/** The node with unreadable descriptions emptied; `null` if anything else is unreadable. */
function emptyDescriptions(raw: Record<string, unknown> | null): Node | null {
  for (let round = 0; raw !== null && round < EMPTIED_MAX; round++) {
    const read = v.safeParse(Node, raw);
    if (read.success) return read.output;
    const path = (read.issues[0].path ?? []).map(({ key }) => key as string | number);
    const part = EVIDENCE.find((one) => one.every((key, at) => path[at] === key));
    if (part === undefined || !emptyWithin(raw, path, part.length)) return null;
  }
  return null;
}

/** Sets the deepest field on the path that may be `null`, below `depth`, to `null`. */
function emptyWithin(raw: object, path: (string | number)[], depth: number): boolean {
  for (let length = path.length; length > depth; length--) {
    const parent = path.slice(0, length - 1).reduce<unknown>(member, raw);
    const key = path[length - 1];
    if (typeof parent !== "object" || parent === null || key === undefined) continue;
    if (Array.isArray(parent)) return false;
    const fields = parent as Record<string, unknown>;
    const before = fields[key];
    fields[key] = null;
    const issues = v.safeParse(Node, raw).issues ?? [];
    const place = path.slice(0, length);
    const still = issues.some(({ path: at = [] }) =>
      place.every((step, index) => at[index]?.key === step),
    );
    if (!still) return true;
    fields[key] = before;
  }
  return false;
}

const member = (value: unknown, key: string | number): unknown => Reflect.get(Object(value), key);

/** A pool with its current size, and with generations that no node has used. */
function recoverPool(row: UnreadableRow, nodes: Iterable<Node>, now: number): PoolState | null {
  const name = v.safeParse(PoolName, row.key);
  if (!name.success) return null;
  const own = [...nodes].filter((node) => node.pool === name.output);
  const live = own.filter((node) => node.phase.kind !== "gone");
  const slots = new Set(live.map((node) => node.slot));
  const newest = Math.max(0, ...own.map((node) => node.gen));
  const fields: Record<string, unknown> = {
    ...newPoolState(name.output, slots.size, now),
    desiredBy: "navarch",
    nextGen: newest + GENERATIONS_SKIPPED,
  };
  const raw = objectOf(row.doc);
  for (const [key, schema] of Object.entries(PoolState.entries)) {
    if (key === "name" || raw === null) continue;
    const read = v.safeParse(schema, raw[key]);
    if (read.success) fields[key] = read.output;
  }
  return v.parse(PoolState, fields);
}

function objectOf(doc: string): Record<string, unknown> | null {
  try {
    const raw: unknown = JSON.parse(doc);
    const isObject = typeof raw === "object" && raw !== null && !Array.isArray(raw);
    return isObject ? (raw as Record<string, unknown>) : null;
  } catch {
    return null;
  }
}
