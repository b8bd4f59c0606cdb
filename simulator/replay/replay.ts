/**
 * Saved activations decided again by this program, and where it decides otherwise. Pure: what is
 * compared is the plan, whose every word comes from the saved fleet, sight and configuration.
 */
import type { Config } from "../../schema/config.ts";
import type { Node } from "../../schema/node.ts";
import { openHider } from "../../reconciler/config/hide.ts";
import { type Bench, decideActivation } from "../../reconciler/core/decide/activation.ts";
import { UnitOfWork, mirrorChange, newMirror } from "../../reconciler/core/unit-of-work.ts";
import type { Fleet } from "../../reconciler/core/fleet.ts";
import {
  readFleet,
  readSight,
  type SavedActivation,
  type SavedDecided,
  saveRounds,
} from "../../reconciler/core/decide/saved-activation.ts";

/** One action, one wait or one breach of a law, without the node or pool that it is about. */
export type Part = { kind: "action" | "wait" | "broken" | "failed"; what: Record<string, unknown> };

/** What was decided otherwise about one node, or one pool. */
export type Difference = {
  /** Counted from 1; `null` = the whole activation. */
  round: number | null;
  subject: string;
  saved: Part[];
  now: Part[];
};

/** Where this program decides a saved activation otherwise; empty = it decides the same. */
export function replayActivation(
  saved: SavedActivation,
  nodes: readonly Node[],
  config: Config,
): Difference[] {
  const { hide } = openHider(config);
  return compare(saved.decided, hide(decideAgain(saved, nodes, config)) as SavedDecided);
}

function decideAgain(saved: SavedActivation, nodes: readonly Node[], config: Config): SavedDecided {
  const bench = benchOf(readFleet(saved, nodes));
  try {
    return saveRounds(decideActivation(bench, config, readSight(saved.sight), saved.acts));
  } catch (error) {
    return { kind: "failed", message: error instanceof Error ? error.message : String(error) };
  }
}

/** The fleet in memory, with what is staged. */
function benchOf({ fleetId, nodes, pools, operations, facts }: Fleet): Bench {
  const mirror = newMirror();
  for (const [id, node] of nodes) mirror.nodes.set(id, node);
  for (const [name, pool] of pools) mirror.pools.set(name, pool);
  for (const [id, operation] of operations) mirror.operations.set(id, operation);
  for (const [key, fact] of facts) mirror.facts.set(key, fact);
  return {
    fleet: () => ({ fleetId, ...mirror }),
    work: () => new UnitOfWork(mirror),
    stage(work) {
      const change = work.finish();
      if (change !== null) mirrorChange(mirror, change);
    },
  };
}

function compare(saved: SavedDecided, now: SavedDecided): Difference[] {
  if (saved.kind === "failed" || now.kind === "failed") {
    const [before, after] = [wholeOf(saved), wholeOf(now)];
    if (isSame(before, after)) return [];
    return [{ round: null, subject: "activation", saved: before, now: after }];
  }
  const rounds = Math.max(saved.rounds.length, now.rounds.length);
  return Array.from({ length: rounds }, (_, index) =>
    compareRound(index + 1, saved.rounds[index], now.rounds[index]),
  ).flat();
}

function wholeOf(decided: SavedDecided): Part[] {
  if (decided.kind === "failed") return [{ kind: "failed", what: { message: decided.message } }];
  return decided.rounds.flatMap((round) => [...bySubject(round).values()].flat());
}

type Round = Extract<SavedDecided, { kind: "decided" }>["rounds"][number];

function compareRound(round: number, saved: Round | undefined, now: Round | undefined) {
  const before = bySubject(saved);
  const after = bySubject(now);
  const differences: Difference[] = [];
  for (const subject of new Set([...before.keys(), ...after.keys()])) {
    const [was, is] = [before.get(subject) ?? [], after.get(subject) ?? []];
    if (!isSame(was, is)) differences.push({ round, subject, saved: was, now: is });
  }
  return differences;
}

/** Every action, wait and breach, by the node or the pool that it is about. */
function bySubject(round: Round | undefined): Map<string, Part[]> {
  const parts = new Map<string, Part[]>();
  const add = (subject: string, kind: Part["kind"], what: Part["what"]): void => {
    parts.set(subject, [...(parts.get(subject) ?? []), { kind, what }]);
  };
  for (const { node, ...action } of round?.actions ?? []) add(`node ${node}`, "action", action);
  for (const { node, pool, ...wait } of round?.waits ?? []) {
    add(node == null ? `pool ${pool}` : `node ${node}`, "wait", wait);
  }
  for (const [pool, message] of round?.broken ?? []) add(`pool ${pool}`, "broken", { message });
  return parts;
}

const isSame = (a: readonly Part[], b: readonly Part[]): boolean => canonical(a) === canonical(b);

/** JSON with sorted keys: equal values are equal texts. */
function canonical(value: unknown): string {
  return JSON.stringify(value, (_key, one: unknown) => {
    if (one === null || typeof one !== "object" || Array.isArray(one)) return one;
    return Object.fromEntries(Object.entries(one).sort(([a], [b]) => (a < b ? -1 : 1)));
  });
}
