import { expect, test } from "bun:test";
import { VirtualClock } from "../../simulator/engine/clock.ts";
import { type MemorySlurm, openMemorySlurm } from "../../test/world/memory-slurm.ts";
import { slurmJob } from "../../test/world/memory-slurm.ts";
import type { SlurmMark } from "../core/slurm/sink.ts";
import { Slurm } from "./slurm.ts";

const OWN = "navarch:s-1 XID79 GPU has fallen off the bus";
const POLL_MS = 15_000;

type Bench = {
  clock: VirtualClock;
  slurm: MemorySlurm;
  sink: Slurm;
  wakes: () => number;
  drain(name: string, reason?: string, number?: number): Promise<SlurmMark>;
  undrain(name: string, number?: number): Promise<SlurmMark>;
};

const fenceOf = (name: string, fence: number) => ({ nodeId: name, fence, sessionId: "s-1" });

async function open(...names: string[]): Promise<Bench> {
  const clock = new VirtualClock();
  const slurm = openMemorySlurm(clock, ...names);
  const sink = new Slurm({ client: slurm.client, clock, log: () => undefined, pollMs: POLL_MS });
  let wakes = 0;
  sink.start(() => (wakes += 1));
  await clock.pass(100);
  const inTime = async (mark: Promise<SlurmMark>): Promise<SlurmMark> => {
    await clock.pass(60_000);
    return mark;
  };
  return {
    ...{ clock, slurm, sink, wakes: () => wakes },
    drain: (name, reason = OWN, n = 1) => inTime(sink.drain(name, reason, fenceOf(name, n))),
    undrain: (name, n = 2) => inTime(sink.undrain(name, fenceOf(name, n))),
  };
}

test("S28: a drain reads the owner, writes, and reads back", async () => {
  const { slurm, drain } = await open("n0", "n1");
  slurm.calls.length = 0;
  expect(await drain("n0")).toEqual({ kind: "ok", owner: "own", bootTime: 1_000 });
  expect(slurm.calls.slice(0, 3)).toEqual(["nodes n0", "update n0 drain", "nodes n0"]);
  expect(slurm.nodes.get("n0")).toMatchObject({ flags: ["DRAIN"], reason: OWN });
  slurm.calls.length = 0;
  expect(await drain("n0")).toMatchObject({ kind: "ok", owner: "own" });
  expect(slurm.calls).not.toContain("update n0 drain");
});

test("a reason of slurmctld's own is lifted only if it is the very one that was judged", async () => {
  const { slurm, sink, clock } = await open("n0");
  const lift = async (lifts: string, fence: number): Promise<SlurmMark> => {
    const mark = sink.undrain("n0", fenceOf("n0", fence), { liftsDown: true, lifts });
    await clock.pass(60_000);
    return mark;
  };
  slurm.person("n0", { state: "down", reason: "maint by alice" });
  expect(await lift("maint by alice", 1)).toMatchObject({ owner: "foreign" });
  slurm.person("n0", { state: "down", reason: "Not responding" });
  expect(await lift("Node unexpectedly rebooted", 2)).toMatchObject({ owner: "foreign" });
  expect(slurm.nodes.get("n0")?.base).toBe("DOWN");
  expect(await lift("Not responding", 3)).toMatchObject({ kind: "ok", owner: "none" });
  expect(slurm.nodes.get("n0")?.base).toBe("IDLE");
});

test("S28: a reason of another owner is neither overwritten nor undrained", async () => {
  const { slurm, drain, undrain } = await open("n0", "n1");
  slurm.person("n0", { state: "drain", reason: "maint by alice" });
  slurm.person("n1", { state: "down", reason: "Not responding" });
  expect(await drain("n0")).toMatchObject({ kind: "ok", owner: "foreign" });
  expect(await undrain("n0")).toMatchObject({ kind: "ok", owner: "foreign" });
  expect(await drain("n1")).toMatchObject({ kind: "ok", owner: "foreign" });
  expect(slurm.nodes.get("n0")).toMatchObject({ flags: ["DRAIN"], reason: "maint by alice" });
  expect(slurm.nodes.get("n1")).toMatchObject({ base: "DOWN", reason: "Not responding" });
});

test("S28: a person who drains after the write is told from the read-back", async () => {
  const { slurm, drain } = await open("n0");
  slurm.arrived = (call) => {
    if (call === "update n0 drain") slurm.person("n0", { state: "drain", reason: "alice" });
  };
  expect(await drain("n0")).toMatchObject({ kind: "ok", owner: "foreign" });
  expect(slurm.nodes.get("n0")?.reason).toBe("alice");
});

test("S28: a reason that a list saw and the write overwrote is restored", async () => {
  const { clock, slurm, sink, drain } = await open("n0");
  // A person drains after the read; a fast list sees it while the slow write is under way.
  const { update } = slurm.client;
  slurm.client.update = async (names, change) => {
    if (change.state === "drain") {
      slurm.person("n0", { state: "drain", reason: "alice" });
      sink.attend(new Set(["n0"]));
      await new Promise((resolve) => void clock.after(2_000, () => resolve(null)));
    }
    return update(names, change);
  };
  expect(await drain("n0")).toMatchObject({ kind: "ok", owner: "foreign" });
  expect(slurm.nodes.get("n0")).toMatchObject({ flags: ["DRAIN"], reason: "alice" });
});

test("S32: a process that was frozen after its write restores nothing under another leader", async () => {
  const { clock, slurm, sink, drain } = await open("n0");
  const { update } = slurm.client;
  const late = "navarch:s-2 XID79 of the next leader";
  slurm.client.update = async (names, change) => {
    if (change.reason !== OWN) return update(names, change);
    slurm.person("n0", { state: "down", reason: "alice" });
    sink.attend(new Set(["n0"]));
    await new Promise((resolve) => void clock.after(2_000, () => resolve(null)));
    const answer = await update(names, change);
    clock.sleepThrough(16_000);
    slurm.person("n0", { state: "resume" });
    slurm.person("n0", { state: "drain", reason: late });
    return answer;
  };
  expect(await drain("n0")).toMatchObject({ kind: "ambiguous" });
  expect(slurm.nodes.get("n0")).toMatchObject({ flags: ["DRAIN"], reason: late });
});

test("S29: text that outlived its drain is no drain", async () => {
  const { slurm, drain } = await open("n0");
  const node = slurm.nodes.get("n0");
  if (node !== undefined) slurm.nodes.set("n0", { ...node, reason: "old text of alice" });
  expect(await drain("n0")).toMatchObject({ kind: "ok", owner: "own" });
});

test("S33: undrain lifts the product's own drain and leaves DOWN", async () => {
  const { slurm, drain, undrain } = await open("n0", "n1");
  await drain("n0");
  expect(await undrain("n0")).toMatchObject({ kind: "ok", owner: "none" });
  expect(slurm.nodes.get("n0")).toMatchObject({ base: "IDLE", flags: [], reason: null });
  await drain("n1");
  slurm.person("n1", { state: "down" });
  expect(await undrain("n1")).toMatchObject({ kind: "ok", owner: "own" });
  expect(slurm.nodes.get("n1")).toMatchObject({ base: "DOWN", flags: [], reason: OWN });
});

test("S28: the tail of scontrol reboot is still the same reason", async () => {
  const { slurm, drain } = await open("n0");
  slurm.person("n0", { state: "drain", reason: `${OWN} : reboot issued` });
  slurm.calls.length = 0;
  expect(await drain("n0")).toMatchObject({ kind: "ok", owner: "own" });
  expect(slurm.calls).not.toContain("update n0 drain");
});

test("S30: work is left until drain, epilog and the last job are done", async () => {
  const { clock, slurm, sink, drain } = await open("n0");
  slurm.run("12", "n0");
  sink.attend(new Set(["n0"]));
  await drain("n0");
  expect(sink.left("n0")).toMatchObject({ kind: "busy", remaining: 1, message: "job 12" });
  slurm.end("12");
  await clock.pass(2_000);
  expect(sink.left("n0")).toMatchObject({ kind: "busy", message: "job 12 (COMPLETING)" });
  slurm.settle("12");
  const endedAt = clock.wallMs();
  await clock.pass(2_000);
  const left = sink.left("n0");
  expect(left).toMatchObject({ kind: "empty" });
  if (left.kind === "empty") expect(left.seenAt).toBeGreaterThanOrEqual(endedAt);
});

test("S30: a list that keeps MIXED on a free node does not hold its drain", async () => {
  const { clock, slurm, sink, drain } = await open("n0");
  const { nodes } = slurm.client;
  slurm.client.nodes = async (names) => {
    const answer = await nodes(names);
    if (names !== undefined || answer.kind !== "ok") return answer;
    return { kind: "ok", value: answer.value.map((row) => ({ ...row, base: "MIXED" })) };
  };
  await drain("n0");
  expect(sink.left("n0")).toMatchObject({ kind: "busy" });
  sink.attend(new Set(["n0"]));
  await clock.pass(1_500);
  expect(sink.left("n0")).toMatchObject({ kind: "empty" });
});

test("S30: a suspended job is work although the node reads IDLE", async () => {
  const { slurm, sink, drain } = await open("n0");
  slurm.jobs.push(slurmJob("7", { state: "SUSPENDED", nodes: ["n0"] }));
  slurm.jobs.push(slurmJob("6", { state: "COMPLETED", nodes: ["n0"] }));
  await drain("n0");
  expect(sink.left("n0")).toMatchObject({ kind: "busy", message: "job 7 (SUSPENDED)" });
});

test("S31: unknown nodes, unknown states and nodes without a drain are never empty", async () => {
  const { clock, slurm, sink } = await open("n0");
  expect(sink.left("n9")).toMatchObject({ kind: "dark" });
  expect(sink.left("n0")).toMatchObject({ kind: "dark" });
  const node = slurm.nodes.get("n0");
  if (node !== undefined) slurm.nodes.set("n0", { ...node, base: "PERHAPS", flags: ["DRAIN"] });
  await clock.pass(POLL_MS + 100);
  expect(sink.left("n0")).toEqual({
    kind: "dark",
    message: "n0 has an unknown state in Slurm (PERHAPS+DRAIN)",
  });
});

test("S31: a failed list makes everything dark at once, and the next one ends it", async () => {
  const { clock, slurm, sink, drain } = await open("n0");
  await drain("n0");
  expect(sink.left("n0")).toMatchObject({ kind: "empty" });
  slurm.trouble = (call) => (call === "jobs" ? "squeue: no answer within 10 s" : null);
  await clock.pass(POLL_MS + 100);
  expect(sink.dark()).toBe("squeue: no answer within 10 s");
  expect(sink.left("n0")).toEqual({ kind: "dark", message: "squeue: no answer within 10 s" });
  expect(await drain("n0")).toMatchObject({ kind: "refused" });
  slurm.trouble = null;
  await clock.pass(POLL_MS + 2_000);
  expect(sink.dark()).toBeNull();
  expect(sink.left("n0")).toMatchObject({ kind: "empty" });
});

test("S31: before the first list nothing is known, and after a stop again", async () => {
  const { sink } = await open("n0");
  expect(sink.nodes()).toMatchObject({ version: 1, known: true });
  sink.stop();
  expect(sink.nodes().known).toBe(false);
  expect(sink.dark()).toBe("Slurm has not been listed yet");
  expect(sink.queue()).toBeNull();
});

test("S32: an awaited drain is looked at until its end, less often by and by", async () => {
  const { clock, slurm, sink } = await open("n0", "n1");
  slurm.run("12", "n0");
  sink.attend(new Set(["n0"]));
  const listsOf = async (ms: number): Promise<number> => {
    slurm.calls.length = 0;
    await clock.pass(ms);
    return slurm.calls.filter((call) => call === "jobs").length;
  };
  expect(await listsOf(60_000)).toBeGreaterThanOrEqual(58);
  await clock.pass(240_000);
  expect(await listsOf(60_000)).toBeWithin(10, 14);
  await clock.pass(3 * 86_400_000);
  expect(await listsOf(60_000)).toBeWithin(5, 8);
  // One that has just begun is not slowed down by it.
  sink.attend(new Set(["n0", "n1"]));
  expect(await listsOf(10_000)).toBeGreaterThanOrEqual(9);
  sink.attend(new Set(["n0"]));
  expect(await listsOf(60_000)).toBeWithin(5, 8);
});

test("S29: a Slurm that hangs after the read holds no operation longer than 10 s", async () => {
  const { clock, slurm, sink } = await open("n0");
  const { update } = slurm.client;
  const { promise, resolve } = Promise.withResolvers<null>();
  slurm.client.update = async (names, change) => {
    await promise;
    return update(names, change);
  };
  const startMs = clock.monoMs();
  let endMs = Number.NaN;
  const mark = sink.drain("n0", OWN, { nodeId: "n0", fence: 1, sessionId: "s-1" });
  void mark.then(() => (endMs = clock.monoMs()));
  await clock.pass(60_000);
  expect(await mark).toEqual({
    kind: "ambiguous",
    message: "Slurm has not answered within 10 s",
  });
  expect(Math.round(endMs - startMs)).toBe(10_000);
  // The next write of the node waits for it, and is not sent late.
  const next = sink.drain("n0", OWN, { nodeId: "n0", fence: 2, sessionId: "s-1" });
  await clock.pass(20_000);
  expect(await next).toMatchObject({ kind: "ambiguous" });
  slurm.calls.length = 0;
  resolve(null);
  await clock.pass(5_000);
  expect(slurm.calls.filter((call) => call === "update n0 drain")).toHaveLength(1);
  expect(slurm.nodes.get("n0")?.flags).toEqual(["DRAIN"]);
});

test("S32: lists come each poll interval at rest, each second if attended", async () => {
  const { clock, slurm, sink, wakes } = await open("n0", "n1");
  slurm.calls.length = 0;
  await clock.pass(60_000);
  expect(slurm.calls).toHaveLength(8);
  const restful = wakes();
  sink.attend(new Set(["n0"]));
  slurm.calls.length = 0;
  await clock.pass(10_000);
  expect(slurm.calls.length).toBeGreaterThanOrEqual(18);
  // One wake for the node that is newly attended, none for lists without news.
  expect(wakes()).toBe(restful + 1);
  slurm.latencyMs = 4_000;
  await clock.pass(10_000);
  slurm.calls.length = 0;
  await clock.pass(60_000);
  expect(slurm.calls).toHaveLength(10);
});

test("S32: a list that began before a write does not undo what the write read back", async () => {
  const { clock, slurm, sink } = await open("n0");
  slurm.latencyMs = 1_000;
  const { nodes } = slurm.client;
  slurm.client.nodes = async (names) => {
    const answer = await nodes(names);
    // The list is slower than the three calls of the drain.
    if (names === undefined) await new Promise((go) => void clock.after(5_000, () => go(null)));
    return answer;
  };
  sink.attend(new Set(["n0"]));
  await clock.pass(1_000);
  const marked = sink.drain("n0", OWN, { nodeId: "n0", fence: 1, sessionId: "s-1" });
  await clock.pass(3_100);
  expect(await marked).toMatchObject({ kind: "ok", owner: "own" });
  for (let step = 0; step < 40; step += 1) {
    await clock.pass(250);
    expect(sink.nodes().list[0]?.flags).toEqual(["DRAIN"]);
  }
});

/** Drains of all at once, and the most updates that were under way together. */
function flood({ slurm, sink }: Bench, names: readonly string[]) {
  const seen = { writes: 0, most: 0 };
  const { update } = slurm.client;
  slurm.client.update = async (...given) => {
    seen.most = Math.max(seen.most, (seen.writes += 1));
    const answer = await update(...given);
    seen.writes -= 1;
    return answer;
  };
  const marks = names.map((name) => sink.drain(name, OWN, fenceOf(name, 1)));
  return { seen, marks };
}

const NAMES = Array.from({ length: 200 }, (_, index) => `n${index}`);

test("S32: of 200 drains at once sixteen are written at a time, and share their reads", async () => {
  const bench = await open(...NAMES);
  bench.slurm.calls.length = 0;
  const { seen, marks } = flood(bench, NAMES);
  await bench.clock.pass(2_500);
  expect(new Set((await Promise.all(marks)).map(({ kind }) => kind))).toEqual(new Set(["ok"]));
  expect(seen.most).toBe(16);
  const { calls } = bench.slurm;
  expect(calls.filter((call) => call.startsWith("update"))).toHaveLength(200);
  expect(calls.filter((call) => call.startsWith("nodes")).length).toBeLessThan(40);
});

test("S28: beside others a node is written within one other write after its read", async () => {
  const bench = await open(...NAMES);
  const { clock, slurm } = bench;
  const read = new Map<string, number>();
  const age: number[] = [];
  slurm.arrived = (call) => {
    const [verb, names = "", state] = call.split(" ");
    const now = clock.monoMs();
    if (verb === "nodes") for (const name of names.split(",")) read.set(name, now);
    if (verb === "update" && state === "drain") age.push(now - (read.get(names) ?? Infinity));
  };
  const { marks } = flood(bench, NAMES);
  await clock.pass(2_500);
  await Promise.all(marks);
  // Half of the read's 20 ms, one write of 20 ms, and half of its own.
  expect(age).toHaveLength(NAMES.length);
  expect(Math.round(Math.max(...age))).toBeLessThanOrEqual(40);
});

test("S29: a drain whose turn does not come is given back, and the next try succeeds", async () => {
  const bench = await open(...NAMES);
  const { clock, slurm, sink } = bench;
  slurm.latencyMs = 500;
  const { marks } = flood(bench, NAMES);
  await clock.pass(20_000);
  const answers = await Promise.all(marks);
  const unsent = NAMES.filter((_, index) => answers[index]?.kind === "unsent");
  expect(unsent.length).toBeGreaterThan(50);
  expect(new Set(answers.map(({ kind }) => kind))).toEqual(new Set(["ok", "unsent"]));
  for (const name of unsent) {
    expect(slurm.calls.some((call) => call.startsWith(`update ${name} `))).toBe(false);
  }
  let left = unsent;
  for (let round = 0; round < 20 && left.length > 0; round += 1) {
    const again = left.map((name) => sink.drain(name, OWN, fenceOf(name, 2)));
    await clock.pass(6_000);
    const next = await Promise.all(again);
    left = left.filter((_, index) => next[index]?.kind !== "ok");
  }
  expect(left).toEqual([]);
});

test("S32: an order that waits behind other writes is not sent once the lead is lost", async () => {
  const bench = await open(...NAMES);
  const { clock, slurm, sink } = bench;
  slurm.latencyMs = 1_000;
  const { marks } = flood(bench, NAMES.slice(0, 32));
  // The first sixteen are under way, the others have been read.
  await clock.pass(1_500);
  const begun = slurm.calls.filter((call) => call.startsWith("update")).length;
  sink.stop();
  await clock.pass(20_000);
  const told = (await Promise.all(marks)).filter((mark) => {
    return mark.kind === "refused" && mark.message === "this process no longer leads";
  });
  expect([begun, told.length]).toEqual([16, 16]);
  expect(slurm.calls.filter((call) => call.startsWith("update"))).toHaveLength(16);
});

test("S31: a write of unknown outcome is judged by the read-back", async () => {
  const { clock, slurm, sink, drain } = await open("n0", "n1");
  const { update } = slurm.client;
  slurm.client.update = async (names, change) => {
    if (names[0] === "n0") await update(names, change);
    return { kind: "failed", message: "scontrol: no answer within 7 s" };
  };
  expect(await drain("n0")).toMatchObject({ kind: "ok", owner: "own" });
  expect(await drain("n1")).toMatchObject({ kind: "ambiguous" });
  slurm.trouble = (call) => (call === "nodes" ? "gone" : null);
  const mark = sink.drain("n1", OWN, { nodeId: "n1", fence: 3, sessionId: "s-1" });
  await clock.pass(1_000);
  expect(await mark).toEqual({ kind: "refused", message: "gone" });
});

test("S32: a stale or late order is not sent", async () => {
  const { clock, slurm, sink, drain } = await open("n0", "n1");
  await drain("n0", OWN, 5);
  expect(await drain("n0", "navarch:s-0 XID48 old", 4)).toEqual({
    kind: "refused",
    message: "a newer order replaced it",
  });
  slurm.latencyMs = 9_000;
  expect(await drain("n1")).toEqual({
    kind: "refused",
    message: "not sent: Slurm was not ready within 7 s",
  });
  slurm.latencyMs = 20;
  const mark = sink.drain("n1", OWN, { nodeId: "n1", fence: 9, sessionId: "s-1" });
  sink.stop();
  await clock.pass(1_000);
  expect(await mark).toEqual({ kind: "refused", message: "this process no longer leads" });
  expect(slurm.nodes.get("n1")?.flags).toEqual([]);
});

test("S31: an unknown node is refused and fails no other", async () => {
  const { clock, sink } = await open("n0");
  const marks = ["n0", "n9"].map((name) => {
    return sink.drain(name, OWN, { nodeId: name, fence: 1, sessionId: "s-1" });
  });
  await clock.pass(1_000);
  expect(await Promise.all(marks)).toEqual([
    { kind: "ok", owner: "own", bootTime: 1_000 },
    { kind: "refused", message: "Slurm has no node n9" },
  ]);
});

test("S28: a MAINT reservation is named, and asked for only while a node shows the flag", async () => {
  const { clock, slurm, sink, drain } = await open("n0", "n1");
  const maint = { name: "pm_nov", isMaint: true, nodes: ["n0"], startsAt: 1_000 };
  slurm.reservations.push({ ...maint, name: "pm_dec", startsAt: 9_000 }, maint);
  slurm.reservations.push({ ...maint, name: "class", isMaint: false, startsAt: 1 });
  await clock.pass(3 * POLL_MS);
  expect(slurm.calls).not.toContain("reservations ");
  patchFlags(slurm, "n0", ["MAINTENANCE", "RESERVED"]);
  await clock.pass(POLL_MS);
  const named = () => sink.nodes().list.map(({ name, reservation }) => `${name} ${reservation}`);
  expect(named()).toEqual(["n0 pm_nov", "n1 null"]);
  // Read on its own for a drain, and listed while the reservations are not told.
  await drain("n0");
  expect(named()[0]).toBe("n0 pm_nov");
  slurm.trouble = (call) => (call === "reservations" ? "no answer" : null);
  await clock.pass(2 * POLL_MS);
  expect([named()[0], sink.dark()]).toEqual(["n0 pm_nov", null]);
  patchFlags(slurm, "n0", ["DRAIN"]);
  await clock.pass(2 * POLL_MS);
  expect(named()[0]).toBe("n0 null");
});

function patchFlags(slurm: MemorySlurm, name: string, flags: string[]): void {
  const node = slurm.nodes.get(name);
  if (node !== undefined) slurm.nodes.set(name, { ...node, flags });
}
