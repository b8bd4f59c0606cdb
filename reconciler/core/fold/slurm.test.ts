import { describe, expect, test } from "bun:test";
import type { BootId, InstanceId, NodeId } from "../../../schema/id.ts";
import type { Node } from "../../../schema/node.ts";
import type { Operation } from "../../../schema/operation.ts";
import type { SlurmFact } from "../../../schema/slurm.ts";
import {
  agentOf,
  instanceOf,
  nodeOf,
  operationOf,
  sessionOf,
  sickOf,
  slurmOf,
  slurmRowOf,
} from "../../../test/world/part.ts";
import type { SlurmNode } from "../slurm/object.ts";
import type { SlurmMark } from "../slurm/sink.ts";
import { BY_SLURM, foldSlurm } from "./slurm.ts";
import { newMirror, UnitOfWork } from "../unit-of-work.ts";
import { settle } from "./settle.ts";

const NOW = 1_000_000;
const REASON = "navarch:s-1 XID48 on GPU 0";
const own = { base: "IDLE", flags: ["DRAIN"], reason: REASON };
const MARK = { markedAt: 5, markedBoot: 1_000, markedBootId: "boot-1" };
const OWN: Partial<SlurmFact> = { owner: "own", drain: true, reason: REASON, ...MARK };
const ours = { by: "navarch", why: "xid", at: 2 };

function workOf(nodes: readonly Node[], operations: readonly Operation[] = []): UnitOfWork {
  const mirror = newMirror();
  for (const node of nodes) mirror.nodes.set(node.id, node);
  for (const operation of operations) mirror.operations.set(operation.id, operation);
  return new UnitOfWork(mirror);
}

type Options = {
  rule?: "cancel" | "enforce";
  others?: Node[];
  aliases?: Record<string, string>;
  slots?: Record<string, string[]>;
  isAfterDark?: boolean;
  onForeignDrain?: "hold" | "repair";
};

function fold(node: Node, rows: Partial<SlurmNode>[], options: Options = {}) {
  const { rule = "cancel", others = [], aliases = {}, isAfterDark = false } = options;
  const work = workOf([node, ...others]);
  const names = { aliases, slots: new Map(Object.entries(options.slots ?? {})) };
  const { onForeignDrain = "hold" } = options;
  const nodes = rows.map(slurmRowOf);
  const news = { nodes, names, onUndrain: rule, onForeignDrain, isAfterDark };
  const known = foldSlurm(news, [node.id, ...others.map(({ id }) => id)], NOW, work);
  const change = work.finish();
  const next = change?.nodes.find(({ id }) => id === node.id) ?? null;
  return { next, slurm: next?.slurm, events: change?.events ?? [], known };
}

const kinds = (events: readonly { kind: string }[]) => events.map(({ kind }) => kind);
const bare = (over: Partial<Node> = {}) => nodeOf("n0", over);
const repaired = (slurm: Partial<SlurmFact> = OWN, over: Partial<Node> = {}): Node =>
  sickOf("n0", {
    slurm: slurmOf(slurm),
    cordon: { product: ours, human: null },
    session: sessionOf({ openedAt: 2 }),
    ...over,
  });

describe("S19, S28: a node's side in Slurm", () => {
  test("S19: a node is matched once, and an unchanged list changes nothing", () => {
    const first = fold(bare(), [{}]);
    expect(kinds(first.events)).toEqual(["slurm.matched"]);
    expect(first.slurm).toMatchObject({ name: "n0", by: "id", owner: "none", markedAt: null });
    expect(fold(first.next ?? bare(), [{}]).next).toBeNull();
  });

  test("S19: BootTime that moves by a second is no change", () => {
    const first = fold(bare(), [{}]).next ?? bare();
    expect(fold(first, [{ bootTime: 3_000 }]).next).toBeNull();
    expect(fold(first, [{ bootTime: 60_000 }]).slurm?.bootTime).toBe(60_000);
  });

  test("S28: a drain, a failure or a DOWN of others is foreign; text alone is no drain", () => {
    const by = { reason: "maint by alice", reasonBy: "alice" };
    for (const row of [{ flags: ["DRAIN"] }, { base: "DOWN" }, { base: "FAIL" }]) {
      const seen = fold(bare(), [{ ...row, ...by }]);
      expect(seen.slurm?.owner).toBe("foreign");
      expect(kinds(seen.events)).toEqual(["slurm.matched", "slurm.foreign"]);
      expect(seen.events[1]?.message).toContain("in Slurm by alice (maint by alice): left");
    }
    expect(fold(bare(), [{ reason: REASON }]).slurm?.owner).toBe("none");
  });

  const acts = (row: Partial<SlurmNode>, options: Options = {}) => {
    const { slurm } = fold(bare(), [row], options);
    return { held: slurm?.held, others: slurm?.others };
  };
  const by = { reason: "bios", reasonBy: "alice" };
  const MAINT = { flags: ["MAINTENANCE", "RESERVED"], reservation: "pm_nov" };

  test.each([
    ["a drain", { flags: ["DRAIN"], ...by }, [{ kind: "drain", by: "alice", why: "bios" }]],
    ["DOWN", { base: "DOWN", ...by }, [{ kind: "down", by: "alice", why: "bios" }]],
    ["a MAINT reservation", MAINT, [{ kind: "reservation", by: null, why: "pm_nov" }]],
    [
      "a reboot that is asked for",
      { base: "MIXED", flags: ["REBOOT_REQUESTED"], ...by },
      [{ kind: "reboot", by: "alice", why: "bios" }],
    ],
    [
      "a reboot that has begun, of a node that Navarch drained",
      { base: "DOWN", flags: ["DRAIN", "REBOOT_ISSUED"], reason: `${REASON} : reboot issued` },
      [{ kind: "reboot", by: null, why: null }],
    ],
    [
      "both",
      { flags: ["DRAIN", ...MAINT.flags], reservation: null, ...by },
      [
        { kind: "drain", by: "alice", why: "bios" },
        { kind: "reservation", by: null, why: null },
      ],
    ],
  ] as const)("S28: %s of others holds", (_, row, others) => {
    expect(acts({ ...row, flags: "flags" in row ? [...row.flags] : [] })).toEqual({
      held: true,
      others: [...others],
    });
    expect(acts(row, { onForeignDrain: "repair" })).toMatchObject({ held: false });
  });

  test("S28: neither slurmctld itself, nor Navarch, nor another reservation holds", () => {
    for (const row of [
      { base: "DOWN", reason: "Not responding", reasonBy: "slurm" },
      { flags: ["DRAIN"], reason: REASON },
      { flags: ["RESERVED"], reservation: "class" },
      { base: "DOWN", flags: ["POWERED_DOWN"], reason: "idle", reasonBy: "alice" },
    ]) {
      expect(acts(row)).toEqual({ held: false, others: [] });
    }
  });

  test("S28: what others began and ended is told once", () => {
    const first = fold(bare(), [{}]).next ?? bare();
    const begun = fold(first, [MAINT]);
    expect(begun.events.map(({ message }) => message)).toEqual([
      "n0 is in the MAINT reservation pm_nov: left unchanged, and its repair waits",
    ]);
    const again = fold(begun.next ?? bare(), [MAINT]);
    expect(again.events).toEqual([]);
    const over = fold(begun.next ?? bare(), [{}]);
    expect(kinds(over.events)).toEqual(["slurm.foreign"]);
    expect(over.slurm).toMatchObject({ held: false, others: [] });
  });

  test("S28: what slurmctld did itself is told apart from a person's, and as untouchable", () => {
    const gres = "gres/gpu count reported lower than configured (7 < 8)";
    const by = { reasonBy: "slurm" };
    for (const row of [
      { base: "DOWN", reason: "Not responding", ...by },
      { base: "DOWN", reason: "Node unexpectedly rebooted", ...by },
      { base: "IDLE", flags: ["DRAIN", "INVALID_REG"], reason: gres, ...by },
      { base: "IDLE", flags: ["DRAIN"], reason: "Low RealMemory (reported:1 < 100.00%)", ...by },
      { base: "DOWN", reason: null },
    ]) {
      const seen = fold(bare(), [row]);
      expect(seen.slurm).toMatchObject({ owner: "foreign", byItself: true });
      expect(kinds(seen.events)).toEqual(["slurm.matched", "slurm.down"]);
      const taken = fold(seen.next ?? bare(), [{ ...row, reason: "maint by alice" }]);
      expect(taken.slurm).toMatchObject({ owner: "foreign", byItself: false });
      expect(kinds(taken.events)).toEqual(["slurm.foreign"]);
    }
    const drained = { flags: ["DRAIN"], reason: null };
    expect(fold(bare(), [drained]).slurm?.byItself).toBe(false);
    const tail = { base: "DOWN", reason: "maint by alice : Not responding" };
    expect(fold(bare(), [tail]).slurm?.byItself).toBe(false);
    expect(fold(bare(), [{ ...own, base: "DOWN" }]).slurm).toMatchObject({ owner: "own" });
  });

  test("S31: a name that is not listed any more is unknown, and its return is told by the list", () => {
    const lost = fold(repaired(), []);
    expect(lost.slurm).toMatchObject({ absentSince: NOW, drain: true });
    expect(kinds(lost.events)).toEqual(["slurm.lost"]);
    // Created again without the drain: no person decided anything.
    const back = fold(repaired({ ...OWN, absentSince: 7 }), [{}]);
    expect(back.slurm).toMatchObject({ absentSince: null, drain: false, markedAt: null });
    expect(back.next?.cordon.product).not.toBeNull();
  });

  test("S19: two claims are in doubt, and their nodes stay as they are", () => {
    const other = nodeOf("x", { slurm: null });
    const twice = fold(bare(), [{}, { name: "n1" }], {
      others: [other],
      aliases: { n0: "n0", n1: "n0" },
    });
    expect(twice.next).toBeNull();
    expect([...twice.known.ambiguous.keys()]).toEqual(["n0" as NodeId]);
  });

  test("a drain of Navarch on a name that no node has is told", () => {
    const { known } = fold(bare(), [{}, { ...own, name: "n9" }]);
    expect(known.alarms).toEqual([`n9 is drained in Slurm (${REASON}), and no node has this name`]);
  });

  test("the drain that a scale-down leaves on a pool's name is no alarm", () => {
    const rows = [{}, { ...own, name: "p-3" }];
    const known = (slots: Record<string, string[]>) => fold(bare(), rows, { slots }).known.alarms;
    expect(known({ p: ["p-2", "p-3"] })).toEqual([]);
    expect(known({ p: ["p-2"] })).toHaveLength(1);
  });
});

describe("S34: the flag is gone while the repair is open", () => {
  test("S34: a person did it: the repair is cancelled and its evidence suppressed", () => {
    const { next, events } = fold(repaired(), [{ reason: REASON }]);
    expect(next).toMatchObject({
      phase: { kind: "serving" },
      cordon: { product: null },
      session: null,
      waiver: { by: BY_SLURM },
      slurm: { markedAt: null, drain: false },
    });
    expect(events).toMatchObject([{ kind: "slurm.undrained", actor: "human" }]);
    expect(events[0]?.message).toContain("the repair is cancelled");
  });

  test("S34: a person's undrain of a node that stays DOWN counts once the node is up", () => {
    const down = { base: "DOWN", reason: REASON };
    const first = fold(repaired({ ...OWN, down: true }), [down]);
    expect(first.next).toMatchObject({ cordon: { product: ours }, session: { openedAt: 2 } });
    expect(first.slurm).toMatchObject({ owner: "own", drain: false, down: true, markedAt: NOW });
    expect(first.events).toMatchObject([{ kind: "slurm.undrained", actor: "human" }]);
    expect(first.events[0]?.message).toContain("still down in Slurm: the repair goes on");
    const waiting = first.next ?? bare();
    expect(fold(waiting, [down]).next).toBeNull();
    const up = fold(waiting, [{ reason: REASON }]);
    expect(up.next).toMatchObject({ cordon: { product: null }, session: null });
    expect(up.events[0]?.message).toContain("the repair is cancelled");
    const drained = fold(waiting, [{ ...down, flags: ["DRAIN"] }]);
    expect(drained.next).toMatchObject({ cordon: { product: ours }, slurm: { drain: true } });
  });

  test("S34: power saving did it: it is set again, once in a repair", () => {
    const off = [{ flags: ["POWERED_DOWN"], reason: REASON }];
    const first = fold(repaired(), off);
    expect(first.slurm).toMatchObject({ markedAt: null, reassertedAt: NOW, power: true });
    expect(first.next?.cordon.product).not.toBeNull();
    const again = repaired({ ...OWN, reassertedAt: 9 });
    const second = fold(again, off);
    expect(second.slurm).toMatchObject({ markedAt: 5, drain: false });
    expect(second.next?.cordon.product).not.toBeNull();
    expect(fold(second.next ?? again, off).next).toBeNull();
    const later = repaired({ ...OWN, reassertedAt: 1 });
    expect(fold(later, off).slurm?.reassertedAt).toBe(NOW);
  });

  test("S34: a drained node whose drain went has to be seen empty again", () => {
    const drained = {
      since: 10,
      deadlineAt: 500,
      drainedAt: 20,
      purpose: "replace",
      sawWork: true,
      emptied: true,
    } as const;
    const from = repaired({ ...OWN, others: [{ kind: "reboot", by: "alice", why: "maint" }] });
    const phase = { kind: "draining", ...drained } as const;
    const { next } = fold({ ...from, phase }, [{}]);
    expect(next?.phase).toEqual({
      ...phase,
      ...{ since: NOW, deadlineAt: 500 + NOW - 10, drainedAt: null, emptied: false },
    });
    expect(next?.slurm).toMatchObject({ drain: false, markedAt: null });
    // While the drain stays, nothing is asked twice.
    const kept = fold({ ...from, phase }, [{ reason: REASON, flags: ["DRAIN"] }]);
    expect(kept.next?.phase ?? phase).toEqual(phase);
  });

  test("S34: `on_undrain: enforce` sets it again once, and then a person's word counts", () => {
    const first = fold(repaired(), [{}], { rule: "enforce" });
    expect(first.slurm).toMatchObject({ markedAt: null, reassertedAt: NOW });
    const second = fold(repaired({ ...OWN, reassertedAt: 9 }), [{}], { rule: "enforce" });
    expect(second.next?.cordon.product).toBeNull();
  });

  test("S34: what vanished while the controller was away may be lost state: set again once", () => {
    const first = fold(repaired(), [{}], { isAfterDark: true });
    expect(first.slurm).toMatchObject({ markedAt: null, reassertedAt: NOW });
    expect(first.next?.cordon.product).not.toBeNull();
    expect(first.events[0]?.message).toContain("an outage removed the drain");
    const second = fold(repaired({ ...OWN, reassertedAt: 9 }), [{}], { isAfterDark: true });
    expect(second.next?.cordon.product).toBeNull();
  });

  test("S34: not while a call that may have lifted it is open, and then it is judged", () => {
    const open = repaired(OWN, { operation: "n0.1.mirror" as never });
    expect(fold(open, [{}]).next).toBeNull();
  });

  test("S28: others who take the drain over have it, and nothing is cancelled", () => {
    const { next, events } = fold(repaired(), [{ flags: ["DRAIN"], reason: "maint" }]);
    expect(next?.slurm).toMatchObject({ owner: "foreign", markedAt: null, held: true });
    expect(next?.cordon.product).not.toBeNull();
    expect(kinds(events)).toEqual(["slurm.foreign"]);
  });

  test("S28: their release of a drain that they took over is a release of ours", () => {
    const taken = fold(repaired(), [{ flags: ["DRAIN"], reason: "maint" }]).next ?? bare();
    const still = fold(taken, [{ base: "DOWN", flags: ["DRAIN"], reason: "maint" }]).next ?? bare();
    expect(still.slurm).toMatchObject({ takenOver: true, held: true });
    const given = fold(still, [{}]);
    expect(given.next?.phase.kind).toBe("serving");
    expect(given.next?.waiver).toMatchObject({ by: "human:slurm" });
    // The same of a drain that was theirs before the fault ends only the wait.
    const first = fold(repaired({}), [{ flags: ["DRAIN"], reason: "maint" }]).next ?? bare();
    const free = fold(first, [{}]);
    expect(free.next?.cordon.product).not.toBeNull();
    expect(free.slurm).toMatchObject({ held: false, takenOver: false });
  });

  test("S28: a reboot with scontrol that lifts the drain is no release: it is set again", () => {
    const flags = ["DRAIN", "REBOOT_ISSUED"];
    const issued = fold(repaired(), [{ base: "DOWN", flags, reason: `${REASON} : reboot issued` }]);
    expect(issued.slurm).toMatchObject({ owner: "own", held: true });
    const booted = fold(issued.next ?? bare(), [{ bootTime: 70_000 }]);
    expect(booted.next?.cordon.product).not.toBeNull();
    expect(booted.slurm).toMatchObject({ markedAt: null, reassertedAt: null, held: false });
    const told = booted.events.map(({ message }) => message);
    expect(told).toContain("scontrol reboot removed the drain of n0: it is set again");
    const reason = { reason: "bios", reasonBy: "alice" };
    const asked = fold(repaired(), [{ flags: ["DRAIN", "REBOOT_REQUESTED"], ...reason }]);
    expect(asked.slurm).toMatchObject({ owner: "foreign", takenOver: true });
    const after = fold(asked.next ?? bare(), [{ bootTime: 70_000 }]);
    expect(after.next?.cordon.product).not.toBeNull();
  });
});

describe("S35: a replacement under the same name", () => {
  const gone = (slurm: Partial<SlurmFact>): Node =>
    nodeOf("old", { phase: { kind: "gone", since: 9, purpose: "replace" }, slurm: slurmOf(slurm) });
  const fresh = bare({ agent: { ...agentOf(), bootId: "boot-2" as BootId } });

  test("S35: keeps the boot in which its predecessor was drained, however late it is bound", () => {
    const seen = fold(fresh, [{ ...own, bootTime: 70_000 }], { others: [gone(OWN)] });
    const other = { ...MARK, markedBootId: "-" };
    expect(seen.slurm).toMatchObject({ ...other, bootTime: 70_000, owner: "own" });
  });

  test("S35: the boot that its predecessor had after its mark is not its own", () => {
    const rebooted = gone({ ...OWN, bootTime: 50_000 });
    const seen = fold(fresh, [{ ...own, bootTime: 50_000 }], { others: [rebooted] });
    expect(seen.slurm).toMatchObject({ markedBoot: 50_000, markedBootId: "-" });
  });

  test("S35: a boot that appears while the predecessor's machine ends is not kept as its own", () => {
    const bootOf = (phase: Node["phase"]) =>
      fold(repaired(OWN, { phase }), [{ ...own, bootTime: 60_000 }]).slurm?.bootTime;
    expect(bootOf({ kind: "terminating", since: 3, purpose: "replace" } as never)).toBeUndefined();
    expect(bootOf({ kind: "serving", since: 3 })).toBe(60_000);
  });

  test("S35: a late list's ghost had the boot of the machine that has its name now", () => {
    const phase = { kind: "gone", since: 9, purpose: "surplus" } as const;
    const of = { ...OWN, bootTime: 70_000, boundAt: 8, bootSeenAt: 8 };
    const ghost = { ...gone(of), phase };
    const row = { ...own, bootTime: 70_000 };
    expect(fold(fresh, [row], { others: [ghost] }).slurm?.markedBoot).toBe(1_000);
    const own1 = { ...gone({ ...of, bootSeenAt: 9 }), phase };
    expect(fold(fresh, [row], { others: [own1] }).slurm?.markedBoot).toBe(70_000);
    expect(fold(fresh, [row], { others: [gone(of)] }).slurm?.markedBoot).toBe(70_000);
  });

  test("S35: the same machine under another id owes the boot that its former record owed", () => {
    const unbought = { ...gone(OWN), instance: null };
    const seen = fold(fresh, [{ ...own, bootTime: 70_000 }], { others: [unbought] });
    expect(seen.slurm).toMatchObject({ ...MARK, owner: "own" });
  });

  test("S35: a mark of another machine without a record asks for a new boot too", () => {
    const reason = "navarch:f-p-0-1.s3 XID79 x";
    const seen = fold(fresh, [{ ...own, reason, bootTime: 70_000 }]);
    expect(seen.slurm).toMatchObject({ markedBoot: 70_000, markedBootId: "-" });
    const same = fold(fresh, [{ ...own, reason: "navarch:n0.s3 XID79 x", bootTime: 70_000 }]);
    expect(same.slurm).toMatchObject({ markedBoot: 70_000, markedBootId: "boot-2" });
  });
});

describe("what slurmctld itself wrote before the machine was replaced", () => {
  const machine = (id: string) => ({ ...instanceOf(), id: id as InstanceId });
  const old = nodeOf("old", {
    ...{ phase: { kind: "gone", since: 9, purpose: "replace" }, slurm: slurmOf({}) },
    instance: machine("i-old"),
  });
  const next = bare({ createdAt: 50_000, instance: machine("i-new") });
  const lost = { base: "DOWN", reason: "Not responding", bootTime: 1_000 };

  test("is stale from the first list on, and after its machine has registered", () => {
    const first = fold(next, [lost], { others: [old] });
    expect(first.slurm).toMatchObject({ owner: "foreign", byItself: true, stale: true });
    const seen = fold(first.next ?? next, [{ ...lost, bootTime: 60_000 }], { others: [old] });
    expect(seen.slurm).toMatchObject({ byItself: true, stale: true, bootTime: 60_000 });
  });

  test("also when it was written after the name was taken over, and before it registered", () => {
    const bound = fold(next, [{ bootTime: 1_000 }], { others: [old] }).next ?? next;
    expect(fold(bound, [lost], { others: [old] }).slurm?.stale).toBe(true);
  });

  test("is not stale for a person's words, of a registered machine, or without a replacement", () => {
    const by = { base: "DOWN", reason: "maint by alice", bootTime: 1_000 };
    expect(fold(next, [by], { others: [old] }).slurm?.stale).toBe(false);
    const registered = [{ ...lost, bootTime: 60_000 }];
    expect(fold(next, registered, { others: [old] }).slurm?.stale).toBe(false);
    expect(fold(next, [lost]).slurm?.stale).toBe(false);
    const same = { ...old, instance: machine("i-new") };
    expect(fold(next, [lost], { others: [same] }).slurm?.stale).toBe(false);
  });

  test("ends with another reason, whoever writes it", () => {
    const first = fold(next, [lost], { others: [old] }).next ?? next;
    const low = { base: "IDLE", flags: ["DRAIN"], reason: "Low RealMemory", bootTime: 60_000 };
    expect(fold(first, [low], { others: [old] }).slurm).toMatchObject({
      ...{ owner: "foreign", byItself: true, stale: false },
    });
  });
});

describe("S29: Slurm's answer to its part of a cordon", () => {
  const payload = { kind: "cordon", why: "xid", slurm: { name: "n0", reason: REASON } } as const;
  const only = { ...payload, mirror: true, only: "slurm" } as const;
  function answer(given: typeof payload | typeof only, slurm: SlurmMark, node = repaired({})) {
    const operation = operationOf(node, given);
    const asked = { ...node, operation: operation.id };
    const work = workOf([asked], [operation]);
    const outcome = { kind: "done", instance: null, message: null, on: null, slurm } as const;
    settle(NOW, work, operation.id, outcome);
    const change = work.finish();
    return {
      node: change?.nodes.at(-1),
      state: change?.operations.at(-1)?.state,
      events: kinds(change?.events ?? []),
    };
  }

  test("S29: both marks of one operation are noted, each with its event", () => {
    const done = answer(payload, { kind: "ok", owner: "own", bootTime: 1_000 });
    expect(done.node?.slurm).toMatchObject({ owner: "own", drain: true, markedBoot: 1_000 });
    expect(done.events).toEqual(["slurm.drained", "node.cordoned"]);
  });

  test("S29: Slurm's refusal stops nothing else, and rests on its own", () => {
    const failed = answer(payload, { kind: "refused", message: "Access denied" });
    expect(failed.state).toBe("done");
    expect(failed.node?.cordon.product).not.toBeNull();
    expect(failed.node?.slurm).toMatchObject({ refusals: 1, refusal: "Access denied" });
    expect(failed.node?.slurm?.restUntil).toBeGreaterThan(NOW);
    expect(failed.events).toEqual(["slurm.refused", "node.cordoned"]);
  });

  test("S29: a drain that was not sent rests not at all, and is no news", () => {
    const unsent = { kind: "unsent", message: "not sent: others were written for 3 s" } as const;
    for (const given of [payload, only]) {
      const { node, events } = answer(given, unsent);
      expect(node?.slurm).toMatchObject({ refusals: 0, restUntil: 0, refusal: null, drain: false });
      expect(events.filter((kind) => kind.startsWith("slurm."))).toEqual([]);
      expect(node?.operation).toBeNull();
    }
    expect(answer(only, unsent).state).toBe("refused");
  });

  test("S29: for Slurm alone, one answer of any kind ends the operation", () => {
    const done = answer(only, { kind: "ok", owner: "own", bootTime: null });
    expect([done.state, done.node?.operation]).toEqual(["done", null]);
    const lost = answer(only, { kind: "ambiguous", message: "no answer" });
    expect([lost.state, lost.node?.operation]).toEqual(["refused", null]);
    expect(lost.node?.slurm).toMatchObject({ refusals: 1, markedAt: null });
  });

  test("S28: a foreign drain is found by the call itself", () => {
    const theirs = answer(payload, { kind: "ok", owner: "foreign", bootTime: 1_000 });
    expect(theirs.node?.slurm).toMatchObject({ owner: "foreign", markedAt: null, refusals: 0 });
    expect(theirs.events).toEqual(["slurm.foreign", "node.cordoned"]);
  });

  test("S35: a new repair of a machine that is still to register keeps what it owes", () => {
    const changed = { ...agentOf(), bootId: "boot-2" as BootId };
    const owed = answer(
      only,
      { kind: "ok", owner: "own", bootTime: 1_000 },
      repaired(OWN, { agent: changed }),
    );
    expect(owed.node?.slurm).toMatchObject({ markedBootId: "boot-1", markedBoot: 1_000 });
    const own2 = answer(only, { kind: "ok", owner: "own", bootTime: 1_000 }, repaired(OWN));
    expect(own2.node?.slurm).toMatchObject({ markedAt: NOW, markedBootId: "boot-1" });
  });
});
