/** Rules that change under nodes held by them, and rules that are asked and do not count. */
import { describe, expect, test } from "bun:test";
import * as v from "valibot";
import { type CompiledPolicy, compilePolicy } from "../../../health/policy/compile.ts";
import { Finding } from "../../../schema/finding.ts";
import { BootId, NodeId, PoolName, StreamId } from "../../../schema/id.ts";
import { Node } from "../../../schema/node.ts";
import { readPolicy } from "../../config/policy.ts";
import { agentOf, gpuOf, heldOf, nodeOf } from "../../../test/world/part.ts";
import type { InboxEntry } from "../store.ts";
import { foldEntry } from "./inbox-entry.ts";
import { newNode } from "./new-node.ts";
import { type JudgeContext, policyNodeOf, rejudgeNode, verdictEvents } from "./rejudge.ts";

const START = Date.parse("2026-03-01T10:00:00Z");
const BOOT = v.parse(BootId, "b1");

const policy = (text: string): CompiledPolicy => {
  const { policy: read, problems } = readPolicy({ name: "p.yaml", text });
  if (read === null) throw new Error(JSON.stringify(problems));
  const answer = compilePolicy(read);
  if (!answer.ok) throw new Error(JSON.stringify(answer.problems));
  return answer.compiled;
};

const rule = (name: string, codes: string, more: string): string =>
  `  - { name: ${name}, condition: "event.metrics.xid_code in ${codes}", ${more} }\n`;
const LONG = "result: unhealthy, hold: until_reset";
const LAST = `  - { name: rest, condition: "true", result: healthy }\n`;

const BAD = policy(`rules:\n${rule("app", "[13, 48]", LONG)}${LAST}`);
const FIXED = policy(`rules:\n${rule("app", "[48]", LONG)}${LAST}`);

let seq = 0;

function entry(codes: readonly number[], isCheck = false): InboxEntry {
  const at = new Date(START).toISOString();
  return {
    node: v.parse(NodeId, "n1"),
    bootId: BOOT,
    stream: v.parse(StreamId, "s1"),
    agentVersion: "1",
    simulated: true,
    inventory: null,
    check: isCheck
      ? { at, conclusive: true, probes: [], expected_gpus: 8, present_gpus: 8, active: [] }
      : null,
    findings: codes.map((code) => ({
      seq: ++seq,
      finding: v.parse(Finding, {
        kind: "xid",
        code,
        gpu_index: 0,
        gpu_uuid: "GPU-0",
        at,
        boot_id: BOOT,
        severity: "warning",
        message: `xid ${code}`,
        source: "sim",
      }),
    })),
    gaps: [],
    results: [],
  };
}

const fresh = (): Node =>
  newNode({
    id: v.parse(NodeId, "n1"),
    pool: v.parse(PoolName, "p"),
    slot: 0,
    gen: 1,
    at: START,
    replaces: null,
  });

const context = (compiled: CompiledPolicy, quarantined?: ReadonlySet<string>): JudgeContext => ({
  policy: compiled,
  labels: {},
  ...(quarantined === undefined ? {} : { quarantined }),
});

function told(codes: readonly number[], by: JudgeContext, from = fresh(), at = START) {
  return foldEntry(from, entry(codes), at, by);
}

const keyOf = (compiled: CompiledPolicy, name: string): string =>
  compiled.rules.find((one) => one.rule.name === name)?.key ?? "";

describe("rejudgeNode()", () => {
  test("rejudgeNode() frees a node of what a fixed rule no longer says, and tells it", () => {
    const checked = foldEntry(fresh(), entry([], true), START - 60_000, context(BAD)).node;
    const { node } = told([13], context(BAD), checked);
    expect([node.health.verdict, node.health.unhealthyRun]).toEqual(["unhealthy", 1]);
    const freed = rejudgeNode(node, context(FIXED), START + 1_000);
    expect(freed?.node.health.verdict).toBe("healthy");
    expect(freed?.node.health.unhealthyRun).toBe(0);
    expect(freed?.events.map((e) => [e.kind, e.message])).toEqual([
      ["node.health", "judged again by other rules: unhealthy → healthy: no evidence is held"],
    ]);
    // Stored and read back as it is.
    expect(v.parse(Node, JSON.parse(JSON.stringify(freed?.node)))).toEqual(freed?.node as Node);
    expect(rejudgeNode(freed?.node ?? node, context(FIXED), START + 2_000)).toBeNull();
  });

  test("rejudgeNode() has nothing to say without evidence, or under the same rules", () => {
    expect(rejudgeNode(fresh(), context(BAD), START)).toBeNull();
    expect(rejudgeNode(told([], context(BAD)).node, context(FIXED), START)).toBeNull();
    expect(rejudgeNode(told([48], context(BAD)).node, context(BAD), START)).toBeNull();
  });

  test("rejudgeNode() leaves a node alone that is gone, or that no agent speaks for", () => {
    const { node } = told([13], context(BAD));
    expect(rejudgeNode(node, context(FIXED), START)).not.toBeNull();
    const gone = { kind: "gone", since: 1, purpose: "replace" } as const;
    expect(rejudgeNode({ ...node, phase: gone }, context(FIXED), START)).toBeNull();
    expect(rejudgeNode({ ...node, agent: null }, context(FIXED), START)).toBeNull();
  });

  test("verdictEvents() names what decided, and the change unless it is bad", () => {
    const before = fresh();
    const mild = heldOf({ result: "degraded", because: "hot" });
    const bad = heldOf({ because: "XID 79" });
    const said = (verdict: "degraded" | "unhealthy" | "unknown" | "healthy") => {
      const after = { ...before.health, verdict, held: [mild, bad] };
      return verdictEvents(before, after, START).map(({ kind, message }) => [kind, message]);
    };
    expect(said("unhealthy")).toEqual([["node.unhealthy", "XID 79"]]);
    expect(said("degraded")).toEqual([["node.health", "unknown → degraded: hot"]]);
    expect(said("healthy")).toEqual([["node.health", "unknown → healthy: no evidence is held"]]);
    expect(said("unknown")).toEqual([]);
  });

  test("policyNodeOf() shows a condition the node, its pool's labels above its own", () => {
    const inventory = { gpus: [gpuOf(0)], driver_version: "570", labels: { rack: "a", own: "1" } };
    const node = nodeOf("n1", { agent: agentOf(inventory) });
    const seen = (one: Node, agent = agentOf(inventory)) => policyNodeOf(one, agent, { rack: "b" });
    expect(seen(node)).toEqual({
      id: node.id,
      pool: "p",
      labels: { rack: "b", own: "1" },
      gpu_count: 1,
      driver_version: "570",
      fake: false,
    });
    expect(seen({ ...node, pool: null }, { ...agentOf(), simulated: true })).toMatchObject({
      pool: "",
      driver_version: "",
      fake: true,
    });
  });

  test("rejudgeNode() follows a quarantine there and back", () => {
    const { node } = told([48], context(BAD));
    const quarantined = new Set([keyOf(BAD, "app")]);
    const freed = rejudgeNode(node, context(BAD, quarantined), START)?.node ?? node;
    expect(freed.health.verdict).not.toBe("unhealthy");
    const back = rejudgeNode(freed, context(BAD), START);
    expect(back?.node.health.verdict).toBe("unhealthy");
    expect(back?.events.map((e) => e.kind)).toEqual(["node.unhealthy"]);
  });
});

describe("foldEntry() with rules that do not decide", () => {
  test("foldEntry() judges what is held by the rules of now, without being told to", () => {
    const { node } = told([13], context(BAD));
    const next = foldEntry(node, entry([], true), START + 10_000, context(FIXED));
    expect(next.node.health.verdict).toBe("healthy");
  });

  test("foldEntry() records what a quarantined rule would say, with one event a stretch", () => {
    const by = context(BAD, new Set([keyOf(BAD, "app")]));
    const first = told([48], by);
    expect(first.node.health.verdict).not.toBe("unhealthy");
    expect(first.shadows).toEqual([{ rule: "app", result: "unhealthy" }]);
    expect(first.matches).toEqual([{ rule: "rest", result: "healthy" }]);
    const shadow = (events: readonly { message: string }[]): string[] =>
      events.flatMap((e) => (e.message.startsWith("shadow rule") ? [e.message] : []));
    expect(shadow(first.events)[0]).toStartWith("shadow rule app would say unhealthy: XID 48");
    const second = told([48, 13], by, first.node, START + 1_000);
    expect(second.shadows.length).toBe(2);
    expect(shadow(second.events)).toEqual([]);
    expect(second.node.health.aside?.map((h) => [h.key, h.count])).toEqual([
      ["xid/48/GPU-0", 2],
      ["xid/13/GPU-0", 1],
    ]);
  });
});
