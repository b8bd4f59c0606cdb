import { expect, test } from "bun:test";
import { VirtualClock } from "../../simulator/engine/clock.ts";
import { openMemorySlurm, slurmJob } from "../../test/world/memory-slurm.ts";
import { Slurm } from "./slurm.ts";

const REASON = "navarch:s-1 XID79 GPU has fallen off the bus";

async function open(drains: "own" | "alice" | null = "own") {
  const clock = new VirtualClock();
  const slurm = openMemorySlurm(clock, "n0", "n1");
  const sink = new Slurm({ client: slurm.client, clock, log: () => undefined, pollMs: 15_000 });
  slurm.run("4", "n0");
  slurm.run("7_1", "n0", "n1");
  slurm.run("9", "n1");
  const reason = drains === "own" ? REASON : "maint by alice";
  if (drains !== null) slurm.person("n0", { state: "drain", reason });
  sink.start(() => undefined);
  await clock.pass(100);
  slurm.calls.length = 0;
  const tell = async (jobs: string[], signal: string | null = null) => {
    const told = sink.endJobs("n0", jobs, signal, { nodeId: "n0", fence: 1, sessionId: "s-1" });
    await clock.pass(60_000);
    return told;
  };
  const orders = () => slurm.calls.filter((call) => /^(requeue|signal)/.test(call));
  return { clock, slurm, sink, tell, orders };
}

test("S30: only jobs that still run on the node are requeued, each by its own call", async () => {
  const { slurm, tell, orders } = await open();
  expect(await tell(["4", "7_1", "9", "11"])).toEqual({
    kind: "ok",
    told: "requeued jobs 4, 7_1 (on 2 nodes)",
  });
  expect(orders()).toEqual(["requeue 4", "requeue 7_1"]);
  expect(slurm.calls.indexOf("nodes n0")).toBeLessThan(slurm.calls.indexOf("requeue 4"));
});

test("S30: an order that is told twice reaches no job that was requeued", async () => {
  const { slurm, tell, orders } = await open();
  slurm.jobs = [slurmJob("4", { state: "PENDING+COMPLETING", nodes: ["n0"] })];
  slurm.jobs.push(slurmJob("7_1", { nodes: ["n1"] }), slurmJob("5", { state: "PENDING" }));
  const told =
    "no job was told now: those it names ended, or an earlier try of this order requeued them";
  expect(await tell(["4", "7_1", "5"])).toEqual({ kind: "ok", told });
  expect(await tell(["4", "7_1", "5"], "TERM")).toEqual({ kind: "ok", told });
  expect(orders()).toEqual([]);
});

test("S30: a signal goes to all of them in one call", async () => {
  const { tell, orders } = await open();
  const told = "SIGUSR1 was sent to jobs 4, 7_1 (on 2 nodes)";
  expect(await tell(["4", "7_1"], "USR1")).toEqual({ kind: "ok", told });
  expect(orders()).toEqual(["signal USR1 4,7_1"]);
});

test.each(["alice", null] as const)(
  "S30: jobs of a node drained by %p are not told",
  async (by) => {
    const { tell, orders } = await open(by);
    expect(await tell(["4"])).toEqual({
      kind: "ok",
      told: "no job was told: the node is not drained by Navarch",
    });
    expect(orders()).toEqual([]);
  },
);

test("S30: what Slurm refuses is named, and the others are requeued", async () => {
  const { slurm, tell } = await open();
  const { requeue } = slurm.client;
  slurm.client.requeue = async (id, hold) => {
    if (id !== "4") return requeue(id, hold);
    return { kind: "refused", message: "Only batch jobs are accepted" };
  };
  const told =
    "requeued job 7_1 (on 2 nodes); Slurm does not requeue 4 (Only batch jobs are accepted)";
  expect(await tell(["4", "7_1"])).toEqual({ kind: "ok", told });
});

test("S31: an answer that is none leaves the order open", async () => {
  for (const call of ["requeue", "jobs"] as const) {
    const { slurm, tell } = await open();
    slurm.trouble = (one) => (one === call ? "no answer within 10 s" : null);
    expect(await tell(["4"])).toMatchObject({ kind: "ambiguous" });
  }
  const { slurm, tell } = await open();
  slurm.trouble = () => "away";
  expect((await tell(["4"])).kind).not.toBe("ok");
});

test("S30: an order whose turn came too late is not sent", async () => {
  const { slurm, tell, orders } = await open();
  slurm.latencyMs = 8_000;
  expect((await tell(["4"])).kind).not.toBe("ok");
  expect(orders()).toEqual([]);
});

test("S30: parts of one heterogeneous job are requeued by one call", async () => {
  const { slurm, tell, orders } = await open();
  slurm.run("12+0", "n0");
  slurm.run("12+1", "n0");
  expect(await tell(["12+0", "12+1", "4"])).toEqual({
    kind: "ok",
    told: "requeued jobs 4, 12+0",
  });
  expect(orders()).toEqual(["requeue 4", "requeue 12+0"]);
});
