import { describe, expect, test } from "bun:test";
import { VirtualClock } from "../../../simulator/engine/clock.ts";
import { proveVerbs, type VerbBed } from "./verb.contract.ts";
import { VirtualSlurm } from "./controller.ts";
import { openFakeSlurm } from "./fake.ts";

function open() {
  const clock = new VirtualClock();
  const slurm = new VirtualSlurm(clock, { slurmdTimeoutMs: 20_000 });
  for (const name of ["n0", "n1"]) {
    slurm.add(name);
    slurm.boot(name);
  }
  return { clock, slurm, client: openFakeSlurm(slurm, clock, () => 0.5) };
}

const { clock, slurm, client } = open();
const bed: VerbBed = {
  client,
  // The other node is kept out of the way.
  submit: async (_node, seconds) => slurm.submit({ lastsMs: seconds * 1_000 }),
  cancel: async (id) => slurm.cancel(id),
  cut: async (node) => slurm.cut(node),
  boot: async (node, isNew) => {
    await clock.pass(1_000);
    slurm.boot(node, !isNew);
  },
  until: async (holds) => {
    for (let i = 0; i < 60; i++) {
      if (await holds()) return true;
      await clock.pass(500);
    }
    return false;
  },
};
proveVerbs("a virtual controller", () => bed);

describe("VirtualSlurm", () => {
  test("requeues the jobs of a node whose slurmd is silent, and takes it back", async () => {
    const { clock, slurm } = open();
    const job = slurm.submit({ lastsMs: 100_000 });
    slurm.cut("n0");
    await clock.pass(10_000);
    expect(slurm.node("n0")).toMatchObject({ base: "ALLOCATED", flags: ["NOT_RESPONDING"] });
    await clock.pass(10_000);
    expect(slurm.node("n0")).toMatchObject({ base: "DOWN", reason: "Not responding" });
    expect(slurm.ends).toEqual([{ id: job, nodes: ["n0"], how: "NODE_FAIL" }]);
    expect(slurm.jobs()).toMatchObject([{ id: job, state: "RUNNING", nodes: ["n1"] }]);
    slurm.boot("n0");
    expect(slurm.node("n0")).toMatchObject({ base: "IDLE", flags: [], reason: null });
  });

  test("a node in its epilog is completing, not free", async () => {
    const { clock, slurm } = open();
    slurm.submit({ lastsMs: 1_000 });
    await clock.pass(1_500);
    expect(slurm.node("n0")).toMatchObject({ base: "IDLE", flags: ["COMPLETING"] });
    await clock.pass(1_000);
    expect(slurm.node("n0")).toMatchObject({ base: "IDLE", flags: [] });
    expect(slurm.jobs()).toEqual([]);
  });

  test("powering a drained node down clears the flag and keeps the text", () => {
    const { slurm } = open();
    slurm.update("n0", { state: "drain", reason: "navarch:s1 XID79 lost" }, "api");
    slurm.update("n0", { state: "power_down" }, "alice");
    expect(slurm.node("n0")).toMatchObject({
      flags: ["POWERED_DOWN"],
      reason: "navarch:s1 XID79 lost",
    });
  });

  test("loses calls and answers as it is told to", async () => {
    const { clock, slurm, client } = open();
    client.fault = { ...client.fault, lostAnswers: 1 };
    const lost = client.update(["n0"], { state: "drain", reason: "r" });
    await clock.pass(10_000);
    expect(await lost).toMatchObject({ kind: "failed" });
    expect(slurm.node("n0")?.flags).toEqual(["DRAIN"]);
    client.fault = { ...client.fault, lostAnswers: 0, down: true };
    const away = client.update(["n0"], { state: "undrain" });
    await clock.pass(10_000);
    expect(await away).toMatchObject({ kind: "failed" });
    expect(slurm.node("n0")?.flags).toEqual(["DRAIN"]);
  });
});

test("a maintenance reservation and a reboot show as slurmctld shows them", () => {
  const clock = new VirtualClock();
  const slurm = new VirtualSlurm(clock);
  slurm.add("n0");
  slurm.boot("n0");
  const shown = (): string =>
    [slurm.node("n0")?.base, ...(slurm.node("n0")?.flags ?? [])].join("+");
  slurm.reserve("pm", ["n0"], "alice");
  expect(shown()).toBe("IDLE+MAINTENANCE+RESERVED");
  expect(slurm.reservations()).toMatchObject([{ name: "pm", isMaint: true, nodes: ["n0"] }]);
  slurm.unreserve("pm", "alice");
  expect(shown()).toBe("IDLE");
  const job = slurm.submit();
  slurm.reboot("n0", "bios", "alice");
  expect(shown()).toBe("ALLOCATED+DRAIN+REBOOT_REQUESTED");
  slurm.cancelReboot("n0", "alice");
  expect(shown()).toBe("ALLOCATED");
  slurm.reboot("n0", "bios", "alice");
  slurm.cancel(job);
  expect([shown(), slurm.node("n0")?.reason]).toEqual([
    "DOWN+DRAIN+REBOOT_ISSUED",
    "bios : reboot issued",
  ]);
  expect(slurm.rebooting()).toEqual(["n0"]);
  slurm.boot("n0");
  expect([shown(), slurm.node("n0")?.reason]).toEqual(["IDLE", null]);
});
