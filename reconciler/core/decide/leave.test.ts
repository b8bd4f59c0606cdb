/** How a node leaves: each step, what it waits for, and in which words. */
import { describe, expect, test } from "bun:test";
import type { InstanceId, NodeId } from "../../../schema/id.ts";
import type { Node, Purpose } from "../../../schema/node.ts";
import {
  ask,
  stepOf,
  drainingOf,
  endingOf,
  goneOf,
  kubeSightOf,
  NOW,
  orderOf,
  OURS,
  poolOf,
  type Setting,
  settingOf,
  THEIRS,
  waitOf,
  type Told,
} from "../../../test/world/ask.ts";
import {
  heldOf,
  instanceOf,
  kubeOf,
  lastSessionOf,
  nodeOf,
  POOL,
  sessionOf,
  sickOf,
  unboughtOf,
} from "../../../test/world/part.ts";
import { decide } from "./decide.ts";
import { fleetOf, poolStateOf } from "../../../test/world/part.ts";
import { sightOf } from "../../../test/world/ask.ts";

const MIN = 60_000;
const BLIND: Setting = { sight: { blind: ["dark", "far"] } };
const FROZEN: Setting = { sight: { frozen: "move (ann)" } };
const busy = (over = {}) => ({
  left: { kind: "busy", remaining: 2, message: "2 pods", ...over } as const,
});
const unknown = (forMs: number) => ({ left: { kind: "unknown", forMs } as const });
const drained = { drainedAt: NOW - 500 };
const leaving = (over: Partial<Node> = {}, phase: Parameters<typeof drainingOf>[0] = {}) =>
  sickOf("n", { phase: drainingOf(phase), cordon: OURS, ...over });
const well = (node: Node): Node => ({
  ...node,
  health: { ...node.health, verdict: "healthy", held: [] },
});
const silent = (node: Node): Node => ({
  ...node,
  health: { ...node.health, silentSince: NOW - MIN },
});

describe("a person's order", () => {
  const ordered = (order: ReturnType<typeof orderOf>, over: Partial<Node> = {}) =>
    nodeOf("n", { order, cordon: THEIRS, ...over });

  test.each([
    ["drain", "drain operator"],
    ["terminate", "drain operator"],
    ["replace", "drain replace"],
  ] as const)("to %s drains", (goal, step) => {
    expect(stepOf(ordered(orderOf(goal)))).toBe(step);
    expect(ask(ordered(orderOf(goal))).action?.because).toEqual(["ann wants it"]);
  });

  test.each([
    ["drain", "drain operator"],
    ["terminate", "terminating operator"],
    ["replace", "terminating replace"],
  ] as const)("to %s by force skips the drain, where there is an end", (goal, step) => {
    const forced = orderOf(goal, { force: true });
    expect(stepOf(ordered(forced))).toBe(step);
    expect(stepOf(ordered(forced, { instance: null, slot: null }))).toContain("drain ");
    expect(stepOf(ordered(forced), BLIND)).toBe(step);
  });

  test("by force says so, and asks at once", () => {
    expect(ask(ordered(orderOf("terminate", { force: true }))).action).toEqual({
      kind: "advance",
      node: "n" as NodeId,
      to: endingOf("operator", { since: NOW }),
      event: "node.terminating",
      because: ["ann wants it (forced by human:ann)"],
      session: null,
    });
  });

  test("without force waits while blind", () => {
    expect(waitOf(ordered(orderOf("terminate")), BLIND)).toBe("blind: dark; far");
  });
});

describe("a drain's deadline", () => {
  const drain = {
    ...poolOf().drain,
    timeoutMs: 30 * MIN,
    fatalTimeoutMs: 10 * MIN,
    gracePeriodMs: 7,
    force: true,
  };
  const payload = (node: Node, pool: Setting["pool"] = { drain }) => {
    const { action } = ask(node, { pool });
    return action?.kind === "effect" && action.payload.kind === "drain" ? action.payload : null;
  };
  const sick = (over: Partial<Node> = {}) =>
    sickOf("n", { cordon: OURS, ...over, health: { ...sickOf("x").health, unhealthyRun: 1 } });

  test("is the pool's, shorter for what is certainly broken", () => {
    expect(payload(sick())).toEqual({
      kind: "drain",
      purpose: "replace",
      deadlineAt: NOW + 30 * MIN,
      gracePeriodMs: 7,
      force: true,
    });
    expect(payload(sick({ session: sessionOf({ definitive: true }) }))?.deadlineAt).toBe(
      NOW + 10 * MIN,
    );
    const none = { drain: { ...drain, timeoutMs: 0 } };
    expect(payload(sick(), none)?.deadlineAt).toBe(0);
  });

  test("is the order's, where it names one", () => {
    const order = (timeoutMs: number | null) =>
      nodeOf("n", { order: orderOf("drain", { timeoutMs }) });
    expect(payload(order(5_000))?.deadlineAt).toBe(NOW + 5_000);
    expect(payload(order(0))?.deadlineAt).toBe(0);
    expect(payload(order(null))?.deadlineAt).toBe(NOW + 30 * MIN);
    const broken = { ...order(null), session: sessionOf({ definitive: true }) };
    expect(payload(broken)?.deadlineAt).toBe(NOW + 30 * MIN);
  });

  test("of a node whose pool is not configured any more is half an hour", () => {
    const stray = nodeOf("n", { pool: null, order: orderOf("drain") });
    expect(payload(stray)).toEqual({
      kind: "drain",
      purpose: "operator",
      deadlineAt: NOW + 30 * MIN,
      gracePeriodMs: 5 * MIN,
      force: false,
    });
    const dead = {
      ...sick({ session: sessionOf({ definitive: true }) }),
      pool: null,
      order: orderOf("drain"),
    };
    expect(payload(dead)?.deadlineAt).toBe(NOW + 10 * MIN);
  });
});

describe("draining", () => {
  test("ends when nothing is left since it began", () => {
    const since = NOW - 1_000;
    expect(ask(leaving(), { sight: { left: { kind: "empty", seenAt: since } } }).action).toEqual({
      kind: "advance",
      node: "n" as NodeId,
      to: drainingOf({ drainedAt: NOW, emptied: true }),
      event: "node.drained",
      because: ["no work is left on it"],
      session: null,
    });
    expect(ask(leaving(), { sight: { left: { kind: "empty", seenAt: since - 1 } } }).wait).toEqual({
      reason: "drain",
      message: "waits for a process list that is newer than its cordon",
      until: null,
    });
  });

  test("remembers that it saw work, then waits for it until the deadline", () => {
    expect(ask(leaving(), { sight: busy() }).action).toMatchObject({
      to: drainingOf({ sawWork: true }),
      event: "node.draining",
      because: ["2 pods"],
    });
    const seen = (phase = {}) => leaving({}, { sawWork: true, ...phase });
    const wait = { reason: "drain", message: "2 pods" } as const;
    expect(ask(seen(), { sight: busy() }).wait).toEqual({ ...wait, until: null });
    expect(ask(seen({ deadlineAt: NOW + 5 }), { sight: busy() }).wait).toEqual({
      ...wait,
      until: NOW + 5,
    });
    const later = busy({ deadlineAt: NOW + 9 });
    expect(ask(seen({ deadlineAt: NOW + 5 }), { sight: later }).wait).toEqual({
      ...wait,
      until: NOW + 9,
    });
    expect(ask(seen(), { sight: later }).wait).toEqual({ ...wait, until: null });
  });

  test("says that a person's hold in Kubernetes stops it, unless it is ordered", () => {
    const kube = kubeOf({ hold: true });
    const held = leaving({ kube }, { sawWork: true });
    expect(waitOf(held, { sight: busy() })).toBe(
      "human: navarch.dev/hold is set on Node k; 2 pods",
    );
    expect(waitOf({ ...held, order: orderOf("drain") }, { sight: busy() })).toBe("drain: 2 pods");
  });

  test("waits while blind, whatever the deadline", () => {
    const late = leaving({}, { deadlineAt: NOW - 1 });
    expect(waitOf(late, { sight: { left: { kind: "dark", message: "no answer" } } })).toBe(
      "blind: no answer",
    );
    const kube = kubeSightOf({ dark: "API server is away" });
    expect(waitOf({ ...late, kube: kubeOf() }, { sight: { kube } })).toBe(
      "blind: API server is away",
    );
  });

  test.each([
    ["auto", "n", true, true],
    ["auto", "n", false, false],
    ["terminate", "n", false, true],
    ["hold", "n", true, false],
  ] as const)("past its deadline, on_timeout %s: %#", (onTimeout, _, unhealthy, ends) => {
    const pool = { drain: { ...poolOf().drain, onTimeout } };
    const sick = leaving({ order: orderOf("replace") }, { deadlineAt: NOW, sawWork: true });
    const node = unhealthy ? sick : well(sick);
    const { action } = ask(node, { pool, sight: busy() });
    if (ends)
      expect(action).toMatchObject({
        to: { kind: "draining", drainedAt: NOW },
        event: "node.drained",
        because: ["its drain deadline passed and its work is cut off: 2 pods"],
      });
    else
      expect(action).toEqual({
        kind: "advance",
        node: "n" as NodeId,
        to: {
          kind: "held",
          since: NOW,
          heldBy: "navarch",
          why: "its drain deadline passed with work still on it",
        },
        event: "node.held",
        because: ["its drain deadline passed with work still on it"],
        session: "held",
      });
  });

  test("past its deadline, on_timeout auto cuts no work off on a node that is degraded only", () => {
    const node = leaving({ order: orderOf("replace") }, { deadlineAt: NOW, sawWork: true });
    const degraded = { ...node, health: { ...node.health, verdict: "degraded" as const } };
    const pool = { drain: { ...poolOf().drain, onTimeout: "auto" as const } };
    expect(ask(degraded, { pool, sight: busy() }).action).toMatchObject({ event: "node.held" });
  });

  test("past its deadline without a configured pool goes by the health of the node", () => {
    const node = leaving({ pool: null }, { deadlineAt: NOW, sawWork: true });
    expect(ask(node, { sight: busy() }).action).toMatchObject({ event: "node.drained" });
    const sound = well({ ...node, order: orderOf("drain") });
    expect(ask(sound, { sight: busy() }).action).toMatchObject({ event: "node.held" });
  });

  test("is not past a deadline that the scheduler was given more time for", () => {
    const late = leaving({}, { deadlineAt: NOW, sawWork: true });
    expect(stepOf(late, { sight: busy({ deadlineAt: NOW + 1 }) })).toBeNull();
    expect(stepOf(late, { sight: busy({ deadlineAt: NOW }) })).toBe("draining replace");
    expect(stepOf(late, { sight: busy({ deadlineAt: NOW - 9 }) })).toBe("draining replace");
    expect(
      stepOf(leaving({}, { deadlineAt: NOW + 1, sawWork: true }), { sight: busy() }),
    ).toBeNull();
    const blank = leaving({}, { deadlineAt: NOW, since: NOW - 9 * MIN });
    expect(ask(blank, { sight: unknown(0) }).action?.because).toEqual([
      "its drain deadline passed and its work is cut off: the work on it is unknown",
    ]);
  });

  test("of unknown work waits a minute, then counts as drained", () => {
    const long = (forMs: number, agoMs = 9 * MIN) =>
      ask(leaving({}, { since: NOW - agoMs }), { sight: unknown(forMs) });
    expect(long(59_999).wait).toEqual({
      reason: "drain",
      message: "the work on it is unknown",
      until: NOW + 1,
    });
    expect(long(MIN).action).toMatchObject({
      event: "node.drained",
      because: ["the work on it is unknown; waited 60 s"],
    });
    // Not before it was to be drained.
    expect(long(9 * MIN, 59_999).action).toBeUndefined();
    expect(long(9 * MIN, MIN).action).toBeDefined();
    const pool = { drain: { ...poolOf().drain, unknownWaitMs: 5_000 } };
    const short = (forMs: number) =>
      stepOf(leaving({}, { since: NOW - MIN }), { pool, sight: unknown(forMs) });
    expect(short(4_999)).toBeNull();
    expect(short(5_000)).toBe("draining replace");
    const stray = leaving({ pool: null }, { since: NOW - 9 * MIN });
    expect(stepOf(stray, { sight: unknown(59_999) })).toBeNull();
    expect(stepOf(stray, { sight: unknown(60_000) })).toBe("draining replace");
  });

  test("that saw work does not take not knowing for empty", () => {
    const seen = (deadlineAt: number) =>
      leaving({}, { sawWork: true, since: NOW - 9 * MIN, deadlineAt });
    const wait = {
      reason: "drain",
      message: "work was seen on it, and whether it has ended is unknown",
    } as const;
    expect(ask(seen(0), { sight: unknown(9 * MIN) }).wait).toEqual({ ...wait, until: null });
    expect(ask(seen(NOW + 5), { sight: unknown(9 * MIN) }).wait).toEqual({
      ...wait,
      until: NOW + 5,
    });
  });

  test("is over when the machine is lost and silent, and not by the list alone", () => {
    const gone = { instance: instanceOf({ state: "terminated" }) };
    const loss = "the cloud reports instance i-1 as terminated";
    expect(ask(silent(leaving(gone)), { sight: busy() }).action).toMatchObject({
      event: "node.drained",
      because: [loss],
    });
    expect(stepOf(leaving(gone, { sawWork: true }), { sight: busy() })).toBeNull();
    expect(stepOf(silent(leaving({}, { sawWork: true })), { sight: busy() })).toBeNull();
  });

  test("is cut short by a forced order, for what was ordered", () => {
    const by = (
      goal: "drain" | "terminate" | "replace",
      purpose: Purpose = "replace",
      over: Partial<Node> = {},
    ) =>
      stepOf(
        leaving({ order: orderOf(goal, { force: true }), ...over }, { purpose, sawWork: true }),
        { sight: busy() },
      );
    expect(by("terminate")).toBe("terminating replace");
    expect(by("terminate", "repair")).toBe("terminating operator");
    expect(by("replace", "repair")).toBe("terminating replace");
    expect(by("drain")).toBeNull();
    expect(by("terminate", "operator", { instance: null, slot: null })).toBeNull();
    const { action } = ask(leaving({ order: orderOf("terminate", { force: true }) }), {
      sight: busy(),
    });
    expect(action).toMatchObject({
      to: endingOf("replace", { since: NOW }),
      event: "node.terminating",
      because: ["ann wants it (forced by human:ann)"],
    });
    const soft = leaving({ order: orderOf("terminate") }, { sawWork: true });
    expect(stepOf(soft, { sight: busy() })).toBeNull();
  });

  test.each(["replace", "repair"] as const)(
    "for %s is called off when the node is well",
    (purpose) => {
      const back = well(leaving({}, { purpose }));
      expect(ask(back, { sight: busy() }).action).toEqual({
        kind: "advance",
        node: "n" as NodeId,
        to: { kind: "suspect", since: NOW },
        event: "node.recovered",
        because: ["recovered before the drain ended: the repair is cancelled"],
        session: null,
      });
      const degraded = { ...back, health: { ...back.health, verdict: "degraded" as const } };
      expect(stepOf(degraded, { sight: busy() })).toBe("suspect");
      const event = (action: Told["action"]) => (action?.kind === "advance" ? action.event : null);
      const other = (node: Node) => event(ask(node, { sight: busy() }).action);
      expect(other({ ...back, order: orderOf("replace") })).toBe("node.draining");
      expect(other({ ...back, session: null })).toBe("node.draining");
      expect(other({ ...back, session: sessionOf({ definitive: true }) })).toBe("node.draining");
      expect(other(silent(back))).toBe("node.draining");
      expect(other({ ...back, health: { ...back.health, verdict: "unknown" } })).toBe(
        "node.draining",
      );
      expect(other(well(leaving({}, { purpose: "scale_down" })))).toBe("node.draining");
      // Proof by a rule that is put aside is none.
      const aside = { ...back.health, aside: [heldOf({ definitive: true })] };
      const facts = [{ kind: "quarantine", rule: "r@v1", at: 0, why: "" } as const];
      const put = { ...back, health: aside, session: sessionOf({ definitive: true }) };
      expect(event(ask(put, { sight: busy(), facts }).action)).toBe("node.recovered");
      expect(event(ask(put, { sight: busy() }).action)).toBe("node.draining");
    },
  );

  test("for a surge whose replacement is gone goes back, and buys first again", () => {
    const surge = { pool: { replacement: "surge" } } as const;
    const back = {
      to: { kind: "suspect", since: NOW },
      event: "node.suspect",
      because: ["slot 0 lost its replacement: another one comes first (surge)"],
      session: null,
    };
    expect(ask(leaving(), { ...surge, sight: busy() }).action).toMatchObject(back);
    expect(ask(leaving({}, drained), surge).action).toMatchObject(back);
    const other = nodeOf("m", { gen: 2, replaces: "n" as NodeId });
    expect(stepOf(leaving({}, drained), { ...surge, others: [other] })).toBe("terminating replace");
    const lost = { ...other, phase: goneOf("lost") };
    expect(stepOf(leaving({}, drained), { ...surge, others: [lost] })).toBe("suspect");
    const ending = { ...surge, others: [{ ...other, phase: endingOf("lost") }] };
    expect(waitOf(leaving({}, drained), ending)).toBe(
      "confirmation: its replacement m is being ended",
    );
    // Neither a person's order nor another kind of end waits for it, nor a pool that drains first.
    const ordered = leaving({ order: orderOf("replace") }, drained);
    expect(stepOf(ordered, surge)).toBe("terminating replace");
    const shrunk = leaving({}, { ...drained, purpose: "scale_down" });
    expect(stepOf(shrunk, surge)).toBe("terminating scale_down");
    expect(stepOf(leaving({}, drained))).toBe("terminating replace");
  });

  test("of a surplus instance cordons it first", () => {
    const surplus = nodeOf("n", { phase: drainingOf({ purpose: "surplus" }), slot: null });
    expect(ask(surplus).action).toMatchObject({
      payload: { kind: "cordon", why: "no slot needs this instance" },
      because: ["no slot needs this instance"],
    });
    expect(stepOf({ ...surplus, cordon: OURS })).toBe("draining surplus");
  });
});

describe("drained", () => {
  const empty = (over: Partial<Node> = {}, purpose: Purpose = "replace") =>
    leaving(over, { ...drained, purpose });

  test.each(["replace", "scale_down", "surplus", "failed"] as const)(
    "for %s it is ended",
    (purpose) => {
      expect(ask(empty({}, purpose)).action).toEqual({
        kind: "advance",
        node: "n" as NodeId,
        to: endingOf(purpose, { since: NOW }),
        event: "node.terminating",
        because: ["drained"],
        session: null,
      });
    },
  );

  test("for a repair it is rebooted, with the boot that is to end", () => {
    expect(ask(empty({}, "repair")).action).toEqual({
      kind: "effect",
      node: "n" as NodeId,
      payload: {
        kind: "reboot",
        provider: instanceOf().provider,
        instanceId: "i-n" as InstanceId,
        bootId: "boot-1",
      },
      because: ["drained for its reboot"],
    });
    expect(ask(empty({ agent: null }, "repair")).action).toMatchObject({
      payload: { bootId: null },
    });
    expect(stepOf(empty({ order: orderOf("replace") }, "repair"))).toBe("terminating replace");
    expect(stepOf(empty({ order: orderOf("terminate") }, "repair"))).toBe("terminating operator");
    expect(stepOf(empty({ order: orderOf("terminate") }, "replace"))).toBe("terminating replace");
  });

  test("as ordered it stays for a person", () => {
    const ordered = "human: drained as ordered: uncordon it, terminate it or replace it";
    expect(waitOf(empty({ order: orderOf("drain") }))).toBe(ordered);
    expect(waitOf(empty({}, "operator"))).toBe(ordered);
    expect(stepOf(empty({ order: orderOf("terminate") }, "operator"))).toBe("terminating operator");
  });

  test("it stays where a person cordoned it, unless that person ordered its end", () => {
    const mine = "human: cordoned by human:ann: uncordon it, or order its replacement";
    const both = { cordon: { ...OURS, human: THEIRS.human } };
    expect(waitOf(empty(both))).toBe(mine);
    expect(waitOf(empty(both, "repair"))).toBe(mine);
    expect(stepOf(empty(both, "scale_down"))).toBe("terminating scale_down");
    expect(stepOf(empty({ ...both, order: orderOf("replace") }))).toBe("terminating replace");
  });

  test("it waits in a freeze and while blind", () => {
    expect(waitOf(empty(), FROZEN)).toBe("human: the fleet is frozen: move (ann)");
    expect(waitOf(empty(), BLIND)).toBe("blind: dark; far");
    expect(waitOf(empty({ order: orderOf("terminate") }), BLIND)).toBe("blind: dark; far");
    expect(stepOf(empty({ order: orderOf("terminate", { force: true }) }), BLIND)).toBe(
      "terminating replace",
    );
  });

  test("an unmanaged machine is left to a person, or is well again", () => {
    const theirs = (purpose: Purpose, over: Partial<Node> = {}) =>
      unboughtOf("n", { phase: drainingOf({ ...drained, purpose }), cordon: OURS, ...over });
    const gone = "or `navarch forget n` once the machine is gone";
    const said = "not_ours: drained, and this fleet did not buy it";
    expect(waitOf(theirs("scale_down"))).toBe(`${said}: uncordon it, ${gone}`);
    expect(waitOf(theirs("repair"))).toBe(`${said}: repair it: it comes back by itself, ${gone}`);
    const { health } = nodeOf("x");
    const checked = (
      verdict: "healthy" | "degraded" | "unhealthy",
      lastCheckAt: number | null,
    ) => ({
      health: { ...health, verdict, lastCheckAt },
    });
    const since = NOW - 1_000;
    expect(ask(theirs("repair", checked("healthy", since))).action).toMatchObject({
      to: { kind: "suspect", since: NOW },
      event: "node.recovered",
      because: ["its checks are clean again: it was repaired"],
      session: null,
    });
    expect(stepOf(theirs("repair", checked("degraded", since)))).toBe("suspect");
    expect(stepOf(theirs("repair", checked("healthy", since - 1)))).toBeNull();
    expect(stepOf(theirs("repair", checked("healthy", null)))).toBeNull();
    expect(stepOf(theirs("repair", checked("unhealthy", since)))).toBeNull();
    expect(stepOf(theirs("scale_down", checked("healthy", since)))).toBeNull();
  });
});

describe("terminating", () => {
  const ending = (
    over: Partial<Node> = {},
    phase: Parameters<typeof endingOf>[1] = {},
    purpose: Purpose = "replace",
  ) => nodeOf("n", { phase: endingOf(purpose, phase), cordon: OURS, ...over });
  const state = (name: "terminated" | "terminating" | "stopped" | "running", over = {}) => ({
    instance: instanceOf({ state: name, ...over }),
  });

  test("asks the cloud to end it", () => {
    expect(ask(ending()).action).toEqual({
      kind: "effect",
      node: "n" as NodeId,
      payload: {
        kind: "terminate",
        provider: instanceOf().provider,
        instanceId: "i-n" as InstanceId,
      },
      because: ["replace"],
    });
  });

  test("is over with the cloud's word, or without a machine", () => {
    const over = (node: Node) => ask(node).action;
    expect(over(ending({ instance: null }))).toEqual({
      kind: "advance",
      node: "n" as NodeId,
      to: goneOf("replace", NOW),
      event: "node.terminated",
      because: ["nothing was bought for it"],
      session: null,
    });
    expect(over(ending({ ...state("terminated"), session: sessionOf() }))).toMatchObject({
      to: goneOf("replace", NOW),
      because: ["the cloud confirms the end of instance i-1"],
      session: "replaced",
    });
  });

  test("believes an absence only after the end was accepted", () => {
    const absent = { absentSince: NOW - MIN, absentListings: 3 };
    const accepted = { accepted: NOW - 10 };
    expect(ask(ending(state("running", absent), accepted)).action).toMatchObject({
      to: goneOf("replace", NOW),
      because: ["the cloud no longer lists instance i-1"],
    });
    expect(stepOf(ending(state("running", absent)))).toBe("terminate");
    expect(waitOf(ending(state("stopped"), accepted))).toBe(
      "confirmation: instance i-1 is stopped, still billed",
    );
  });

  test("asks again a minute after the end was accepted", () => {
    const since = (ms: number) => ask(ending({}, { accepted: NOW - ms }));
    expect(since(MIN - 1).wait).toEqual({
      reason: "confirmation",
      message: "instance i-n is running, still billed",
      until: NOW + 1,
    });
    expect(since(MIN).action).toBeDefined();
  });

  test("waits for people, for its back-off, while blind and for its provider", () => {
    expect(waitOf(ending(), FROZEN)).toBe("human: the fleet is frozen: move (ann)");
    expect(ask(ending({}, { notBefore: NOW + 5 })).wait).toEqual({
      reason: "backoff",
      message: "the last request to terminate it was refused",
      until: NOW + 5,
    });
    expect(stepOf(ending({}, { notBefore: NOW }))).toBe("terminate");
    expect(waitOf(ending(), BLIND)).toBe("blind: dark; far");
    expect(stepOf(ending({ order: orderOf("terminate", { force: true }) }), BLIND)).toBe(
      "terminate",
    );
    expect(waitOf(ending({ order: orderOf("terminate") }), BLIND)).toBe("blind: dark; far");
    const nowhere = { sight: { providers: new Map() } };
    expect(waitOf(ending(), nowhere)).toBe(
      "provider: provider fake is not in the configuration: held, because it could not be ended",
    );
    expect(waitOf(ending(), { sight: { fake: { unavailable: "no key" } } })).toBe(
      "provider: fake: no key; i-n is billed",
    );
  });

  test("of surplus instances goes one at a time", () => {
    const surplus = (id: string) => ({
      ...ending({}, {}, "surplus"),
      id: id as NodeId,
      slot: null,
    });
    const other = { ...surplus("m"), phase: endingOf("surplus", { accepted: NOW - 1 }) };
    expect(ask(surplus("n"), { others: [other] }).wait).toEqual({
      reason: "budget",
      message: "1 of at most 1 surplus machines are being terminated",
      until: NOW + 30_000,
    });
    expect(stepOf(surplus("n"))).toBe("terminate");
    expect(stepOf(ending(), { others: [other] })).toBe("terminate");
  });
});

describe("a place that is given up meanwhile", () => {
  const out = { desired: 0 };
  const because = ["its slot is no longer wanted: pool p wants 0 nodes"];

  test("is not filled again", () => {
    const draining = leaving({}, { deadlineAt: NOW + 9 });
    expect(ask(draining, out).action).toEqual({
      kind: "advance",
      node: "n" as NodeId,
      to: drainingOf({ deadlineAt: NOW + 9, purpose: "scale_down" }),
      event: "node.draining",
      because,
      session: null,
    });
    const ending = nodeOf("n", { phase: endingOf("replace", { accepted: NOW - 9 }), cordon: OURS });
    expect(ask(ending, out).action).toMatchObject({
      to: endingOf("scale_down", { accepted: NOW - 9 }),
      event: "node.terminating",
      because,
    });
  });

  test("is not decided while blind or frozen, nor for what is no repair", () => {
    const draining = leaving({}, { sawWork: true });
    const still = (sight: Setting["sight"]) =>
      stepOf(draining, { ...out, sight: { ...busy(), ...sight } });
    expect(still({ blind: ["dark"] })).toBeNull();
    expect(still({ frozen: "move" })).toBeNull();
    expect(still({})).toBe("draining scale_down");
    const repair = leaving({}, { purpose: "repair", sawWork: true });
    expect(stepOf(repair, { ...out, sight: busy() })).toBeNull();
  });
});

test("one in a pool that was never stored is left alone", () => {
  const node = nodeOf("n", { pool: POOL, lastSession: lastSessionOf(0, "recovered") });
  const plan = decide(fleetOf([node], [], [poolStateOf(1)]), settingOf({}), sightOf());
  expect(plan.actions).toEqual([]);
});
