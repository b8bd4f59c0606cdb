import { expect, test } from "bun:test";
import { VirtualClock } from "../../simulator/engine/clock.ts";
import { openMemorySlurm } from "../../test/world/memory-slurm.ts";
import { countCalls } from "./counting.ts";

test("countCalls() counts each call by its verb and its answer", async () => {
  const clock = new VirtualClock();
  const counted: string[] = [];
  const count = (verb: string, outcome: string) => void counted.push(`${verb} ${outcome}`);
  const client = countCalls(openMemorySlurm(clock, "n0").client, count);
  const calls = [
    client.nodes(),
    client.nodes(["n9"]),
    client.jobs(),
    client.update(["n0"], { state: "drain", reason: "x" }),
    client.update(["n0"], { reason: "y" }),
  ];
  await clock.pass(1_000);
  await Promise.all(calls);
  const expected = ["list ok", "read refused", "jobs ok", "drain ok", "update ok"];
  expect(counted.toSorted()).toEqual(expected.toSorted());
});
