import { describe, expect, test } from "bun:test";
import type { NodeId } from "../../../schema/id.ts";
import { type AgentFact, type Origin, TOKEN_UNCHECKED } from "../../../schema/node.ts";
import { VirtualClock } from "../../../simulator/engine/clock.ts";
import type { PodReview } from "../../core/kubernetes/scheduler.ts";
import { PodTokens } from "./pod-token.ts";

const id = (name: string): NodeId => name as NodeId;
const proven = (node: string): PodReview => ({ kind: "proven", pod: { node, uid: `uid-${node}` } });
const AWAY: PodReview = { kind: "unknown", problem: "its pod token cannot be checked: away" };

/** Tokens are called after the Node of their pod. */
function open(answer: (token: string) => Promise<PodReview> = async (token) => proven(token)) {
  const clock = new VirtualClock();
  const asked: { token: string; at: number }[] = [];
  const logs: string[] = [];
  const agents = new Map<NodeId, AgentFact>();
  const tokens = new PodTokens({
    review(token) {
      asked.push({ token, at: clock.monoMs() });
      return answer(token);
    },
    agent: (node) => agents.get(node) ?? null,
    clock,
    log: (level, message, fields) => void logs.push(JSON.stringify({ level, message, fields })),
  });
  /** An agent whose registration is stored, with what was known of its origin. */
  const stored = (name: string, origin?: Partial<Origin>): NodeId => {
    const inventory = { capabilities: ["pod_token"] };
    const from = { address: null, vouched: false, pod: null, ...origin };
    const fact = { inventory, ...(origin === undefined ? {} : { origin: from }) };
    agents.set(id(name), fact as unknown as AgentFact);
    return id(name);
  };
  return { clock, asked, logs, tokens, stored };
}

describe("PodTokens", () => {
  test("proves the Node of the token's pod, and nothing until the review is back", async () => {
    const { tokens, clock } = open();
    tokens.registered(id("gpu-1"), "gpu-1", "gpu-1");
    expect(tokens.of(id("gpu-1"))).toEqual({ pod: null, tokenProblem: TOKEN_UNCHECKED });
    await clock.pass(1);
    const pod = { node: "gpu-1", uid: "uid-gpu-1" };
    expect(tokens.of(id("gpu-1"))).toEqual({ pod, tokenProblem: null });
  });

  test("takes a bought machine's token under the name of its Node", async () => {
    const { tokens, clock, stored } = open();
    tokens.registered(stored("n-7"), "gpu-1", "gpu-1");
    await clock.pass(1);
    expect(tokens.of(id("n-7"))?.pod?.node).toBe("gpu-1");
  });

  test("takes no token of another Node's pod, and says so without repeating the token", async () => {
    const { tokens, clock, logs, stored } = open();
    const pod = { node: "thief", uid: "uid-thief" };
    tokens.registered(stored("thief", { pod }), "thief", "gpu-1");
    // What was known before counts until then.
    expect(tokens.of(id("thief"))).toEqual({ pod, tokenProblem: null });
    await clock.pass(1);
    const tokenProblem = "its pod token is of Node gpu-1";
    expect(tokens.of(id("thief"))).toEqual({ pod: null, tokenProblem });
    expect(logs).toEqual([
      JSON.stringify({
        level: "warn",
        message: "an agent's service-account token is not accepted",
        fields: { node: "thief", why: tokenProblem },
      }),
    ]);
  });

  test("keeps an earlier proof while the server does not say, and makes none", async () => {
    const { tokens, clock, logs, stored } = open(async () => AWAY);
    const pod = { node: "gpu-1", uid: "uid-gpu-1" };
    tokens.registered(stored("gpu-1", { pod }), "gpu-1", "gpu-1");
    tokens.registered(stored("gpu-2"), "gpu-2", "gpu-2");
    await clock.pass(1_000);
    expect(tokens.of(id("gpu-1"))).toEqual({ pod, tokenProblem: AWAY.problem });
    expect(tokens.of(id("gpu-2"))).toEqual({ pod: null, tokenProblem: AWAY.problem });
    expect(logs).toHaveLength(1);
  });

  test("has one agent at a time register again until the server says something", async () => {
    let answer: PodReview = AWAY;
    const { tokens, clock, asked, stored } = open(async (token) => {
      return answer.kind === "unknown" ? answer : proven(token);
    });
    const all = Array.from({ length: 50 }, (_, n) => stored(`gpu-${n}`));
    for (const one of all) tokens.registered(one, one, one);
    await clock.pass(100);
    const before = asked.length;
    expect(before).toBeLessThanOrEqual(4);
    const round = async (): Promise<void> => {
      for (const one of all) if (tokens.wants(one)) tokens.registered(one, one, one);
      await clock.pass(10_000);
    };
    for (let i = 0; i < 18; i++) await round();
    expect(asked.length - before).toBeLessThanOrEqual(6);
    answer = proven("");
    for (let i = 0; i < 60; i++) await round();
    for (const one of all) expect(tokens.of(one)?.pod?.node).toBe(one);
    expect(all.filter((one) => tokens.wants(one))).toEqual([]);
  });

  test("paces 10,000 agents that register at once, and forgets none of them", async () => {
    const { tokens, clock, asked, stored } = open();
    const all = Array.from({ length: 10_000 }, (_, n) => stored(`gpu-${n}`));
    for (const one of all) tokens.registered(one, one, one);
    // Each reports every 10 s.
    for (let step = 0; step < 12_000; step++) {
      const from = (step * 40) % all.length;
      for (const one of all.slice(from, from + 40)) {
        if (tokens.wants(one)) tokens.registered(one, one, one);
      }
      await clock.pass(40);
    }
    expect(asked).toHaveLength(10_000);
    expect(all.filter((one) => tokens.of(one)?.pod?.node !== one)).toEqual([]);
    const perSecond = new Map<number, number>();
    for (const { at } of asked) {
      const second = Math.floor(at / 1_000);
      perSecond.set(second, (perSecond.get(second) ?? 0) + 1);
    }
    expect(Math.max(...perSecond.values())).toBeLessThanOrEqual(26);
  }, 60_000);

  test("asks for no more than four at once", async () => {
    const waiting: (() => void)[] = [];
    const { tokens, clock, asked } = open(
      (token) => new Promise((resolve) => waiting.push(() => resolve(proven(token)))),
    );
    for (let i = 0; i < 10; i++) tokens.registered(id(`gpu-${i}`), `gpu-${i}`, `gpu-${i}`);
    await clock.pass(10_000);
    expect(asked).toHaveLength(4);
    waiting[0]?.();
    await clock.pass(10_000);
    expect(asked).toHaveLength(5);
  });

  test("asks once for an agent that registers again and again with one token", async () => {
    const { tokens, clock, asked } = open();
    for (let i = 0; i < 20; i++) {
      tokens.registered(id("gpu-1"), "gpu-1", "gpu-1");
      await clock.pass(1_000);
    }
    expect(asked).toHaveLength(1);
    await clock.pass(60_000);
    tokens.registered(id("gpu-1"), "gpu-1", "gpu-1");
    expect(asked).toHaveLength(2);
    // A review of one agent's token counts for no other.
    tokens.registered(id("thief"), "thief", "gpu-1");
    await clock.pass(1_000);
    expect(tokens.of(id("thief"))?.pod).toBeNull();
  });

  test("lets one agent with ever new tokens keep no other from its turn", async () => {
    const { tokens, clock } = open();
    for (let i = 0; i < 200; i++) tokens.registered(id("loud"), "loud", `other-${i}`);
    tokens.registered(id("gpu-1"), "gpu-1", "gpu-1");
    await clock.pass(200);
    expect(tokens.of(id("gpu-1"))?.pod?.node).toBe("gpu-1");
  });

  test("counts the newest registration, whichever review comes back first", async () => {
    const waiting: (() => void)[] = [];
    const { tokens, clock } = open(
      (token) => new Promise((resolve) => waiting.push(() => resolve(proven(token)))),
    );
    tokens.registered(id("gpu-1"), "gpu-1", "other");
    await clock.pass(100);
    tokens.registered(id("gpu-1"), "gpu-1", "gpu-1");
    await clock.pass(100);
    for (const answer of waiting.reverse()) answer();
    await clock.pass(100);
    expect(tokens.of(id("gpu-1"))).toMatchObject({ pod: { node: "gpu-1" } });
  });

  test("wants() a token that an earlier process did not get to, and one refused long ago", async () => {
    const { tokens, clock, stored } = open(async () => ({ kind: "refused", problem: "no" }));
    expect(tokens.wants(stored("gpu-1", {}))).toBe(true);
    await clock.pass(1_000);
    const pod = { node: "gpu-2", uid: "u" };
    expect(tokens.wants(stored("gpu-2", { pod }))).toBe(false);
    tokens.registered(id("gpu-1"), "gpu-1", "gpu-1");
    await clock.pass(60_000);
    expect(tokens.wants(id("gpu-1"))).toBe(false);
    await clock.pass(600_000);
    expect(tokens.wants(id("gpu-1"))).toBe(true);
    // An agent without the file, or of an earlier version, has nothing to send.
    expect(tokens.wants(id("host-1"))).toBe(false);
  });

  test("wants() no further token while one waits for its turn", async () => {
    const { tokens, clock, stored } = open();
    tokens.registered(stored("gpu-1"), "gpu-1", "gpu-1");
    tokens.registered(stored("gpu-2"), "gpu-2", "gpu-2");
    // The first one is under review; the second waits until the pace lets it.
    expect(tokens.wants(stored("gpu-3", {}))).toBe(false);
    await clock.pass(100);
    expect(tokens.wants(id("gpu-3"))).toBe(true);
  });

  test("forgets the proof of an agent that registers without a token", () => {
    const { tokens, stored } = open();
    const pod = { node: "gpu-1", uid: "uid-gpu-1" };
    tokens.registered(stored("gpu-1", { pod }), "gpu-1", null);
    expect(tokens.of(id("gpu-1"))).toEqual({ pod: null, tokenProblem: null });
  });
});
