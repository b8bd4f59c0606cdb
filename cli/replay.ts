/**
 * Replays recorded findings through one policy with the code that judges reports: the health of
 * each node, and whether it would have been cordoned or replaced. Pure. The record holds findings
 * only, so full checks are assumed, as `ASSUMPTIONS` explains to the user.
 */
import * as v from "valibot";
import type { CompiledPolicy, Quarantine } from "../health/policy/compile.ts";
import { keyOf } from "../health/policy/hold.ts";
import { emptyInventory, foldEntry } from "../reconciler/core/fold/inbox-entry.ts";
import { newNode } from "../reconciler/core/fold/new-node.ts";
import type { InboxEntry } from "../reconciler/core/store.ts";
import type { Finding } from "../schema/finding.ts";
import { type NodeId, PoolName, StreamId } from "../schema/id.ts";
import { LIMIT } from "../schema/limit.ts";
import type { Node } from "../schema/node.ts";
import type { RecordedFinding, RecordedNode } from "../schema/past.ts";
import type { Inventory } from "../schema/report.ts";
import { parseInstant } from "../schema/instant.ts";

export const ASSUMPTIONS = [
  "Findings from before the start are not replayed: each node starts with nothing held.",
  "Checks and samples are not recorded. A conclusive check is assumed one check interval after a " +
    "finding and then again and again; it ends what a clean check ends, except measured " +
    "conditions (all but XID and SXid), which are taken to last until the node's next boot.",
  "A boot is seen when a finding carries it. Lost heartbeats are not replayed.",
  "Pool, labels, threshold and check interval are those of now. Budgets, breakers and people are " +
    "left out: a node counts as touched when the policy asks for it.",
] as const;

/** When and why a policy would have acted on a node. Times are wall-clock milliseconds. */
export type Touch = {
  /** Cordoned: definitive finding, or threshold reached. */
  isolatedAt: number;
  /** Threshold reached: drained and replaced, or repaired. */
  replacedAt: number | null;
  rule: string;
  version: string | null;
  because: string;
  /** Based on a condition whose end is not recorded. */
  assumed: boolean;
};

export type RuleHits = { hits: number; shadowHits: number };

type State = {
  node: Node;
  known: RecordedNode;
  boots: Set<string>;
  boot: string;
  /** Measured conditions of this boot. */
  active: Set<string>;
  lastAt: number;
  touch: Touch | null;
};

const STREAM = v.parse(StreamId, "replay");

/** Checks simulated after a finding beyond the threshold; three clean ones end what can end. */
const CHECKS_MORE = 4;

export class Replay {
  readonly policy: CompiledPolicy;
  readonly touches = new Map<string, Touch>();
  readonly hits = new Map<string, RuleHits>();
  readonly errors = new Map<string, string>();
  private readonly quarantined: Quarantine;
  private readonly states = new Map<string, State>();

  constructor(policy: CompiledPolicy, quarantined: Quarantine) {
    this.policy = policy;
    this.quarantined = quarantined;
  }

  /** Takes the findings of one report, in the order of the record. */
  take(rows: readonly RecordedFinding[]): void {
    const [first] = rows;
    if (first === undefined) return;
    const at = parseInstant(first.received_at);
    const state = this.stateOf(first, at);
    this.passTo(state, at);
    state.known = first.node;
    const findings = rows.map((row) => row.finding);
    for (const { boot_id: boot } of findings) {
      if (state.boots.has(boot)) continue;
      state.boots.add(boot);
      state.boot = boot;
      state.active.clear();
    }
    for (const finding of findings) {
      if (isMeasured(finding) && finding.boot_id === state.boot) state.active.add(keyOf(finding));
    }
    this.fold(state, at, findings, false);
    state.lastAt = at;
  }

  /** Simulates checks of every node from its last row to `at`. */
  end(at: number): void {
    for (const state of this.states.values()) this.passTo(state, at);
  }

  private stateOf(row: RecordedFinding, at: number): State {
    const before = this.states.get(row.node_id);
    if (before !== undefined) return before;
    const from = { pool: null, slot: null, gen: 0, replaces: null };
    const state: State = {
      node: newNode({ id: row.node_id, at, ...from }),
      known: row.node,
      boots: new Set(),
      boot: row.finding.boot_id,
      active: new Set(),
      lastAt: at,
      touch: null,
    };
    this.states.set(row.node_id, state);
    return state;
  }

  /** Simulates the checks between the last findings and `at` while they can change the node. */
  private passTo(state: State, at: number): void {
    const { check_ms: checkMs, threshold } = state.known;
    const most = state.touch?.replacedAt == null ? threshold + CHECKS_MORE : CHECKS_MORE;
    let played = 0;
    for (let next = state.lastAt + checkMs; next < at; next += checkMs) {
      if (isQuiet(state.node) || played++ >= most) break;
      this.fold(state, next, [], true);
      state.lastAt = next;
    }
    // One more just before `at`: timed holds may have ended.
    const last = at - 1;
    if (isQuiet(state.node) || last < state.lastAt + checkMs) return;
    this.fold(state, last, [], true);
    state.lastAt = last;
  }

  private fold(state: State, at: number, findings: readonly Finding[], isCheck: boolean): void {
    const { node, known, boot, active } = state;
    const entry = entryOf(node.id, { boot, known, at, findings });
    const iso = new Date(at).toISOString();
    if (isCheck) {
      const present = { expected_gpus: known.gpu_count, present_gpus: known.gpu_count };
      entry.check = { at: iso, conclusive: true, probes: [], active: [...active], ...present };
    }
    const { policy, quarantined } = this;
    const context = { policy, quarantined, labels: known.labels };
    const folded = foldEntry(inPool(node, known), entry, at, context);
    state.node = folded.node;
    for (const { rule } of folded.matches) this.hit(rule).hits++;
    for (const { rule } of folded.shadows) this.hit(rule).shadowHits++;
    for (const { rule, message } of folded.policyErrors) this.errors.set(rule, message);
    this.judge(state, at);
  }

  private hit(rule: string): RuleHits {
    const hits = this.hits.get(rule) ?? { hits: 0, shadowHits: 0 };
    this.hits.set(rule, hits);
    return hits;
  }

  private judge(state: State, at: number): void {
    const { health, id } = state.node;
    if (health.verdict !== "unhealthy") return;
    const bad = health.held.filter((h) => h.judgement.result === "unhealthy");
    const isProven = bad.some((h) => h.judgement.definitive);
    const isReached = health.unhealthyRun >= state.known.threshold;
    if (!isProven && !isReached) return;
    const worst = bad.find((h) => h.judgement.definitive) ?? bad[0];
    if (worst === undefined) return;
    const { rule, version = null, because } = worst.judgement;
    const assumed = state.active.has(worst.key);
    state.touch ??= { isolatedAt: at, replacedAt: null, rule, version, because, assumed };
    if (isReached) state.touch.replacedAt ??= at;
    this.touches.set(id, state.touch);
  }
}

/** Probes report a condition once and list it while it lasts. */
function isMeasured({ kind }: Finding): boolean {
  return kind !== "xid" && kind !== "sxid";
}

/** A check cannot change a node without held findings. */
function isQuiet({ health }: Node): boolean {
  return health.held.length === 0 && (health.aside ?? []).length === 0;
}

function inPool(node: Node, known: RecordedNode): Node {
  if (node.pool === known.pool) return node;
  const named = v.safeParse(PoolName, known.pool);
  return { ...node, pool: named.success ? named.output : null };
}

function entryOf(
  node: NodeId,
  of: { boot: string; known: RecordedNode; at: number; findings: readonly Finding[] },
): InboxEntry {
  return {
    node,
    bootId: of.boot,
    stream: STREAM,
    agentVersion: "replay",
    simulated: of.known.fake,
    inventory: inventoryOf(node, of.known),
    check: null,
    findings: of.findings.map((finding, at) => ({ seq: at + 1, finding })),
    gaps: [],
    results: [],
  };
}

/** The part of an inventory that conditions can see. */
function inventoryOf(hostname: string, known: RecordedNode): Inventory {
  const length = Math.min(known.gpu_count, LIMIT.gpusPerNodeMax);
  const gpus = Array.from({ length }, (_, index) => {
    return { index, uuid: "", name: "", pci_bus_id: "" };
  });
  return { ...emptyInventory(hostname), driver_version: known.driver_version, gpus };
}
