/**
 * What is left on a node in all its schedulers: busy if one is busy, dark if one is dark, and empty
 * only if all are. Pure.
 */
import { type DrainSight, isIdle } from "../fleet.ts";

type Of<K extends DrainSight["kind"]> = Extract<DrainSight, { kind: K }>;

const only = <K extends DrainSight["kind"]>(all: readonly DrainSight[], kind: K): Of<K>[] =>
  all.filter((one): one is Of<K> => one.kind === kind);

export function allWork(all: readonly DrainSight[]): DrainSight {
  const darks = only(all, "dark");
  const dark = darks.find((one) => one.idle !== true) ?? darks[0];
  if (dark !== undefined) return all.every(isIdle) ? dark : { kind: "dark", message: dark.message };
  const busy = only(all, "busy");
  if (busy.length > 0) {
    const jobs = busy.flatMap((one) => one.jobs ?? []);
    const deadlines = busy.flatMap(({ deadlineAt }) => deadlineAt ?? []);
    return {
      kind: "busy",
      remaining: busy.reduce((sum, { remaining }) => sum + remaining, 0),
      message: busy.map(({ message }) => message).join("; "),
      ...(deadlines.length === 0 ? {} : { deadlineAt: Math.max(...deadlines) }),
      ...(busy.some(({ paused }) => paused) ? { paused: true } : {}),
      ...(jobs.length === 0 ? {} : { jobs }),
    };
  }
  const unknown = only(all, "unknown");
  if (unknown.length > 0) {
    return { kind: "unknown", forMs: Math.min(...unknown.map(({ forMs }) => forMs)) };
  }
  // Of no scheduler nothing is known.
  if (all.length === 0) return { kind: "unknown", forMs: 0 };
  return { kind: "empty", seenAt: Math.min(...only(all, "empty").map(({ seenAt }) => seenAt)) };
}
