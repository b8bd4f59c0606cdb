import { describe, expect, test } from "bun:test";
import type { Node } from "../../../schema/node.ts";
import type { SlurmFact } from "../../../schema/slurm.ts";
import type { DrainSight, SlurmSight } from "../fleet.ts";
import {
  ask,
  drainingOf,
  kubeSightOf,
  NOW,
  orderOf,
  OURS,
  poolOf,
  type Setting,
  slurmSightOf,
  stepOf,
  waitOf,
} from "../../../test/world/ask.ts";
import {
  agentOf,
  heldOf,
  instanceOf,
  kubeOf,
  nodeOf,
  operationOf,
  sickOf,
  slurmOf,
} from "../../../test/world/part.ts";
import type { BootId, InstanceId, PoolName } from "../../../schema/id.ts";

const proof = heldOf({ definitive: true, because: "XID 79 on GPU 0" }, { code: 79 });
const sight = (over: Partial<SlurmSight> = {}, left?: DrainSight): Setting => ({
  sight: { slurm: slurmSightOf(over), ...(left === undefined ? {} : { left }) },
});
const IN = sight();
const DARK = sight({ dark: "no answer within 10 s" });
const OWN = { owner: "own", drain: true, reason: "navarch:s-1 XID79 x", markedAt: 5 } as const;
const MARK = { ...OWN, markedBoot: 1_000, markedBootId: "boot-1" };
const FOREIGN = { owner: "foreign", drain: true, reason: "maint by alice" } as const;
const sick = (slurm: Partial<SlurmFact>, over: Partial<Node> = {}) =>
  sickOf("n0", { slurm: slurmOf(slurm), ...over }, [proof]);
const cordoned = (slurm: Partial<SlurmFact>, over: Partial<Node> = {}) =>
  sick(slurm, { cordon: OURS, ...over });
const well = (slurm: Partial<SlurmFact>, over: Partial<Node> = {}): Node => {
  const node = nodeOf("n0", { slurm: slurmOf(slurm), ...over });
  return { ...node, health: { ...node.health, verdict: "healthy", lastCheckAt: NOW } };
};
const payloadOf = (node: Node, setting: Setting = IN) => {
  const { action } = ask(node, setting);
  return action?.kind === "effect" ? action.payload : undefined;
};
const drainedOf = (over = {}) => drainingOf({ drainedAt: NOW - 500, ...over });

describe("S29: isolation marks both schedulers in one operation", () => {
  test("S29: the cordon has the reason for Slurm, with the repair's id", () => {
    const reason = "navarch:s-1 XID79 on GPU 0";
    expect(payloadOf(sick({}))).toMatchObject({ kind: "cordon", slurm: { name: "n0", reason } });
    expect(payloadOf(sick({}))).not.toHaveProperty("only");
  });

  test("S29: what Slurm lacks afterwards is set in Slurm alone", () => {
    const payload = payloadOf(cordoned({}));
    expect(payload).toMatchObject({ kind: "cordon", mirror: true, only: "slurm" });
    expect(payloadOf(cordoned({ restUntil: NOW + 1_000 }))).not.toHaveProperty("only");
  });

  test("S34: a drain that a person removed from a node that is down is not set again", () => {
    const undrained = { owner: "own", drain: false, down: true, markedAt: NOW } as const;
    expect(payloadOf(cordoned(undrained))).not.toHaveProperty("only");
    expect(payloadOf(cordoned({ ...undrained, markedAt: null }))).toMatchObject({ only: "slurm" });
  });

  test("S29: without Slurm, with a dark one or without the right to write it, Kubernetes is marked", () => {
    for (const setting of [{}, DARK, sight({ mirrorsCordon: false })]) {
      const payload = payloadOf(sick({}), setting);
      expect(payload?.kind).toBe("cordon");
      expect(payload).not.toHaveProperty("slurm");
    }
  });
});

describe("S28: a drain of others", () => {
  test("S28: is neither written over nor lifted, and the wait shows it", () => {
    expect(payloadOf(sick(FOREIGN))).not.toHaveProperty("slurm");
    expect(payloadOf(cordoned(FOREIGN))).not.toHaveProperty("only");
    expect(ask(well(FOREIGN), IN).action).toBeUndefined();
    expect(waitOf(well(FOREIGN), IN)).toBe(
      "human: out of service in Slurm by others (maint by alice)",
    );
  });
});

const DRAINED_BY = { kind: "drain", by: "alice", why: "new fans" } as const;
const IN_MAINT = { kind: "reservation", by: null, why: "pm_nov" } as const;
const REBOOTED = { kind: "reboot", by: "alice", why: "bios" } as const;
const THEIRS = { ...FOREIGN, held: true, others: [DRAINED_BY] };

describe("S28: what others do in Slurm holds every step that cannot be taken back", () => {
  const says = "n0 is drained in Slurm by alice (new fans): it waits until they end that, or for";
  const reached = (slurm: Partial<SlurmFact>, over: Partial<Node> = {}): Node => {
    const node = cordoned(slurm, over);
    node.health.unhealthyRun = 5;
    return node;
  };

  test.each([
    ["its drain", reached(THEIRS)],
    ["its end, once they took the drain over", cordoned(THEIRS, { phase: drainedOf() })],
    ["its reboot", cordoned(THEIRS, { phase: drainedOf({ purpose: "repair" }) })],
    [
      "its end as surplus",
      well(THEIRS, { cordon: OURS, phase: drainedOf({ purpose: "surplus" }) }),
    ],
    [
      "the call that ends it",
      cordoned(THEIRS, {
        phase: { kind: "terminating", since: 1, purpose: "replace", accepted: null, notBefore: 0 },
      }),
    ],
  ])("S28: %s", (_, node) => {
    expect(waitOf(node, IN)).toBe(`human: ${says} \`navarch replace n0\``);
    expect(ask(node, IN).action).toBeUndefined();
    // Slurm that is away since has not ended it.
    expect(ask(node, DARK).action).toBeUndefined();
    const free = { ...node, slurm: slurmOf({ ...node.slurm, held: false }) };
    expect(ask(free, IN).action).toBeDefined();
  });

  test("S28: isolation and recovery go on, and no purchase waits", () => {
    expect(stepOf(sick(THEIRS), IN)).toBe("cordon");
    const recovered = well(THEIRS, { cordon: OURS });
    expect(stepOf(recovered, IN)).toBe("uncordon");
    const requested = {
      kind: "requested",
      since: 1,
      attempt: 1,
      notBefore: 0,
      refusal: null,
    } as const;
    const buying = nodeOf("n0", { phase: requested, instance: null, slurm: slurmOf(THEIRS) });
    expect(waitOf(buying, IN) ?? "").not.toContain("in Slurm");
  });

  test("S28: a person's order goes over it", () => {
    const order = orderOf("replace");
    expect(stepOf(cordoned(THEIRS, { order, phase: drainedOf() }), IN)).toStartWith("terminating");
  });

  test("S28: a maintenance reservation and a reboot are named as they are", () => {
    const node = reached({ ...OWN, held: true, others: [REBOOTED, IN_MAINT] });
    expect(waitOf(node, IN)).toContain(
      "n0 is being rebooted with scontrol reboot by alice (bios), and in the MAINT reservation pm_nov",
    );
  });

  test("S28: a call that was asked before is not repeated, and the wait shows it", () => {
    const phase = {
      kind: "terminating",
      since: 1,
      purpose: "replace",
      accepted: null,
      notBefore: 0,
    } as const;
    const ends = {
      kind: "terminate",
      provider: "fake" as PoolName,
      instanceId: "i-1" as InstanceId,
    } as const;
    const open = operationOf(nodeOf("n0"), ends);
    const asked = cordoned(THEIRS, { phase, operation: open.id });
    expect(waitOf(asked, { ...IN, operations: [open] })).toBe(
      `human: terminate is in progress, and is not repeated: ${says} \`navarch replace n0\``,
    );
    const ordered = { ...asked, order: orderOf("replace") };
    expect(waitOf(ordered, { ...IN, operations: [open] })).toBe(
      "operation: terminate is in progress",
    );
  });

  test("S28: it costs no budget, and another node of the pool is repaired", () => {
    const other = reached(OWN, { id: "n1" as Node["id"], slot: 1 });
    const setting = { ...IN, before: [reached(THEIRS)] };
    expect(stepOf(other, setting)).toBe("drain replace");
  });
});

describe("what slurmctld itself wrote before the machine was replaced", () => {
  const stale = (over: Partial<SlurmFact> = {}, more: Partial<Node> = {}): Node => {
    const reason = "Not responding";
    const held = { owner: "foreign", byItself: true, stale: true, down: true, reason } as const;
    return well({ ...held, bootTime: NOW - 60_000, ...over }, { createdAt: NOW - 90_000, ...more });
  };

  test("is lifted once the replacement has been verified and has registered", () => {
    expect(payloadOf(stale())).toMatchObject({
      kind: "uncordon",
      slurm: { name: "n0", down: true, lifts: "Not responding" },
    });
    expect(payloadOf(stale({ drain: true, down: false }))).toMatchObject({ slurm: { name: "n0" } });
  });

  test("stays, with the cause, until then", () => {
    const why = (node: Node): string => waitOf(node, IN) ?? "";
    expect(why(stale({ bootTime: NOW - 100_000 }))).toContain("has not registered with a new Boot");
    expect(why(stale({ silent: true }))).toContain("its slurmd does not respond");
    const unwell = stale();
    unwell.health.verdict = "unhealthy";
    expect(payloadOf(unwell) ?? {}).not.toHaveProperty("slurm");
    expect(payloadOf(stale({ stale: false }))).toBeUndefined();
    expect(payloadOf(stale({}, { cordon: OURS }))).not.toHaveProperty("slurm");
  });
});

describe("S34: a machine that is to end, and was put back into service in Slurm", () => {
  const phase = {
    kind: "terminating",
    since: NOW - 60_000,
    purpose: "replace",
    accepted: null,
    notBefore: 0,
  } as const;
  const was = { markedBoot: 1_000, markedBootId: "boot-1" };
  const ending = (slurm: Partial<SlurmFact>, over: Partial<Node> = {}) =>
    cordoned({ ...was, ...slurm }, { phase, ...over });
  const says = "drain: n0 was put back into service in Slurm after it was drained";

  test("S34: is drained again, and ended once the jobs since then are over", () => {
    expect(payloadOf(ending({}))).toMatchObject({
      kind: "cordon",
      only: "slurm",
      slurm: { name: "n0" },
    });
    const again = { owner: "own", drain: true, markedAt: NOW - 5_000 } as const;
    const busy = sight({}, { kind: "busy", remaining: 1, message: "job 65" });
    expect(waitOf(ending(again), busy)).toStartWith(`${says}, and is drained again (job 65): `);
    expect(waitOf(ending(again), sight({}, { kind: "unknown", forMs: 1 }))).toStartWith(says);
    expect(waitOf(ending(again), sight({}, { kind: "empty", seenAt: NOW - 5_001 }))).toStartWith(
      says,
    );
    expect(stepOf(ending(again), sight({}, { kind: "empty", seenAt: NOW }))).toBe("terminate");
    // Work that the deadline of its drain cut off is no reason to wait.
    expect(stepOf(ending({ ...again, markedAt: NOW - 60_001 }), busy)).toBe("terminate");
  });

  test("S34: waits where it cannot be drained there, and for nothing by a forced order", () => {
    expect(waitOf(ending({}), sight({ mirrorsCordon: false }))).toBe(
      `${says}: \`navarch terminate n0 --force\` ends it all the same`,
    );
    expect(stepOf(ending({}, { order: orderOf("terminate", { force: true }) }), IN)).toBe(
      "terminate",
    );
    expect(stepOf(ending({ markedBoot: null, markedBootId: null }), IN)).toBe("terminate");
    expect(stepOf(ending({}, { instance: instanceOf({ state: "stopped" }) }), IN)).toBe(
      "terminate",
    );
  });
});

describe("S31: a dark Slurm is never an empty one", () => {
  const draining = (over = {}) => cordoned(OWN, { phase: drainingOf(over) });
  test("S31: no drain ends, whatever its deadline and its work in Kubernetes", () => {
    const late = { deadlineAt: NOW - 1 };
    expect(waitOf(draining(late), DARK)).toBe(
      "blind: stands still until Slurm answers: no answer within 10 s",
    );
    expect(stepOf(cordoned(OWN, { phase: drainedOf() }), DARK)).toBeNull();
    expect(stepOf(cordoned(OWN, { phase: drainedOf() }), IN)).toBe("terminating replace");
  });

  test("S31: nor does one begin; isolation goes on", () => {
    const reached = cordoned(OWN);
    reached.health.unhealthyRun = 5;
    expect(stepOf(reached, IN)).toBe("drain replace");
    expect(waitOf(reached, DARK)).toStartWith("blind: stands still until Slurm answers");
    expect(stepOf(sick({}), DARK)).toBe("cordon");
  });

  test("S31: a NodeName that Slurm no longer lists is unknown", () => {
    const node = cordoned({ ...OWN, absentSince: NOW - 9 }, { phase: drainingOf() });
    expect(waitOf(node, IN)).toBe("blind: Slurm no longer lists n0, so its jobs are unknown");
  });

  test("S31: so is every node before the first list, and a node in doubt", () => {
    const bare = cordoned({}, { slurm: null, phase: drainingOf() });
    expect(waitOf(bare, sight({ dark: "not listed yet", known: false }))).toStartWith("blind");
    expect(stepOf(bare, sight({ dark: "away" }))).toBe("draining replace");
    // Its slot has a NodeName: it may have registered since the last list.
    const pool = { slurm: { ...poolOf().slurm, nodes: "c[1-4]" } };
    expect(waitOf(bare, { ...sight({ dark: "away" }), pool })).toStartWith("blind");
    expect(stepOf({ ...bare, slot: 4 }, { ...sight({ dark: "away" }), pool })).toBe(
      "draining replace",
    );
    const ambiguous = new Map([[bare.id, "two claims"]]);
    expect(waitOf(cordoned({}, { phase: drainingOf() }), sight({ ambiguous }))).toBe(
      "blind: two claims",
    );
  });

  test("S31: a person's forced order does not wait for it", () => {
    const order = orderOf("terminate", { force: true });
    expect(stepOf(cordoned(OWN, { order, phase: drainingOf() }), DARK)).toStartWith("terminating");
  });
});

describe("S30: jobs are waited for", () => {
  test("S30: a busy node stays, with its jobs in the wait", () => {
    const left = { kind: "busy", remaining: 1, message: "job 7" } as const;
    const phase = drainingOf({ sawWork: true });
    expect(waitOf(cordoned(OWN, { phase }), sight({}, left))).toBe("drain: job 7");
  });
});

describe("S33, S35: the release in Slurm", () => {
  const later = { ...agentOf(), bootId: "boot-2" as BootId };
  test("S33: only Navarch's own drain, once no cordon is left and it is healthy", () => {
    const payload = { kind: "uncordon", mirror: true, slurm: { name: "n0" } };
    expect(payloadOf(well(MARK))).toMatchObject(payload);
    expect(ask(well(MARK), IN).action).toMatchObject({ because: ["health-passed"] });
    expect(stepOf(well({ owner: "none" }), IN)).toBeNull();
    const ill = well(MARK);
    ill.health.verdict = "unknown";
    expect(waitOf(ill, IN)).toBe("human: n0 stays drained in Slurm: its health is not proven");
  });

  test("S35: a changed machine registers with a new BootTime first", () => {
    const changed = well(MARK, { agent: later });
    expect(waitOf(changed, IN)).toContain("has not registered with a new BootTime");
    const booted = well({ ...MARK, bootTime: 99_000 }, { agent: later });
    expect(ask(booted, IN).action).toMatchObject({ because: ["boot-changed", "health-passed"] });
    // slurmctld's BootTime moves by a second with each registration.
    expect(stepOf(well({ ...MARK, bootTime: 2_000 }, { agent: later }), IN)).toBeNull();
  });

  test("S35: a boot that was read moments ago is let settle, as its next registration may move", () => {
    const booted = { ...MARK, bootTime: 99_000, down: true };
    const fresh = well({ ...booted, bootSeenAt: NOW - 4_999 }, { agent: later });
    expect(waitOf(fresh, IN)).toContain("its slurmd registered less than 5 s ago");
    const settled = well({ ...booted, bootSeenAt: NOW - 5_000 }, { agent: later });
    expect(payloadOf(settled)).toMatchObject({ kind: "uncordon", slurm: { down: true } });
    // Read before the clock was set back by an hour: the node does not wait for that hour.
    const before = well({ ...booted, bootSeenAt: NOW + 3_600_000 }, { agent: later });
    expect(payloadOf(before)).toMatchObject({ kind: "uncordon", slurm: { down: true } });
    // The machine that was drained is not asked for a boot.
    expect(payloadOf(well({ ...MARK, bootSeenAt: NOW }))).toMatchObject({ kind: "uncordon" });
  });

  test("S35: a boot that the name had before may be a dead slurmd's, which 6 min show", () => {
    const taken = { ...MARK, markedBootId: "-", bootTime: 99_000 };
    const since = (ms: number) =>
      well({ ...taken, boundAt: NOW - ms, bootSeenAt: NOW - ms }, { agent: later });
    expect(waitOf(since(359_999), IN)).toContain(
      "may be the former machine's: seen for 6 min first",
    );
    expect(payloadOf(since(360_000))).toMatchObject({ kind: "uncordon" });
    const own = { ...taken, boundAt: NOW - 90_000, bootSeenAt: NOW - 60_000 };
    expect(payloadOf(well(own, { agent: later }))).toMatchObject({ kind: "uncordon" });
  });

  test("S35: a drain of a controller that knew no BootTime yet is not released by the old boot", () => {
    const markedAt = 500_000;
    const unknown = { ...MARK, markedAt, markedBoot: null };
    const old = { ...unknown, bootTime: markedAt - 90_000 };
    expect(waitOf(well(old, { agent: later }), IN)).toContain("has not registered");
    expect(payloadOf(well(old))).toMatchObject({ kind: "uncordon" });
    const booted = { ...unknown, bootTime: markedAt + 90_000 };
    expect(payloadOf(well(booted, { agent: later }))).toMatchObject({ kind: "uncordon" });
    // A machine in its place, or one whose agent was not heard yet, may have booted long before.
    for (const markedBootId of ["-", null]) {
      const other = { ...old, markedBootId };
      expect(payloadOf(well(other, { agent: later }))).toMatchObject({ kind: "uncordon" });
    }
  });

  test("S35: Slurm's own DOWN with Navarch's reason is lifted with it, once slurmd responds", () => {
    const down = { ...MARK, down: true, bootTime: 99_000 };
    expect(payloadOf(well(down, { agent: later }))).toMatchObject({ slurm: { down: true } });
    expect(waitOf(well({ ...down, silent: true }, { agent: later }), IN)).toContain("not respond");
  });

  test("S33: not while powered down, in an epilog of a changed machine, dark, or cordoned", () => {
    const booted = { ...MARK, bootTime: 99_000 };
    expect(stepOf(well({ ...booted, power: true }), IN)).toBeNull();
    expect(stepOf(well({ ...booted, completing: true }, { agent: later }), IN)).toBeNull();
    expect(stepOf(well(booted), DARK)).toBeNull();
    const human = { by: "alice", why: "mine", at: 1 };
    expect(stepOf(well(booted, { cordon: { product: null, human } }), IN)).toBeNull();
  });

  test.each(["terminating", "terminated", "stopped"] as const)(
    "S33: not while the cloud shows its machine as %s",
    (state) => {
      const ending = well(MARK, { instance: instanceOf({ state }) });
      expect(payloadOf(ending)).toBeUndefined();
      expect(waitOf(ending, IN)).toStartWith("second_witness: ");
    },
  );

  test("S33: Kubernetes is released first and does not wait for Slurm", () => {
    const kube = kubeOf({ isolatedUid: "uid-1", unschedulable: true });
    const setting = { sight: { kube: kubeSightOf(), slurm: slurmSightOf() } };
    const payload = payloadOf(well(MARK, { kube, agent: later }), setting);
    expect(payload).toMatchObject({ kind: "uncordon", mirror: true });
    expect(payload).not.toHaveProperty("slurm");
  });
});
