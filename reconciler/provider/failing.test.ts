import { expect, test } from "bun:test";
import type { InstanceId } from "../../schema/id.ts";
import { FAILURE_CLASSES, type FailureClass } from "../../schema/provider-failure.ts";
import { VirtualClock } from "../../simulator/engine/clock.ts";
import { seeded } from "../../simulator/engine/random.ts";
import type { CreateRequest } from "../core/provider.ts";
import { openMemoryCloud } from "./fake/memory.ts";
import { failing } from "./failing.ts";

const request: CreateRequest = {
  ...{ region: null, zone: null, instanceType: "h100-8x", market: "on-demand", reservation: null },
  ...{ token: "t", name: "n", nodeId: "n", sshKeys: [] },
  tags: { "navarch-fleet": "f" },
};
const fence = { nodeId: "n", fence: 1, sessionId: null };

function setUp(cls: FailureClass) {
  const clock = new VirtualClock(0);
  const cloud = openMemoryCloud({ name: "fake", clock, random: seeded(1), fleetId: "f" });
  const failure = { class: cls, untilMs: 1, calls: null, delayMs: 9_000, by: "ann" };
  return { clock, cloud, provider: failing(cloud, clock, () => failure) };
}

const COMMON = ["refused", "ambiguous", "failed", "ok", "accepted", "not_found", "unsupported"];

test("W56: a broken provider answers each call in that call's own words", async () => {
  for (const cls of Object.keys(FAILURE_CLASSES) as FailureClass[]) {
    if (cls === "slow") continue;
    const { provider, cloud } = setUp(cls);
    const created = await provider.create(request, fence, null);
    const lands = cls === "lost_reply";
    expect([cls, cloud.reality().asks]).toEqual([cls, lands ? 1 : 0]);
    const kind = { auth: "refused", capacity: "refused", rate_limit: "refused" }[cls as string];
    expect([cls, created.kind]).toEqual([cls, kind ?? "ambiguous"] as never);
    const ended = await provider.terminate("none" as InstanceId, fence);
    expect(COMMON).toContain(ended.kind);
  }
  const { provider } = setUp("outage");
  expect(await provider.list()).toMatchObject({ kind: "failed", class: "unavailable" });
  expect(await provider.offers([])).toMatchObject({ kind: "failed", class: "unavailable" });
  const auth = setUp("auth").provider;
  expect(await auth.list()).toMatchObject({ kind: "failed", class: "auth" });
  expect(await auth.reboot("x" as InstanceId, fence)).toMatchObject({ class: "auth" });
});

test("W56: a slow provider has done what it answers late", async () => {
  const { provider, cloud, clock } = setUp("slow");
  let answer: string | null = null;
  void provider.create(request, fence, null).then(({ kind }) => (answer = kind));
  await clock.pass(8_000);
  expect([answer, cloud.reality().asks]).toEqual([null, 1]);
  await clock.pass(2_000);
  expect(answer as string | null).toBe("ok");
});
