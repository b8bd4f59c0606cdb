/**
 * Single taints on a Node. `spec.taints` is one atomic list that many write, so it is changed by a
 * JSON patch that first tests UID, version and the very entries that it touches: nobody else's
 * taint is ever rewritten, and a lost race is read again (docs/reference/kubernetes.md#taints).
 *
 * NoExecute is used for an instance that is confirmed gone, and for nothing else: eviction by taint
 * asks no disruption budget.
 */
import { PATCH } from "./api.ts";
import type { KubeRequest, Lane } from "./api.ts";
import { CALL_MS, nodePath } from "./node-call.ts";
import type { Loss, NodePorts, OtherObject, Refusal } from "./node-call.ts";
import type { KubeNode, Taint } from "../core/kubernetes/object.ts";
import { settleNode } from "./settle-node.ts";
import type { NodeTarget } from "./settle-node.ts";
import { type TaintName, TAINT } from "../core/kubernetes/object.ts";

/** A taint's value obeys the rules of a label's: 63 of `A-Z a-z 0-9 . _ -`. */
export function taintValue(text: string): string {
  const plain = text.replace(/[^A-Za-z0-9._-]+/g, "-").slice(0, 63);
  return plain.replace(/^[^A-Za-z0-9]+|[^A-Za-z0-9]+$/g, "");
}

export const unhealthyTaint = (what: string): Taint => ({
  ...TAINT.unhealthy,
  value: taintValue(what) || null,
});
export const DRAINING_TAINT: Taint = { ...TAINT.draining, value: null };
export const OUT_OF_SERVICE_TAINT: Taint = { ...TAINT.outOfService, value: "nodeshutdown" };

export type TaintChange = { want: readonly Taint[]; drop: readonly TaintName[] };

export type TaintAnswer =
  /** It is so now, on this very object. */
  { kind: "done"; object: KubeNode } | OtherObject | Refusal | Loss;

type Operation = { op: "test" | "add" | "remove"; path: string; value?: unknown };

/** Puts and takes away exactly these taints. Idempotent; one request if anything must change. */
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

/** `null` = nothing to change. */
export function taintRequest(
  live: KubeNode,
  { want, drop }: TaintChange,
  { pool, lane }: { pool: string | null; lane: Lane },
): KubeRequest | null {
  const changes: Operation[] = [];
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
  const fresh = want.filter((taint) => indexOf(live, taint) === -1).map(print);
  // The list may be absent, and nothing can be appended to what is not there.
  if (live.taints.length === 0 && fresh.length > 0)
    changes.push({ op: "add", path: "/spec/taints", value: fresh });
  else for (const value of fresh) changes.push({ op: "add", path: "/spec/taints/-", value });
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

const indexOf = (live: KubeNode, { key, effect }: TaintName): number =>
  live.taints.findIndex((taint) => taint.key === key && taint.effect === effect);

const isAt = (at: number, { key, effect }: TaintName): Operation[] => [
  { op: "test", path: `/spec/taints/${at}/key`, value: key },
  { op: "test", path: `/spec/taints/${at}/effect`, value: effect },
];

const print = ({ key, value, effect }: Taint): Record<string, string> =>
  value === null ? { key, effect } : { key, value, effect };
