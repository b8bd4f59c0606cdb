/** Nodes that others uncordoned in Kubernetes: broken hardware, resumption, loops. Pure. */
import type { Uncordons } from "../../../schema/kube-past.ts";
import type { KubeFact, Node } from "../../../schema/node.ts";
import { isDefinitive } from "./evident.ts";
import { saySafety } from "../say/safety.ts";

/** A person uncordons a node once or twice; a third time within an hour is a program. */
const LOOP_COUNT = 3;

/** The author of a suppression by an uncordon in Kubernetes. */
export const BY_KUBERNETES = "human:kubernetes";

/**
 * Whether definitive broken hardware is not repaired because of an uncordon in Kubernetes. It is
 * reported until the repair resumes or the fault ends; another cordon does not end the report.
 */
export function isRepairCalledOff(node: Node): boolean {
  const { kube, cordon, waiver, phase } = node;
  if (waiver?.by !== BY_KUBERNETES || kube === null) return false;
  if (cordon.product !== null || cordon.human !== null) return false;
  return phase.kind !== "terminating" && phase.kind !== "gone" && isDefinitive(node);
}

/** How often its repair was cancelled since its oldest held fault began. */
export function callOffs({ kube, health }: Node): number {
  const faults = health.held.filter(({ judgement }) => judgement.result === "unhealthy");
  const begun = Math.min(
    health.silentSince ?? Number.POSITIVE_INFINITY,
    kube?.lostAt ?? Number.POSITIVE_INFINITY,
    ...faults.map(({ firstAt }) => firstAt),
  );
  return (kube?.uncordons ?? []).filter(({ at }) => at >= begun).length;
}

/**
 * Whether a cordon by others resumes the cancelled repair. After several changes the author is a
 * program, which would start a drain with each of its cordons.
 */
export function mayResume(node: Node): boolean {
  return node.waiver?.by === BY_KUBERNETES && callOffs(node) < LOOP_COUNT;
}

/** The definitive faults, for a person. */
export function brokenBecause({ health }: Node): string {
  return health.held
    .filter(({ judgement }) => judgement.result === "unhealthy" && judgement.definitive)
    .map(({ judgement }) => judgement.because)
    .slice(0, 4)
    .join("; ");
}

const LOOP_MS = 3_600_000;

export type UncordonLoop = { count: number; spanMs: number; lastAt: number; by: string[] };

/** `null` = it is no loop. */
export function loopOf(uncordons: Uncordons, now: number): UncordonLoop | null {
  const recent = uncordons.filter(({ at }) => now - at < LOOP_MS);
  const [first, last] = [recent.at(0), recent.at(-1)];
  if (first === undefined || last === undefined || recent.length < LOOP_COUNT) return null;
  const by = new Set(recent.flatMap((one) => (one.by === null ? [] : [one.by])));
  return { count: recent.length, spanMs: now - first.at, lastAt: last.at, by: [...by] };
}

export function sayLoop({ name }: KubeFact, loop: UncordonLoop): string {
  const { count, spanMs, lastAt: at, by } = loop;
  return saySafety({ code: "uncordon_loop", node: name, count, spanMs, at, by });
}
