/** The end of a machine that its cloud announces to the machine itself, and its agent tells. */
import { afterEach, expect, test } from "bun:test";
import type { Instance } from "../../reconciler/core/provider.ts";
import type { AgentNotice } from "../../schema/report.ts";
import {
  closeWorlds,
  counts,
  fleet,
  lie,
  nodeOf,
  phaseOf,
  restart,
  told,
  wrongs,
} from "../world/story.ts";
import { reportOf } from "../world/agent.ts";
import { openWorldApp } from "../world/app.ts";
import type { NodeId } from "../../schema/id.ts";
import type { World } from "../world/world.ts";

afterEach(closeWorlds);

const MINUTE_MS = 60_000;
const SPOT = "    market: spot\n";

/** The machine is told of its end in `ms`, with work on it. */
function announce(w: World, id: string, ms: number | null = 2 * MINUTE_MS): number {
  const atMs = w.clock.wallMs() + (ms ?? 0);
  const at = ms === null ? null : new Date(atMs).toISOString();
  const notice: AgentNotice = { kind: "preemption", at, message: "EC2 Spot interruption" };
  w.agent(id).notice = notice;
  w.agent(id).processes = 1;
  return atMs;
}

test("a node whose agent reads its end is drained by then, and another is bought at once", async () => {
  const w = await fleet(2, SPOT);
  const [lost = ""] = w.serving();
  const atMs = announce(w, lost);
  await w.until(() => phaseOf(w, lost) === "draining", 20);
  expect(w.node(lost).cordon.product?.why).toContain("announces preemption");
  await w.until(() => w.serving().length === 2, 60);
  // The new node serves while the old one still drains, and tells its end with each report.
  expect([phaseOf(w, lost), w.clock.wallMs() < atMs]).toEqual(["draining", true]);
  await w.until(() => phaseOf(w, lost) === "gone", 180);
  expect(w.clock.wallMs()).toBeLessThan(atMs + 30_000);
  expect(
    told(w, "node.draining")
      .map(({ message }) => message)
      .join(),
  ).toContain("is cut off");
  await w.live(120);
  expect(told(w, "instance.notice")).toHaveLength(1);
  expect([w.serving().length, counts(w).asks]).toEqual([2, 3]);
  expect(wrongs(w)).toEqual([]);
});

test.each(["the agent", "the cloud's list"])(
  "%s tells first: one event, one drain",
  async (first) => {
    const w = await fleet(2, SPOT);
    const [lost = ""] = w.serving();
    let isListed = false;
    w.agent(lost).processes = 1;
    let atMs = w.clock.wallMs() + 2 * MINUTE_MS;
    lie(w, (instances) =>
      instances.map((one): Instance => {
        const notice = { kind: "preemption", atMs, message: "reclaimed" } as const;
        return isListed && nodeOf(one) === lost ? { ...one, notice } : one;
      }),
    );
    if (first === "the agent") atMs = announce(w, lost);
    else isListed = true;
    await w.until(() => phaseOf(w, lost) === "draining", 30);
    isListed = true;
    announce(w, lost, atMs - w.clock.wallMs());
    await w.until(() => phaseOf(w, lost) === "gone", 180);
    await w.live(60);
    expect(told(w, "instance.notice")).toHaveLength(1);
    expect(counts(w).asks).toBe(3);
    expect(wrongs(w)).toEqual([]);
  },
);

test("a notice without a time drains with the pool's own limits", async () => {
  const w = await fleet(2, SPOT);
  const [lost = ""] = w.serving();
  announce(w, lost, null);
  await w.until(() => phaseOf(w, lost) === "draining", 20);
  await w.until(() => w.serving().length === 2, 60);
  w.agent(lost).processes = 0;
  await w.until(() => phaseOf(w, lost) === "gone", 120);
  await w.live(60);
  expect([told(w, "instance.notice").length, counts(w).asks]).toEqual([1, 3]);
});

test("a notice that is durable and not yet folded survives the end of the process", async () => {
  const w = await fleet(2, SPOT);
  const [lost = ""] = w.serving();
  announce(w, lost);
  const pending = w.ingest.accept(reportOf(lost, w.agent(lost), w.clock.wallMs()), lost as NodeId);
  await w.clock.pass(5);
  expect((await pending).kind).toBe("reply");
  expect(w.node(lost).agent?.notice).toBeUndefined();
  // The machine says no more.
  delete w.agent(lost).notice;
  await restart(w);
  await w.until(() => phaseOf(w, lost) === "draining", 20);
  // Nor does a crash at a later step make it forget or buy twice.
  await restart(w);
  await w.until(() => w.serving().length === 2, 60);
  await restart(w);
  await w.until(() => phaseOf(w, lost) === "gone", 240);
  await w.live(60);
  expect([told(w, "instance.notice").length, counts(w).asks]).toEqual([1, 3]);
  expect(wrongs(w)).toEqual([]);
});

test.each([
  ["a year ahead", 365 * 24 * 60 * MINUTE_MS],
  ["an hour ago", -60 * MINUTE_MS],
])("an end %s is not believed", async (_, ms) => {
  const w = await fleet(2, SPOT);
  const [one = ""] = w.serving();
  announce(w, one, ms);
  await w.live(60);
  expect(told(w, "instance.notice")).toEqual([]);
  expect([w.serving().length, w.node(one).cordon.product, counts(w).asks]).toEqual([2, null, 2]);
});

test("a report with a notice that is not believed, or malformed, is taken without it", async () => {
  const w = await fleet(1, SPOT);
  const [one = ""] = w.serving();
  const { call } = openWorldApp(w);
  const say = async (notice: unknown): Promise<unknown> => {
    const report = { ...reportOf(one, w.agent(one), w.clock.wallMs()), notice };
    const answer = await call("POST", "/v1/agent/report", report);
    await w.turn();
    return answer.status;
  };
  const word = { kind: "preemption", message: "m" };
  expect(await say({ ...word, at: "2099-01-01T00:00:00Z" })).toBe(202);
  expect(await say({ ...word, at: "1999-01-01T00:00:00Z" })).toBe(202);
  const odd = ["x", [], { ...word, at: "soon" }, { ...word, at: 5 }, { ...word, kind: "end" }];
  for (const notice of [...odd, { ...word, message: "m".repeat(257) }]) {
    expect(await say(notice)).toBe(202);
  }
  const page = (await call("GET", "/metrics")).text;
  expect(page).toContain('navarch_ignored_notices_total{reason="future"} 1');
  expect(page).toContain('navarch_ignored_notices_total{reason="past"} 1');
  expect([told(w, "instance.notice"), phaseOf(w, one)]).toEqual([[], "serving"]);
});

test("an end that never came does nothing later", async () => {
  const w = await fleet(2, SPOT);
  const [one = ""] = w.serving();
  const { pools } = w.reconciler.fleet();
  const pool = [...pools.values()][0];
  const until = w.clock.wallMs() + 20 * MINUTE_MS;
  await w.reconciler.change((draft) => {
    if (pool !== undefined) draft.putPool({ ...pool, hold: { by: "ann", why: "test", until } });
  });
  announce(w, one);
  await w.live(30);
  expect([told(w, "instance.notice").length, phaseOf(w, one)]).toEqual([1, "serving"]);
  delete w.agent(one).notice;
  await w.live(30 * 60);
  expect([phaseOf(w, one), w.node(one).cordon.product, counts(w).asks]).toEqual([
    "serving",
    null,
    2,
  ]);
});

test("an unmanaged machine is told of and not touched", async () => {
  const w = await fleet(1, SPOT);
  announce(w, "stray");
  await w.say("stray");
  await w.say("stray");
  await w.live(30);
  expect(told(w, "instance.notice").map(({ node }) => node as string)).toEqual(["stray"]);
  expect([phaseOf(w, "stray"), w.node("stray").cordon.product]).toEqual(["serving", null]);
  expect(counts(w).asks).toBe(1);
});

test("a machine that was bought on demand is not drained for a preemption", async () => {
  const w = await fleet(2);
  const [lost = ""] = w.serving();
  announce(w, lost);
  await w.live(60);
  expect(told(w, "instance.notice")).toHaveLength(1);
  expect([phaseOf(w, lost), w.node(lost).cordon.product, counts(w).asks]).toEqual([
    "serving",
    null,
    2,
  ]);
});
