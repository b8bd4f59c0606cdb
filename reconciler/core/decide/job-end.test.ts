/** S30: what jobs in Slurm get at the deadline of a drain, and what is said of it before. */
import { describe, expect, test } from "bun:test";
import type { Node } from "../../../schema/node.ts";
import type { SlurmFact } from "../../../schema/slurm.ts";
import {
  ask,
  drainingOf,
  NOW,
  OURS,
  poolOf,
  type Setting,
  slurmSightOf,
  stepOf,
  waitOf,
} from "../../../test/world/ask.ts";
import { sickOf, slurmOf } from "../../../test/world/part.ts";

const MIN = 60_000;
const OWN = { owner: "own", drain: true, reason: "navarch:s-1 XID79 x", markedAt: 5 } as const;
const RULES = { slurmJobs: "requeue", slurmSignal: "USR1", gracePeriodMs: 2 * MIN } as const;
const drainOf = (over = {}) => ({ ...poolOf().drain, ...RULES, ...over });

const leaving = (phase = {}, slurm: Partial<SlurmFact> = OWN, over: Partial<Node> = {}) =>
  sickOf("n0", {
    slurm: slurmOf(slurm),
    cordon: OURS,
    phase: drainingOf({ deadlineAt: NOW, sawWork: true, ...phase }),
    ...over,
  });
const busy = (drain = {}, more = {}, jobs: string[] | null = ["4", "7_1"]): Setting => ({
  pool: { drain: drainOf(drain) },
  sight: {
    slurm: slurmSightOf({}),
    left: { kind: "busy", remaining: 2, message: "jobs 4, 7_1", ...(jobs && { jobs }) },
    ...more,
  },
});
const payloadOf = (node: Node, setting: Setting) => {
  const { action } = ask(node, setting);
  return action?.kind === "effect" ? action.payload : action?.kind;
};

describe("jobs at their drain's deadline", () => {
  test("S30: are requeued or signalled where the pool says so, as one operation", () => {
    const order = { kind: "end_jobs" as const, slurm: "n0", jobs: ["4", "7_1"] };
    expect(payloadOf(leaving(), busy())).toEqual({ ...order, signal: null });
    expect(payloadOf(leaving(), busy({ slurmJobs: "signal" }))).toEqual({
      ...order,
      signal: "USR1",
    });
    expect(payloadOf(leaving({ deadlineAt: NOW + 1 }), busy())).toBeUndefined();
    expect(payloadOf(leaving({ deadlineAt: 0 }), busy())).toBeUndefined();
  });

  test("S30: are left alone by default", () => {
    expect(poolOf().drain.slurmJobs).toBe("leave");
    expect(payloadOf(leaving(), busy({ slurmJobs: "leave" }))).toBe("advance");
  });

  test("S30: are never told on a node that others hold, or that is not drained in Slurm", () => {
    const foreign = { owner: "foreign", drain: true, reason: "maint by alice" } as const;
    for (const slurm of [foreign, { ...OWN, drain: false }, { ...OWN, owner: "none" } as const]) {
      const payload = payloadOf(leaving({}, slurm), busy());
      expect(payload).not.toHaveProperty("kind", "end_jobs");
    }
    const off = busy({}, { slurm: slurmSightOf({ mirrorsCordon: false }) });
    expect(payloadOf(leaving(), off)).toBe("advance");
    expect(payloadOf(leaving(), busy({}, {}, null))).toBe("advance");
  });

  test("S30: are told once, and have the grace period before the node is overdue", () => {
    const told = leaving({ jobsToldAt: NOW - MIN });
    expect(payloadOf(told, busy())).toBeUndefined();
    expect(ask(told, busy()).wait).toMatchObject({ reason: "drain", until: NOW + MIN });
    expect(stepOf(leaving({ jobsToldAt: NOW - 2 * MIN }), busy())).toBe("draining replace");
    // Each pod's own grace period says nothing of jobs.
    const own = busy({ gracePeriodMs: -1 });
    expect(stepOf(leaving({ jobsToldAt: NOW - 5 * MIN + 1 }), own)).toBeNull();
    expect(stepOf(leaving({ jobsToldAt: NOW - 5 * MIN }), own)).toBe("draining replace");
  });

  test("S30: wait for the end of a freeze and of blindness", () => {
    expect(waitOf(leaving(), busy({}, { frozen: "move (ann)" }))).toContain("frozen");
    expect(waitOf(leaving(), busy({}, { blind: ["dark"] }))).toBe("blind: dark");
    expect(waitOf(leaving(), busy({}, { slurm: slurmSightOf({ dark: "away" }) }))).toContain(
      "away",
    );
  });

  test("S30: of a machine that its cloud ends are told a grace period before that", () => {
    const preempted = { purpose: "preempted", since: NOW - 30_000 } as const;
    const soon = leaving({ ...preempted, deadlineAt: NOW + 90_000 });
    expect(payloadOf(soon, busy())).toMatchObject({ kind: "end_jobs" });
    expect(payloadOf(leaving({ ...preempted, deadlineAt: NOW + 3 * MIN }), busy())).toBeUndefined();
    const told = leaving({ ...preempted, deadlineAt: NOW + 90_000, jobsToldAt: NOW - 1 });
    expect(ask(told, busy()).wait).toMatchObject({ until: NOW + 90_000 });
  });

  test("S30: the wait says for what, until when, and what happens then", () => {
    const early = leaving({ deadlineAt: NOW + MIN });
    expect(waitOf(early, busy())).toBe(
      "drain: jobs 4, 7_1; at its deadline Slurm is asked to requeue them, those of several nodes on" +
        " all of them (interactive ones and those of --no-requeue run on), 120 s later what still" +
        " runs is cut off",
    );
    expect(ask(early, busy()).wait?.until).toBe(NOW + MIN);
    expect(waitOf(early, busy({ slurmJobs: "signal", onTimeout: "hold" }))).toBe(
      "drain: jobs 4, 7_1; at its deadline they get SIGUSR1, 120 s later the node is held for" +
        " a person",
    );
    expect(waitOf(early, busy({ slurmJobs: "leave" }))).toBe(
      "drain: jobs 4, 7_1; at its deadline what still runs is cut off",
    );
    expect(waitOf(leaving({ jobsToldAt: NOW - 1 }), busy())).toBe(
      "drain: jobs 4, 7_1; they were told; when their grace ends, what still runs is cut off",
    );
  });
});
