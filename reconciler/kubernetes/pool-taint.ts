/**
 * Keeps a pool's taints on its Nodes. The list has no owner for each entry, so the annotation
 * `navarch.dev/taints`, written in the same patch, records which entries Navarch put there: only
 * those are changed or removed. Pure.
 */
import { ANNOTATION } from "../core/kubernetes/object.ts";
import type { KubeNode, Taint, TaintName } from "../core/kubernetes/object.ts";

export type PatchOperation = { op: "test" | "add" | "remove"; path: string; value?: unknown };

/** `record`: operations on the annotation, empty if it is right. */
export type PoolChange = { want: Taint[]; drop: TaintName[]; record: PatchOperation[] };

/** Changes that leave exactly `wanted` among the entries of the record. */
export function poolTaints(live: KubeNode, wanted: readonly Taint[]): PoolChange {
  const held = new Set(recorded(live));
  const ours = wanted.filter((taint) => held.has(spell(taint)) || find(live, taint) === undefined);
  const names = new Set(wanted.map(spell));
  const drop = [...held].filter((name) => !names.has(name)).map(parse);
  return { want: ours, drop, record: recordOf(live, ours.map(spell).join(",")) };
}

/** Taints of the pool that stand on the Node with another client's value, a line each. */
export function foreignTaints(live: KubeNode, wanted: readonly Taint[]): string[] {
  const held = new Set(recorded(live));
  return wanted.flatMap((taint) => {
    const found = find(live, taint);
    if (found === undefined || held.has(spell(taint))) return [];
    if ((found.value ?? "") === (taint.value ?? "")) return [];
    const value = JSON.stringify(found.value ?? "");
    const next = "remove it, and Navarch puts the pool's";
    return [`taint ${spell(taint)} has another client's value ${value}; ${next}`];
  });
}

/** Never a taint of Kubernetes' controllers, whatever the annotation says. */
const SYSTEM = /^node\.(?:cloudprovider\.)?kubernetes\.io\//;

function recorded({ annotations }: KubeNode): string[] {
  const names = (annotations[ANNOTATION.taints] ?? "").split(",");
  return names.filter((name) => /^[^:]+:[^:]+$/.test(name) && !SYSTEM.test(name));
}

const spell = ({ key, effect }: TaintName): string => `${key}:${effect}`;

function parse(name: string): TaintName {
  const at = name.lastIndexOf(":");
  return { key: name.slice(0, at), effect: name.slice(at + 1) };
}

const find = ({ taints }: KubeNode, { key, effect }: TaintName): Taint | undefined =>
  taints.find((one) => one.key === key && one.effect === effect);

const PATH = `/metadata/annotations/${ANNOTATION.taints.replace("/", "~1")}`;

function recordOf(live: KubeNode, text: string): PatchOperation[] {
  const shown = live.annotations[ANNOTATION.taints];
  if (text === (shown ?? "")) return [];
  if (text === "") return [{ op: "remove", path: PATH }];
  const whole: PatchOperation = { op: "add", path: "/metadata/annotations", value: {} };
  // A JSON patch cannot add a key to an absent map.
  return [...(live.bare === true ? [whole] : []), { op: "add", path: PATH, value: text }];
}
