/**
 * Adds and removes single taints of a Node. `spec.taints` is one atomic list with many writers, so
 * a JSON patch first tests UID, version and the entries that it touches: other taints are never
 * rewritten, and a lost race is retried from a new read (docs/reference/kubernetes.md#taints).
 *
 * NoExecute is used only for an instance that is confirmed gone: it ignores disruption budgets.
 */
import { trimBoth } from "../../schema/trim.ts";
import { PATCH } from "./api.ts";
import type { KubeRequest, Lane } from "./api.ts";
import { CALL_MS, nodePath } from "./node-call.ts";
import type { Loss, NodePorts, OtherObject, Refusal } from "./node-call.ts";
import { type PatchOperation, type PoolChange, poolTaints } from "./pool-taint.ts";
import { TAINT } from "../core/kubernetes/object.ts";
import type { KubeNode, Taint, TaintName } from "../core/kubernetes/object.ts";
import { settleNode } from "./settle-node.ts";
import type { NodeTarget } from "./settle-node.ts";

/** A taint's value obeys the rules of a label's: 63 of `A-Z a-z 0-9 . _ -`. */
export function taintValue(text: string): string {
  return trimBoth(text.replace(/[^A-Za-z0-9._-]+/g, "-").slice(0, 63), "._-");
}

export const unhealthyTaint = (what: string): Taint => ({
  ...TAINT.unhealthy,
  value: taintValue(what) || null,
});
export const DRAINING_TAINT: Taint = { ...TAINT.draining, value: null };
export const OUT_OF_SERVICE_TAINT: Taint = { ...TAINT.outOfService, value: "nodeshutdown" };

/** `pool`: the pool's own taints, kept by `pool-taint.ts`; absent = they stay as they are. */
export type TaintChange = {
  want: readonly Taint[];
  drop: readonly TaintName[];
  pool?: readonly Taint[];
};

export type TaintAnswer =
  /** The object as it is now. */
  { kind: "done"; object: KubeNode } | OtherObject | Refusal | Loss;

type Operation = PatchOperation;
const NO_CHANGE: PoolChange = { want: [], drop: [], record: [] };

/** Adds and removes exactly these taints. Idempotent; sends one request if anything differs. */
export function changeTaints(
  ports: NodePorts,
  target: NodeTarget & { lane: Lane },
  change: TaintChange,
): Promise<TaintAnswer> {
  return settleNode<TaintAnswer>(ports, target, (live) => {
    const request = taintRequest(live, change, target);
    if (request === null) return { kind: "so", answer: { kind: "done", object: live } };
    return { kind: "write", request, judge: (object) => ({ kind: "done", object }) };
  });
}

/** `null`: nothing to change. */
export function taintRequest(
  live: KubeNode,
  change: TaintChange,
  { pool, lane }: { pool: string | null; lane: Lane },
): KubeRequest | null {
  const changes: Operation[] = [];
  const kept = change.pool === undefined ? NO_CHANGE : poolTaints(live, change.pool);
  const [want, drop] = [
    [...change.want, ...kept.want],
    [...change.drop, ...kept.drop],
  ];
  for (const taint of want) {
    const at = indexOf(live, taint);
    const value = taint.value ?? "";
    if (at === -1 || (live.taints[at]?.value ?? "") === value) continue;
    changes.push(...isAt(at, taint), { op: "add", path: `/spec/taints/${at}/value`, value });
  }
  const gone = drop.map((taint) => ({ taint, at: indexOf(live, taint) }));
  // From the end, so that an index is still right when its turn comes.
  for (const { taint, at } of gone.sort((a, b) => b.at - a.at)) {
    if (at === -1) break;
    changes.push(...isAt(at, taint), { op: "remove", path: `/spec/taints/${at}` });
  }
  const fresh = want.filter((taint) => indexOf(live, taint) === -1).map(entryOf);
  // A JSON patch cannot append to an absent list.
  if (live.taints.length === 0 && fresh.length > 0)
    changes.push({ op: "add", path: "/spec/taints", value: fresh });
  else for (const value of fresh) changes.push({ op: "add", path: "/spec/taints/-", value });
  changes.push(...kept.record);
  if (changes.length === 0) return null;
  return {
    verb: "patch",
    path: nodePath(live.name),
    contentType: PATCH.json,
    body: [
      { op: "test", path: "/metadata/uid", value: live.uid },
      { op: "test", path: "/metadata/resourceVersion", value: live.resourceVersion },
      ...changes,
    ],
    timeoutMs: CALL_MS,
    lane,
    pool,
  };
}

const indexOf = ({ taints }: KubeNode, { key, effect }: TaintName): number =>
  taints.findIndex((taint) => taint.key === key && taint.effect === effect);

const isAt = (at: number, { key, effect }: TaintName): Operation[] => [
  { op: "test", path: `/spec/taints/${at}/key`, value: key },
  { op: "test", path: `/spec/taints/${at}/effect`, value: effect },
];

const entryOf = ({ key, value, effect }: Taint): Record<string, string> =>
  value === null ? { key, effect } : { key, value, effect };

/** Our own write may arrive seconds after it stopped being wanted. */
const WANTED_MS = 60_000;
const KEYS: readonly TaintName[] = [TAINT.unhealthy, TAINT.draining];

/**
 * Taints under our keys that another client added: they appeared while none was wanted here. Memory
 * of one process: what its first look shows counts as ours.
 */
export class ForeignTaints {
  readonly #wantedAtMs = new Map<string, number>();
  readonly #theirs = new Set<string>();

  /** Two versions of one object, and the keys that are wanted on it. */
  see(before: KubeNode, after: KubeNode, wanted: ReadonlySet<string>, now: number): void {
    for (const name of KEYS) {
      const { key } = name;
      if (wanted.has(key)) this.#wantedAtMs.set(key, now);
      const wantedAtMs = this.#wantedAtMs.get(key) ?? Number.NEGATIVE_INFINITY;
      if (wanted.has(key) || indexOf(after, name) === -1) this.#theirs.delete(key);
      else if (indexOf(before, name) === -1 && now - wantedAtMs > WANTED_MS) this.#theirs.add(key);
    }
  }

  /** Those among `drop` that another client added. */
  among(drop: readonly TaintName[]): string[] {
    return drop.flatMap(({ key }) => (this.#theirs.has(key) ? [key] : []));
  }
}

export function formatRemoved(keys: readonly string[]): string {
  const which = keys.length === 1 ? `taint ${keys[0]}` : `taints ${keys.join(", ")}`;
  const own = keys.length === 1 ? "it is Navarch's own" : "they are Navarch's own";
  return `${which} removed: ${own}. To keep work off the Node, use kubectl cordon`;
}
