/** A cluster that is reached late serves the pools of the term that waits for it. */
import { expect, test } from "bun:test";
import { VirtualClock } from "../../simulator/engine/clock.ts";
import { anyPool, MemoryCluster } from "../../test/world/agentpool/cluster.ts";
import { openLate, type Reached } from "./late.ts";

test("V11: a cluster that is not reached at the start is asked for each minute", async () => {
  const clock = new VirtualClock();
  const real = new MemoryCluster();
  real.apply(anyPool("p"));
  const answers: (Reached | string)[] = ["no route", { cluster: real, api: null as never }];
  const said: unknown[] = [];
  const log = (...line: unknown[]): void => void said.push(line);
  const reach = () => Promise.resolve(answers.shift() ?? "asked once too often");
  const { cluster, api } = openLate("no answer", reach, { clock, log });
  let wakes = 0;
  cluster.start(() => void wakes++);
  expect(cluster.pools()).toMatchObject({ isKnown: false, dark: "no answer", list: [] });
  expect(await cluster.check(anyPool("p"))).toEqual({ kind: "lost", message: "no answer" });
  expect(await api.call({ verb: "get", path: "/", timeoutMs: 1, lane: "read" })).toMatchObject({
    kind: "lost",
  });
  await clock.pass(60_000);
  expect(cluster.pods().dark).toBe("no route");
  expect(said).toHaveLength(1);
  await clock.pass(60_000);
  expect(wakes).toBe(1);
  expect(cluster.pools()).toMatchObject({ isKnown: true, dark: null });
  real.edit("default/p", { generation: 2 });
  expect(wakes).toBe(2);
  await clock.pass(300_000);
  expect(answers).toEqual([]);
});
