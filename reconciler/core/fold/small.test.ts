/** The short steps of folding, each at both sides of its limits. */
import { waitMs } from "../../../schema/millis.ts";
import { describe, expect, test } from "bun:test";
import type { OperationId } from "../../../schema/id.ts";
import type { Node, Phase } from "../../../schema/node.ts";
import { endingOf, goneOf, NOW, settingOf } from "../../../test/world/ask.ts";
import {
  agentOf,
  heldOf,
  kubeOf,
  nodeOf,
  poolStateOf,
  sessionOf,
  sickOf,
  unboughtOf,
} from "../../../test/world/part.ts";
import { timingOf } from "../fleet.ts";
import { discredit } from "./rejudge.ts";
import { judgeForget } from "./forget.ts";
import { isNewRefusal, refuseMark, markRefused } from "./mark.ts";
import { OPEN_MAX_MS, patience } from "../turn/backoff.ts";
import { foldPresence } from "./presence.ts";
import { stepUnready } from "./unready.ts";

const HOUR_MS = 3_600_000;

test("patience() is what was asked, and no more than a rest can say", () => {
  const asked = (ms: number, maxMs?: number): number | null => patience(waitMs(ms), maxMs);
  expect(patience(null)).toBeNull();
  expect(asked(5)).toBe(5);
  expect(asked(6 * HOUR_MS)).toBe(6 * HOUR_MS);
  expect(asked(6 * HOUR_MS + 1)).toBe(6 * HOUR_MS);
  expect(asked(HOUR_MS, OPEN_MAX_MS)).toBe(600_000);
});

describe("a mark that the API server refuses", () => {
  const refused = (refusals: number, message = "no", what = "cordon") =>
    kubeOf({ refusals, refusal: { what, message, since: 1, at: 2 } });

  test("is kept with its beginning, cut to what is stored", () => {
    expect(refuseMark(kubeOf(), "cordon", { message: "no" }, 9)).toEqual(
      kubeOf({ refusals: 1, refusal: { what: "cordon", message: "no", since: 9, at: 9 } }),
    );
    expect(refuseMark(refused(1), "cordon", { message: "never" }, 9).refusal).toEqual({
      what: "cordon",
      message: "never",
      since: 1,
      at: 9,
    });
    expect(refuseMark(refused(1), "uncordon", { message: "no" }, 9).refusal?.since).toBe(9);
    expect(
      refuseMark(kubeOf(), "cordon", { message: "x".repeat(601) }, 9).refusal?.message,
    ).toHaveLength(600);
    expect(markRefused(kubeOf(), "cordon", "no")).toBe("Kubernetes does not cordon Node k: no");
  });

  test("is recorded ever more rarely, and at once if its reason changes", () => {
    const recorded = Array.from({ length: 70 }, (_, i) => i).filter((i) =>
      isNewRefusal(refused(i), "cordon", "no"),
    );
    expect(recorded).toEqual([0, 1, 3, 7, 15, 31, 63]);
    expect(isNewRefusal(refused(4), "cordon", "other")).toBe(true);
    expect(isNewRefusal(refused(4), "uncordon", "no")).toBe(true);
    expect(isNewRefusal(kubeOf({ refusals: 4 }), "cordon", "no")).toBe(true);
    expect(isNewRefusal(refused(33), "cordon", "other")).toBe(false);
    expect(isNewRefusal(refused(32), "cordon", "other")).toBe(false);
    expect(isNewRefusal(refused(30), "cordon", "other")).toBe(true);
    const long = "x".repeat(601);
    expect(isNewRefusal(refused(4, long.slice(0, 600)), "cordon", long)).toBe(false);
  });
});

test("stepUnready() stores why no machine can be set up, and forgets it when it ends", () => {
  const state = poolStateOf(1);
  const unready = { ...state, unready: { why: "no key", since: 3 } };
  const step = (of: typeof state | undefined, said: string | null, known = true) => {
    const why = { code: "key_unusable", said: said ?? "" } as const;
    return stepUnready(of, said === null ? null : { why, known }, { now: 9 });
  };
  const about = {
    at: 9,
    node: null,
    pool: state.name,
    session: null,
    actor: "navarch",
    kind: "pool.condition",
  } as const;
  expect(step(undefined, "no key")).toBeNull();
  expect(step(state, "no key", false)).toBeNull();
  expect(step(state, null)).toBeNull();
  expect(step(unready, "no key")).toBeNull();
  expect(step(state, "no key")).toEqual({
    pool: { ...state, unready: { why: "no key", since: 9 } },
    events: [{ ...about, message: "no machine can be set up, so none is bought: no key" }],
  });
  expect(step(unready, "bad key")?.pool.unready).toEqual({ why: "bad key", since: 3 });
  expect(step(unready, null)).toEqual({
    pool: { ...state, unready: null },
    events: [{ ...about, message: "machines can be set up again; resolved: no key" }],
  });
});

describe("judgeForget()", () => {
  const silent = (over: Partial<Node> = {}): Node => {
    const node = unboughtOf("n", over);
    return { ...node, health: { ...node.health, silentSince: 1 } };
  };
  const judge = (node: Node, silentMs: number | null = 30_000) => {
    const said = judgeForget(node, { silentMs, heartbeatTimeoutMs: 30_000, isStranded: false });
    return said.kind === "refused" ? said.message : said.kind;
  };
  test("is legal for a silent unmanaged machine", () => {
    expect(judge(silent())).toBe("legal");
    expect(judge(silent(), null)).toBe("legal");
    expect(judge(silent({ kube: kubeOf() }))).toBe("legal");
    expect(judge(silent({ kube: kubeOf({ isolatedUid: "uid-1", absentSince: 1 }) }))).toBe("legal");
    expect(judge(silent(), 29_999)).toBe(
      "node n still reports (last 30 s ago): stop its agent first",
    );
    const unheard = "node n has not been silent for 30 s yet: stop its agent, then ask again";
    expect(judge(unboughtOf("n"))).toBe(unheard);
    expect(judge(unboughtOf("n"), null)).toBe(unheard);
    expect(judge(nodeOf("n"))).toBe(
      "node n was bought by this fleet: terminate it, and its record goes by itself",
    );
    expect(judge(silent({ operation: "o" as OperationId }))).toBe(
      "node n is being changed right now: ask again in a moment",
    );
    expect(judge(silent({ kube: kubeOf({ isolatedUid: "uid-1" }) }))).toBe(
      "node n cannot be forgotten: its Node k in Kubernetes still has Navarch's cordon; delete the Node, or uncordon it first",
    );
  });
});

describe("discredit()", () => {
  const said = (agent: string | null, code = 48, key = "k") => heldOf({}, { code }, { agent, key });
  const node = (held = [said("0.9")], over: Partial<Node["health"]> = {}) => {
    const sick = sickOf("n", { agent: agentOf({}, "1.0") }, held);
    return { ...sick, health: { ...sick.health, unhealthyRun: 3, ...over } };
  };
  const after = (of: Node) => discredit(of, new Set(["0.9"]), 9)?.node.health;
  test("lets go of what another version said", () => {
    expect(after(node())).toMatchObject({ held: [], verdict: "unknown", unhealthyRun: 0 });
    expect(after(node([said("0.9")], { lastCheckAt: 5 }))).toMatchObject({ verdict: "healthy" });
    expect(after(node([said("0.9")], { silentSince: 5 }))?.unhealthyRun).toBe(3);
    const rest = [said("0.9"), said("1.0", 48, "other")];
    expect(after(node(rest))).toMatchObject({
      held: rest.slice(1),
      verdict: "unhealthy",
      unhealthyRun: 3,
    });
    expect(after(node([said("0.8")]))).toBeUndefined();
    expect(after(node([said(null)]))).toBeUndefined();
    expect(after(node([said("0.9", 79)]))).toBeUndefined();
    expect(after({ ...node(), agent: null })).toBeUndefined();
    expect(after({ ...node(), agent: agentOf({}, "0.9") })).toBeUndefined();
  });
});

describe("foldPresence()", () => {
  const timing = {
    ...timingOf(settingOf({})),
    heartbeatTimeoutMs: 30_000,
    checkIntervalMs: 10_000,
  };
  const fold = (node: Node, silentMs: number | null, heard = false) =>
    foldPresence(node, silentMs, heard, NOW, timing);
  const silent = (node: Node) => ({ ...node, health: { ...node.health, silentSince: 5 } });
  const about = {
    at: NOW,
    node: nodeOf("n").id,
    pool: nodeOf("n").pool,
    session: null,
    actor: "navarch",
  };

  test("tells silence and its end, once", () => {
    const node = nodeOf("n");
    expect(fold(node, 30_000)).toBeNull();
    expect(fold(node, null)).toBeNull();
    expect<unknown>(fold(node, 30_001)).toEqual({
      node: { ...node, health: { ...node.health, silentSince: NOW - 30_001 } },
      events: [{ ...about, kind: "node.silent", message: "no heartbeat for 30 s" }],
    });
    expect(fold(silent(node), 99_000)).toBeNull();
    expect(fold(silent(node), 5)).toBeNull();
    expect(fold(node, 5, true)).toBeNull();
    expect<unknown>(fold(silent(node), 5, true)).toEqual({
      node,
      events: [{ ...about, kind: "node.heard", message: "heartbeats are back" }],
    });
    const session = sessionOf();
    expect(fold(nodeOf("n", { session }), 30_001)?.events[0]?.session).toBe(session.id);
  });

  test.each<[Phase, boolean]>([
    [{ kind: "requested", since: 0, attempt: 1, notBefore: 0, refusal: null }, false],
    [{ kind: "booting", since: 0 }, false],
    [{ kind: "bootstrapping", since: 0, attempt: 1 }, false],
    [endingOf(), false],
    [goneOf("lost"), false],
    [{ kind: "verifying", since: 0 }, true],
    [{ kind: "suspect", since: 0 }, true],
    [{ kind: "held", since: 0, heldBy: "", why: "" }, true],
  ])("watches %p: %p", (phase, watched) => {
    expect(fold(nodeOf("n", { phase }), 30_001) !== null).toBe(watched);
    expect(fold(nodeOf("n", { phase, agent: null }), 30_001)).toBeNull();
  });

  test("counts proof by its own clock, where a dead agent checks no more", () => {
    const proof = (agoMs: number, held = [heldOf({ definitive: true })]) => {
      const node = sickOf("n", {}, held);
      return fold(
        { ...node, health: { ...node.health, lastCountedAt: NOW - agoMs, unhealthyRun: 1 } },
        null,
      );
    };
    expect(proof(10_000)?.node.health).toMatchObject({ unhealthyRun: 2, lastCountedAt: NOW });
    expect(proof(10_000)?.events).toEqual([]);
    expect(proof(9_999)).toBeNull();
    expect(proof(10_000, [heldOf()])).toBeNull();
    expect(proof(10_000, [heldOf({ definitive: true, result: "degraded" }), heldOf()])).toBeNull();
  });
});
