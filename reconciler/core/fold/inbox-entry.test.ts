/** What one report makes of its node: identity, evidence, verdict, and what people read. */
import { describe, expect, test } from "bun:test";
import * as v from "valibot";
import { type CompiledPolicy, compilePolicy } from "../../../health/policy/compile.ts";
import { Finding } from "../../../schema/finding.ts";
import type { BootId, NodeId, StreamId } from "../../../schema/id.ts";
import type { Node } from "../../../schema/node.ts";
import type { Inventory } from "../../../schema/report.ts";
import { agentOf, gpuOf, inventoryOf, nodeOf, POOL, sessionOf } from "../../../test/world/part.ts";
import { readPolicy } from "../../config/policy.ts";
import type { InboxEntry } from "../store.ts";
import { countUnhealthy, emptyInventory, foldEntry } from "./inbox-entry.ts";

const START = Date.parse("2026-03-01T10:00:00Z");
const HERE = "boot-1";
const BEFORE = "boot-0";

const policy = (text: string): CompiledPolicy => {
  const { policy: read, problems } = readPolicy({ name: "p.yaml", text });
  if (read === null) throw new Error(JSON.stringify(problems));
  const answer = compilePolicy(read);
  if (!answer.ok) throw new Error(JSON.stringify(answer.problems));
  return answer.compiled;
};

const rule = (code: number, more: string): string =>
  `  - { name: r${code}, condition: "event.metrics.xid_code == ${code}", ${more} }\n`;
const POLICY = policy(
  `rules:\n${rule(79, "result: unhealthy, hold: until_replaced")}` +
    rule(48, "result: unhealthy, hold: until_reset") +
    rule(63, "result: degraded, hold: until_reset") +
    rule(43, "result: unhealthy, hold: 1m") +
    rule(31, "result: unhealthy, hold: while_active, shadow: true") +
    rule(32, "result: unhealthy, hold: until_replaced, shadow: true") +
    rule(33, "result: healthy, shadow: true") +
    `  - { name: rest, condition: "true", result: healthy }\n`,
);

const found = (code: number, more: Partial<Finding> = {}): Finding =>
  v.parse(Finding, {
    kind: "xid",
    code,
    gpu_index: 0,
    gpu_uuid: "GPU-0",
    at: new Date(START).toISOString(),
    boot_id: HERE,
    severity: "warning",
    message: `xid ${code}`,
    source: "sim",
    ...more,
  });

function entry(findings: readonly Finding[], more: Partial<InboxEntry> = {}): InboxEntry {
  return {
    node: "n" as NodeId,
    bootId: HERE,
    stream: "s-2" as StreamId,
    agentVersion: "1.2.3",
    simulated: false,
    inventory: null,
    check: null,
    findings: findings.map((finding, seq) => ({ seq, finding })),
    gaps: [],
    results: [],
    ...more,
  };
}

const checked = (active: string[] = [], conclusive = true): Partial<InboxEntry> => ({
  check: {
    at: new Date(START).toISOString(),
    conclusive,
    probes: [],
    expected_gpus: 8,
    present_gpus: 8,
    active,
  },
});

const fold = (node: Node, one: InboxEntry, at = START) =>
  foldEntry(node, one, at, { policy: POLICY, labels: {} });
const said = (node: Node, one: InboxEntry): [string, string][] =>
  fold(node, one).events.map(({ kind, message }) => [kind, message]);
/** In contact under the boot that speaks in these letters. */
const met = (more: Partial<Node> = {}): Node => nodeOf("n", more);
const withHealth = (node: Node, health: Partial<Node["health"]>): Node => ({
  ...node,
  health: { ...node.health, ...health },
});

describe("foldEntry() of who speaks", () => {
  const first = nodeOf("n", { agent: null, session: sessionOf() });

  test("registers an agent the first time, with what it is", () => {
    const inventory = { hostname: "h", gpus: [gpuOf(0), gpuOf(1)] } as unknown as Inventory;
    const origin = { address: "10.0.0.1", vouched: false, pod: null };
    const one = entry([], { inventory, origin, simulated: true });
    const { node, events } = fold(first, one);
    expect(node.agent).toEqual({
      bootId: HERE as BootId,
      stream: "s-2" as StreamId,
      version: "1.2.3",
      simulated: true,
      registeredAt: START,
      lastHeartbeatAt: START,
      inventory: inventoryOf({ hostname: "h", gpus: [gpuOf(0), gpuOf(1)] }),
      origin,
    });
    expect(events).toEqual([
      {
        at: START,
        kind: "node.registered",
        node: first.id,
        pool: POOL,
        session: sessionOf().id,
        actor: "navarch",
        message: "agent 1.2.3 registered with 2 simulated GPUs",
      },
    ]);
    expect(said(nodeOf("n", { agent: null }), entry([]))).toEqual([
      ["node.registered", "agent 1.2.3 registered with 0 GPUs"],
    ]);
  });

  test("keeps what is not told again, and when it registered", () => {
    const origin = { address: "10.0.0.1", vouched: false, pod: null };
    const agent = { ...agentOf({ gpus: [gpuOf(3)] }), registeredAt: 5, origin };
    const { node, events } = fold(met({ agent }), entry([]), START + 9);
    expect(node.agent).toEqual({
      ...agent,
      stream: "s-2" as StreamId,
      formerStreams: [agent.stream],
      version: "1.2.3",
      lastHeartbeatAt: START + 9,
    });
    expect(events).toEqual([]);
    const bare = fold(met(), entry([])).node.agent ?? {};
    expect("origin" in bare).toBe(false);
  });

  test("takes a new inventory, and calls one that names nothing by the node's name", () => {
    const inventory = { hostname: "h2", gpus: [] } as unknown as Inventory;
    const agent = agentOf({ gpus: [gpuOf(3)] });
    expect(fold(met({ agent }), entry([], { inventory })).node.agent?.inventory).toEqual(
      inventoryOf({ hostname: "h2" }),
    );
    expect(fold(met({ agent: null }), entry([])).node.agent?.inventory).toEqual(
      emptyInventory("n"),
    );
    expect(emptyInventory("n")).toEqual(inventoryOf({ hostname: "n" }));
  });

  test("says that it is back under a new boot id, and not the first time", () => {
    const agent = { ...agentOf(), bootId: BEFORE as BootId };
    expect(said(met({ agent }), entry([]))).toEqual([
      ["node.registered", "the agent is back under a new boot id"],
    ]);
    expect(said(met(), entry([]))).toEqual([]);
  });

  test("says what was lost on the way", () => {
    const gaps = [{ seq: 1, reason: "the spool was full", count: 7, at: "" }];
    expect(said(met(), entry([], { gaps }))).toEqual([
      ["node.gap", "7 findings were lost (the spool was full)"],
    ]);
  });

  const trust = (refused: number | undefined, last?: string) =>
    ({ trust: { refused, last_refusal: last } }) as unknown as Partial<Inventory>;
  test.each<[string, Partial<Inventory>, Partial<Inventory>, string | null]>([
    ["none", trust(0), trust(0), null],
    ["nobody counts", {}, {}, null],
    ["the same", trust(2, "x"), trust(2, "x"), null],
    ["the first", {}, trust(1, "no key"), "the agent refused an order: no key"],
    ["one more", trust(4), trust(5, "no key"), "the agent refused an order: no key"],
    ["several", trust(1), trust(4, "no key"), "the agent refused 3 orders: no key"],
    ["without a word", trust(1), trust(2), "the agent refused an order: it does not say why"],
    ["counted again", trust(9), trust(2, "x"), "the agent refused 2 orders: x"],
    ["counted again from one", trust(9), trust(1, "x"), "the agent refused an order: x"],
  ])("tells of orders that it refused: %s", (_what, before, now, message) => {
    const node = met({ agent: agentOf(before) });
    const inventory = { ...inventoryOf(), ...now };
    expect(said(node, entry([], { inventory }))).toEqual(
      message === null ? [] : [["command.finished", message]],
    );
  });
});

describe("foldEntry() of evidence", () => {
  test("holds it under who said it, and tells it", () => {
    const { node, events, matches } = fold(met(), entry([found(48)]));
    expect(node.health).toMatchObject({
      verdict: "unhealthy",
      lastReport: "unhealthy",
      unhealthyRun: 1,
      lastCountedAt: START,
    });
    expect(node.health.held.map(({ key, agent, count }) => [key, agent, count])).toEqual([
      ["xid/48/GPU-0", "1.2.3", 1],
    ]);
    expect(matches).toEqual([{ rule: "r48", result: "unhealthy" }]);
    expect(events.map(({ kind }) => kind)).toEqual(["node.finding", "node.unhealthy"]);
    expect(events[0]?.message).toEndWith("(unhealthy, rule r48)");
  });

  test("names who said each, and leaves who said the others", () => {
    const { node } = fold(met(), entry([found(48)]));
    const next = fold(node, entry([found(63)], { agentVersion: "2" }));
    expect(next.node.health.held.map(({ key, agent }) => [key, agent])).toEqual([
      ["xid/48/GPU-0", "1.2.3"],
      ["xid/63/GPU-0", "2"],
    ]);
  });

  test.each([
    [[63, 48], "unhealthy"],
    [[48, 63], "unhealthy"],
    [[63, 13], "degraded"],
    [[13], "healthy"],
  ] as const)("calls a report by the worst of it: %p is %s", (codes, lastReport) => {
    const one = entry(codes.map((code) => found(code)));
    expect(fold(met(), one).node.health.lastReport).toBe(lastReport);
  });

  test("calls a report by itself, whatever is held", () => {
    const { node } = fold(met(), entry([found(48)]));
    expect(fold(node, entry([])).node.health.lastReport).toBe("unhealthy");
    const next = fold(node, entry([found(13)])).node.health;
    expect([next.lastReport, next.verdict]).toEqual(["healthy", "unhealthy"]);
  });

  test("of an older boot is history, unless it says that the machine is bad for good", () => {
    const old = { boot_id: BEFORE as BootId };
    const history = fold(met(), entry([found(48, old)])).node.health;
    expect([history.held.length, history.lastReport, history.verdict]).toEqual([
      0,
      "healthy",
      "unknown",
    ]);
    const bad = fold(met(), entry([found(79, old)])).node.health;
    expect([bad.held.length, bad.lastReport]).toEqual([1, "unhealthy"]);
    // What is history keeps nothing of the same report from counting.
    const both = fold(met(), entry([found(48, old), found(63)])).node.health;
    expect(both.held.map(({ key }) => key)).toEqual(["xid/63/GPU-0"]);
  });

  test("about another machine's device is counted, and never judged", () => {
    const foreign = found(79, { foreign: true });
    const one = entry([foreign, found(63)]);
    const { node, matches } = fold(met(), one);
    expect(matches).toEqual([{ rule: "r63", result: "degraded" }]);
    expect(node.health.held).toHaveLength(1);
    expect(fold(met(), entry([foreign])).node.health.lastReport).toBe("unknown");
  });

  test("notes the rules that it was judged by, only while anything is held", () => {
    expect(fold(met(), entry([found(48)])).node.health.basis).toBe(POLICY.policy.hash);
    expect("basis" in fold(met(), entry([found(13)])).node.health).toBe(false);
    expect("aside" in fold(met(), entry([found(48)])).node.health).toBe(false);
    expect(fold(met(), entry([found(31)])).node.health.basis).toBe(POLICY.policy.hash);
    const emptied = withHealth(met(), { aside: [] });
    expect(fold(emptied, entry([])).node.health.aside).toEqual([]);
  });
});

describe("foldEntry() of rules that do not decide", () => {
  test("keeps aside what they would hold, and says so once a rule", () => {
    const { node, shadows, events } = fold(
      met(),
      entry([found(31), found(31, { gpu_uuid: "GPU-1" })]),
    );
    expect(shadows).toEqual([
      { rule: "r31", result: "unhealthy" },
      { rule: "r31", result: "unhealthy" },
    ]);
    expect(node.health.held).toEqual([]);
    expect(node.health.aside?.map(({ key }) => key)).toEqual(["xid/31/GPU-0", "xid/31/GPU-1"]);
    const told = events.filter(({ message }) => message.startsWith("shadow rule"));
    expect(told).toHaveLength(1);
    expect(told[0]?.message).toStartWith("shadow rule r31 would say unhealthy: XID 31");
    const again = fold(node, entry([found(31)])).events;
    expect(again.some(({ message }) => message.startsWith("shadow rule"))).toBe(false);
    const other = fold(node, entry([found(32)])).events;
    expect(other.some(({ message }) => message.startsWith("shadow rule r32"))).toBe(true);
  });

  test("keeps aside nothing that they call healthy, nor history", () => {
    const old = { boot_id: BEFORE as BootId };
    const aside = (one: InboxEntry) => fold(met(), one).node.health.aside;
    expect(aside(entry([found(33)]))).toBeUndefined();
    expect(aside(entry([found(31, old)]))).toBeUndefined();
    expect(aside(entry([found(32, old)]))).toHaveLength(1);
    expect(aside(entry([found(31, old), found(31)]))).toHaveLength(1);
    expect(aside(entry([found(33), found(31)]))?.map(({ key }) => key)).toEqual(["xid/31/GPU-0"]);
  });

  test("tells of history no more than it keeps it, and of what is bad for good each time", () => {
    const old = { boot_id: BEFORE as BootId };
    const told = (one: InboxEntry) =>
      said(met(), one).filter(([, message]) => message.startsWith("shadow rule")).length;
    expect(told(entry([found(31, old)]))).toBe(0);
    expect(told(entry([found(32, old)]))).toBe(1);
    expect(told(entry([found(31)]))).toBe(1);
  });

  test("lets go of it by the same signs as of what is held", () => {
    let { node } = fold(met(), entry([found(31)]));
    for (let i = 1; i <= 4; i++) node = fold(node, entry([], checked()), START + i).node;
    expect(node.health.aside).toEqual([]);
  });
});

describe("foldEntry() of a check", () => {
  const sick = fold(met(), entry([found(48)])).node;

  test("says when it was, and whether it was clean", () => {
    const clean = fold(met(), entry([], checked())).node.health;
    expect(clean).toMatchObject({
      lastCheckAt: START,
      lastCheckClean: true,
      verdict: "healthy",
      lastReport: "healthy",
    });
    const dirty = fold(met(), entry([], checked(["thermal/limit/GPU-0"]))).node.health;
    expect(dirty).toMatchObject({ lastCheckAt: START, lastCheckClean: false });
  });

  test("that learned nothing changes nothing", () => {
    const before = met().health;
    expect(fold(met(), entry([], checked([], false))).node.health).toEqual(before);
    expect(fold(met(), entry([])).node.health).toEqual(before);
  });

  test("ends the run of a node that is well, and no other report does", () => {
    const run = withHealth(met(), { unhealthyRun: 3, lastCheckAt: 5, verdict: "healthy" });
    expect(fold(run, entry([], checked())).node.health.unhealthyRun).toBe(0);
    expect(fold(run, entry([found(13)])).node.health.unhealthyRun).toBe(3);
    expect(fold(run, entry([])).node.health).toMatchObject({ unhealthyRun: 3, verdict: "healthy" });
  });

  test("counts what is still held, a burst once", () => {
    const at = (ms: number) =>
      fold(sick, entry([], checked()), START + ms).node.health.unhealthyRun;
    expect([at(0), at(4_999), at(5_000)]).toEqual([1, 1, 2]);
    // Nothing was heard of its health: nothing is counted.
    expect(fold(sick, entry([]), START + 60_000).node.health.unhealthyRun).toBe(1);
  });

  test("is what ends a hold that lasts a time, and no other report does", () => {
    const timed = fold(met(), entry([found(43)])).node;
    expect(fold(timed, entry([]), START + 90_000).node.health.held).toHaveLength(1);
    expect(fold(timed, entry([found(13)]), START + 90_000).node.health.held).toHaveLength(1);
    expect(fold(timed, entry([], checked()), START + 59_999).node.health.held).toHaveLength(1);
    expect(fold(timed, entry([], checked()), START + 60_000).node.health.held).toHaveLength(0);
  });

  test("after a reset lets go of what a reset fixes", () => {
    const agent = { ...agentOf(), bootId: BEFORE as BootId };
    const old = fold(
      met({ agent }),
      entry([found(48, { boot_id: BEFORE as BootId })], { bootId: BEFORE }),
    );
    expect(old.node.health.held).toHaveLength(1);
    const back = fold(old.node, entry([]), START + 1).node;
    expect(back.health.held[0]?.resetSeen).toBe(true);
    const well = fold(back, entry([], checked()), START + 2).node.health;
    expect([well.held, well.verdict]).toEqual([[], "healthy"]);
    // Without a reset a clean check lets it stand.
    expect(fold(sick, entry([], checked()), START + 2).node.health.held).toHaveLength(1);
    expect(fold(sick, entry([]), START + 1).node.health.held[0]?.resetSeen).toBe(false);
  });
});

describe("countUnhealthy()", () => {
  const { health } = met();
  test.each([
    ["the first", { unhealthyRun: 0, lastCountedAt: START - 1 }, 1],
    ["one 4,999 ms later", { unhealthyRun: 2, lastCountedAt: START - 4_999 }, 2],
    ["one 5 s later", { unhealthyRun: 2, lastCountedAt: START - 5_000 }, 3],
    ["one at the same instant", { unhealthyRun: 1, lastCountedAt: START }, 1],
    ["one under a clock that was set back", { unhealthyRun: 1, lastCountedAt: START + 1 }, 2],
  ])("%s", (_what, before, run) => {
    const after = countUnhealthy({ ...health, ...before }, START);
    expect(after.unhealthyRun).toBe(run);
    const counted = run > before.unhealthyRun;
    expect(after.lastCountedAt).toBe(counted ? START : before.lastCountedAt);
  });
});

test("foldEntry() tells of a condition that cannot be evaluated", () => {
  const broken = policy(
    `rules:\n  - { name: odd, condition: "event.metrics.nothing > 3", result: unhealthy }\n` +
      `  - { name: rest, condition: "true", result: healthy }\n`,
  );
  const { policyErrors } = foldEntry(met(), entry([found(48)]), START, {
    policy: broken,
    labels: {},
  });
  expect(policyErrors.map((one) => one.rule)).toEqual(["odd"]);
});

test("foldEntry() forgets what a person dropped once a conclusive check lists it no longer", () => {
  const before = nodeOf("n", { agent: agentOf() });
  const dropped = ["ecc/dbe/GPU-0", "x/y/node"];
  const sick: Node = { ...before, health: { ...before.health, dropped } };
  const after = (more: Partial<InboxEntry>): readonly string[] | undefined =>
    foldEntry(sick, entry([], more), START, { policy: POLICY, labels: {} }).node.health.dropped;
  expect(after({})).toEqual(["ecc/dbe/GPU-0", "x/y/node"]);
  expect(after(checked([], false))).toEqual(["ecc/dbe/GPU-0", "x/y/node"]);
  expect(after(checked(["ecc/dbe/GPU-0"]))).toEqual(["ecc/dbe/GPU-0"]);
  expect(after(checked())).toEqual([]);
});
