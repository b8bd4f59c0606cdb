import { expect, test } from "bun:test";
import { SmallKube } from "../../test/world/small-kube.ts";
import { VirtualClock } from "../engine/clock.ts";
import { paced } from "./pace.ts";

const GET = { verb: "get", path: "/api/v1/nodes/a", timeoutMs: 1_000, lane: "read" } as const;

test("W3: -kube-api-qps and -kube-api-burst bound the calls of any kind", async () => {
  const clock = new VirtualClock();
  const kube = new SmallKube();
  const api = paced(kube, { perSecond: 10, burst: 5 }, clock);
  const sent = Array.from({ length: 25 }, () => api.call(GET));
  await clock.pass(0);
  expect(kube.calls).toHaveLength(5);
  await clock.pass(1_000);
  expect(kube.calls).toHaveLength(15);
  await clock.pass(1_000);
  await Promise.all(sent);
  // Unused turns are saved up to the burst, and no further.
  await clock.pass(60_000);
  const more = Array.from({ length: 20 }, () => api.call(GET));
  await clock.pass(0);
  expect(kube.calls).toHaveLength(30);
  await clock.pass(2_000);
  await Promise.all(more);
});

test("a call whose reason passed while it waited is not sent", async () => {
  const clock = new VirtualClock();
  const kube = new SmallKube();
  const api = paced(kube, { perSecond: 1, burst: 1 }, clock);
  await api.call(GET);
  let isWanted = true;
  const answer = api.call({ ...GET, isWanted: () => isWanted });
  isWanted = false;
  await clock.pass(1_000);
  expect(await answer).toMatchObject({ kind: "refused", reason: "NotWanted" });
  expect(kube.calls).toHaveLength(1);
});

test("W9: calls of an interrupted run leave the queue without taking turns of the cleanup", async () => {
  const clock = new VirtualClock();
  const kube = new SmallKube();
  const api = paced(kube, { perSecond: 1, burst: 1 }, clock);
  let isWanted = true;
  const run = Array.from({ length: 100 }, () => api.call({ ...GET, isWanted: () => isWanted }));
  await clock.pass(0);
  isWanted = false;
  const cleanup = api.call(GET);
  await clock.pass(2_000);
  expect(await cleanup).toMatchObject({ kind: "refused", reason: "NotFound" });
  expect((await Promise.all(run)).filter((answer) => answer.kind === "refused")).toHaveLength(100);
  expect(kube.calls).toHaveLength(2);
});
