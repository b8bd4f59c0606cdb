/**
 * Taints under a key of ours that somebody else put on a Node: seen to appear while nothing here
 * wanted them. They go like any that is not wanted, and whoever set one is told. Memory of one
 * process: what is there at its first look counts as ours.
 */
import { type KubeNode, TAINT, type TaintName } from "../core/kubernetes/object.ts";

/** A write of ours may be on its way for some seconds after it stopped being wanted. */
const WANTED_MS = 60_000;
const KEYS: readonly TaintName[] = [TAINT.unhealthy, TAINT.draining];

const has = ({ taints }: KubeNode, { key, effect }: TaintName): boolean =>
  taints.some((one) => one.key === key && one.effect === effect);

export class ForeignTaints {
  readonly #wantedAtMs = new Map<string, number>();
  readonly #theirs = new Set<string>();

  /** Two pictures of one object, and the keys that are wanted on it. */
  see(before: KubeNode, after: KubeNode, wanted: ReadonlySet<string>, now: number): void {
    for (const name of KEYS) {
      const { key } = name;
      if (wanted.has(key)) this.#wantedAtMs.set(key, now);
      const wantedAtMs = this.#wantedAtMs.get(key) ?? Number.NEGATIVE_INFINITY;
      if (wanted.has(key) || !has(after, name)) this.#theirs.delete(key);
      else if (!has(before, name) && now - wantedAtMs > WANTED_MS) this.#theirs.add(key);
    }
  }

  /** Those of others among these, which are about to be removed. */
  among(drop: readonly TaintName[]): string[] {
    return drop.flatMap(({ key }) => (this.#theirs.has(key) ? [key] : []));
  }
}

export function formatRemoved(keys: readonly string[]): string {
  const which = keys.length === 1 ? `taint ${keys[0]}` : `taints ${keys.join(", ")}`;
  const own = keys.length === 1 ? "it is Navarch's own" : "they are Navarch's own";
  return `${which} removed: ${own}. To keep work off the Node, use kubectl cordon`;
}
