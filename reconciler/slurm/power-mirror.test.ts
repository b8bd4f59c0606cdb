/** What is written for power saving, how often, and what a name that Slurm does not know stops. */
import { expect, test } from "bun:test";
import { VirtualClock } from "../../simulator/engine/clock.ts";
import { openMemorySlurm, slurmNode } from "../../test/world/memory-slurm.ts";
import type { SlurmNode } from "../core/slurm/object.ts";
import type { PowerMark } from "../core/slurm/power-save.ts";
import { PowerMirror } from "./power-mirror.ts";

const RISING = { base: "MIXED", flags: ["CLOUD", "POWERING_UP"], bootTime: null };

function begin(...names: string[]) {
  const clock = new VirtualClock();
  const memory = openMemorySlurm(clock, ...names);
  for (const name of names) memory.nodes.set(name, slurmNode(name, RISING));
  const seen = new Map<string, SlurmNode>();
  const note = (rows: readonly SlurmNode[]): void => {
    for (const row of rows) seen.set(row.name, row);
  };
  const mirror = new PowerMirror({ client: memory.client, clock, log: () => undefined, note });
  const writes = (): string[] => memory.calls.filter((call) => call.startsWith("update"));
  const show = async (marks: PowerMark[], times = 1): Promise<void> => {
    for (let i = 0; i < times; i += 1) {
      mirror.show(marks, (name) => seen.get(name));
      await clock.pass(1_000);
    }
  };
  return { memory, mirror, show, writes, clock, seen };
}

test("S39: an address is written once, and another name's absence stops nothing", async () => {
  const { show, writes, memory, mirror } = begin("c0");
  const marks: PowerMark[] = [
    { name: "gone", kind: "address", address: "10.0.0.8" },
    { name: "c0", kind: "address", address: "10.0.0.7" },
  ];
  memory.arrived = (call) => {
    if (!call.startsWith("update c0")) return;
    memory.nodes.set("c0", slurmNode("c0", { ...RISING, address: "10.0.0.7" }));
  };
  await show(marks, 5);
  expect(writes()).toEqual(["update c0 reason"]);
  expect(mirror.awaited()).toEqual([]);
  const before = memory.calls.length;
  await show(marks, 50);
  expect(memory.calls.length).toBe(before);
});

test("S41: DOWN, then powered down by force; a refused write is tried again later", async () => {
  const { show, writes, memory } = begin("c0");
  const marks: PowerMark[] = [{ name: "c0", kind: "down", why: "no stock" }];
  await show(marks, 2);
  expect(writes()).toEqual(["update c0 down", "update c0 power_down_force"]);
  expect(memory.nodes.get("c0")?.reason).toBe("navarch:power NO_MACHINE no stock");
  memory.trouble = () => "Unable to contact slurm controller";
  const before = memory.calls.length;
  await show(marks, 10);
  // Five seconds between two tries.
  expect(memory.calls.length - before).toBeLessThanOrEqual(3);
});

test("S41: what a stopped mirror had not sent is not sent", async () => {
  const { mirror, clock, writes, seen } = begin("c0", "c1");
  const marks = ["c0", "c1"].map((name) => ({ name, kind: "down" as const, why: "no stock" }));
  mirror.show(marks, (name) => seen.get(name));
  await clock.pass(5);
  mirror.stop();
  await clock.pass(1_000);
  expect(writes()).toEqual([]);
});

test("S41: a process that was frozen after its read writes only what it reads again", async () => {
  const { mirror, clock, writes, seen, memory, show } = begin("c0", "c1");
  const marks = ["c0", "c1"].map((name) => ({ name, kind: "down" as const, why: "no stock" }));
  mirror.show(marks, (name) => seen.get(name));
  await clock.pass(15);
  clock.sleepThrough(16_000);
  // Meanwhile another leader has its machine.
  memory.nodes.set("c0", slurmNode("c0"));
  await clock.pass(1_000);
  expect(writes()).toEqual([]);
  await show(marks);
  expect(writes()).toEqual(["update c1 down"]);
});
