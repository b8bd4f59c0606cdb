/** How a node comes into service: asked for, set up, heard, verified; and what ends it before. */
import { describe, expect, test } from "bun:test";
import type { NodeId, OperationId } from "../../../schema/id.ts";
import type { Health, Node, Phase } from "../../../schema/node.ts";
import type { Fact } from "../../../schema/safety.ts";
import { alike } from "../../../test/world/alike.ts";
import {
  ask,
  stepOf,
  endingOf,
  goneOf,
  kubeSightOf,
  NOW,
  orderOf,
  OURS,
  poolOf,
  priced,
  providerSightOf,
  type Setting,
  THEIRS,
  waitOf,
} from "../../../test/world/ask.ts";
import {
  agentOf,
  gpuOf,
  heldOf,
  instanceOf,
  kubeOf,
  nodeOf,
  operationOf,
  sessionOf,
} from "../../../test/world/part.ts";
import { guardKey } from "../safety/guard.ts";
import { bootstrapPayload } from "./bootstrap.ts";

const SEC = 1_000;
const MIN = 60_000;
const BLIND: Setting = { sight: { blind: ["dark", "far"] } };
const FROZEN: Setting = { sight: { frozen: "move (ann)" } };
const wanted = (over: Partial<Extract<Phase, { kind: "requested" }>> = {}): Phase => ({
  kind: "requested",
  since: 0,
  attempt: 1,
  notBefore: 0,
  refusal: null,
  ...over,
});
const asked = (over: Partial<Node> = {}, phase = {}) =>
  nodeOf("n", { phase: wanted(phase), instance: null, agent: null, ...over });
const found = { instance: instanceOf({ adopted: true }) };

describe("requested", () => {
  test("is bought, with all that the ask must say frozen", () => {
    const { action } = ask(asked({ gen: 3 }, { attempt: 2 }), { sight: { fake: priced(2.5) } });
    expect(action).toMatchObject({
      kind: "effect",
      node: "n",
      payload: {
        kind: "create",
        provider: "fake",
        offer: "fake///h100-8x",
        guard: guardKey(poolOf(), "fake///h100-8x"),
        pricePerHour: 2.5,
        request: { name: "n-a2", nodeId: "n", instanceType: "h100-8x" },
      },
      because: ["slot 0 of pool p is empty (wanted 4)"],
    });
  });

  test("is given up where its pool is gone or smaller", () => {
    expect(ask(asked({ pool: null })).action).toMatchObject({
      to: goneOf("scale_down", NOW),
      event: "node.terminated",
      because: ["its pool is no longer configured and nothing was bought"],
    });
    expect(stepOf(asked({ slot: null, instance: instanceOf() }))).toBe("gone scale_down");
    expect(ask(asked(), { desired: 0 }).action).toMatchObject({
      to: goneOf("scale_down", NOW),
      because: ["pool p became smaller before anything was bought"],
    });
  });

  test("waits for people, for its back-off, and for its slot", () => {
    expect(waitOf(asked(), FROZEN)).toBe("human: the fleet is frozen: move (ann)");
    const hold = { by: "ann", why: "test", until: NOW + 9 };
    expect(ask(asked(), { state: { hold } }).wait).toEqual({
      reason: "human",
      message: "pool p is held by ann: test",
      until: NOW + 9,
    });
    expect(ask(asked({}, { notBefore: NOW + 5, refusal: "sold out" })).wait).toEqual({
      reason: "backoff",
      message: "sold out",
      until: NOW + 5,
    });
    expect(waitOf(asked({}, { notBefore: NOW + 5 }))).toBe("backoff: waits");
    expect(stepOf(asked({}, { notBefore: NOW }))).toBe("create");
    const other = nodeOf("m", { gen: 1, phase: { kind: "suspect", since: 0 } as never });
    expect(waitOf(asked(), { others: [other] })).toBe(
      "replacement: slot 0 still has a live instance",
    );
    // A surplus that a person put back, after a restore.
    expect(ask(asked(), { others: [nodeOf("m", { gen: 1 })] }).action).toMatchObject({
      because: ["slot 0 is m's again, and nothing was bought"],
    });
    const pair = {
      ...other,
      phase: { kind: "replacing", since: 0, replacement: "n" as NodeId } as const,
    };
    expect(stepOf(asked({ replaces: other.id }), { others: [pair] })).toBe("create");
    const another = { ...pair, phase: { ...pair.phase, replacement: "x" as NodeId } };
    expect(stepOf(asked(), { others: [another] })).toBeNull();
    expect(stepOf(asked(), { others: [{ ...other, slot: 1 }] })).toBe("create");
  });

  test("waits where nothing can be bought, and says for how long", () => {
    const rest = {
      failures: 1,
      notBefore: NOW + 7,
      class: "capacity",
      message: "none left",
      at: 1,
      isOpen: false,
    };
    const facts: Fact[] = [{ kind: "rest", scope: "fake///h100-8x", ...rest }];
    expect(ask(asked(), { facts }).wait).toEqual({
      reason: "backoff",
      message: "fake/h100-8x rests after capacity: none left",
      until: NOW + 7,
    });
    const spend = { perHourMax: null, perMonthMax: null, instancesMax: 0 };
    expect(waitOf(asked(), { pool: { spend } })).toBe("spend: pool:p has 0 of at most 0 instances");
  });

  test("spends what it asks for, so that two of one plan do not overdraw", () => {
    const spend = { perHourMax: null, perMonthMax: null, instancesMax: 1 };
    const second = { ...asked(), id: "o" as NodeId, slot: 1 };
    const setting = { pool: { spend }, others: [second] };
    expect(stepOf(asked(), setting)).toBe("create");
    expect(waitOf(second, { pool: { spend }, before: [asked()] })).toBe(
      "spend: pool:p has 1 of at most 1 instances",
    );
  });

  test("of a suspect place is tried one at a time", () => {
    const key = guardKey(poolOf(), "fake///h100-8x");
    const guards = { [key]: { failures: 3, outcomes: [false, false, false], notBefore: 0, at: 0 } };
    const second = { ...asked(), id: "o" as NodeId, slot: 1 };
    expect(stepOf(asked(), { state: { guards }, others: [second] })).toBe("create");
    expect(waitOf(second, { state: { guards }, before: [asked()] })).toBe(
      "bootstrap_guard: fake///h100-8x: 3 nodes in a row did not come up; one is tried first",
    );
    expect(stepOf(second, { before: [asked()] })).toBe("create");
    const coming = (phase: Phase) =>
      stepOf(asked(), { state: { guards }, others: [nodeOf("c", { slot: 2, offer: key, phase })] });
    expect(coming({ kind: "booting", since: 0 })).toBeNull();
    expect(coming({ kind: "bootstrapping", since: 0, attempt: 1 })).toBeNull();
    expect(coming({ kind: "verifying", since: 0 })).toBeNull();
    expect(coming({ kind: "serving", since: 0 })).toBe("create");
  });

  test("takes an unreported price from another machine of the same type", () => {
    const price = (over: Partial<ReturnType<typeof instanceOf>>) => {
      const other = nodeOf("m", { slot: 1, instance: instanceOf({ pricePerHour: 30, ...over }) });
      const { action } = ask(asked(), { others: [other] });
      return action?.kind === "effect" && action.payload.kind === "create"
        ? action.payload.pricePerHour
        : "?";
    };
    expect(price({})).toBe(30);
    expect(price({ region: "r" })).toBeNull();
    expect(price({ instanceType: "other" })).toBeNull();
    expect(price({ provider: "q" as never })).toBeNull();
    expect(price({ pricePerHour: null })).toBeNull();
  });
});

const SET_UP = {
  ...poolOf().bootstrap,
  setupCommands: ["go"],
  attempts: 3,
  ipWaitTimeoutMs: 5 * MIN,
};
const bare = (over: Setting = {}): Setting => ({
  pool: { bootstrap: SET_UP },
  ...over,
  sight: { fake: { bringsAgent: false }, ...over.sight },
});

describe("booting", () => {
  const booting = (over: Partial<Node> = {}, agoMs = MIN) =>
    nodeOf("n", { phase: { kind: "booting", since: NOW - agoMs }, agent: null, ...over });

  test("is verified once its agent spoke", () => {
    expect(ask(booting({ agent: agentOf() })).action).toEqual({
      kind: "advance",
      node: "n" as NodeId,
      to: { kind: "verifying", since: NOW },
      event: "node.registered",
      because: ["its agent registered"],
      session: null,
    });
  });

  test("waits for its agent, as long as it may take", () => {
    const { wait } = ask(booting());
    expect(wait?.reason).toBe("boot");
    expect(wait?.message).toBe("instance i-n is running, its agent is silent");
    const limit = (wait?.until ?? 0) - (NOW - MIN);
    expect(stepOf(booting({}, limit - 1))).toBeNull();
    expect(ask(booting({}, limit)).action).toMatchObject({
      to: endingOf("failed", { since: NOW }),
      event: "node.failed",
      because: [`no agent registered within ${limit / SEC} s`],
    });
    // Time without observations does not count.
    expect(stepOf(booting({}, limit), { sight: { attentiveMs: limit - 1 } })).toBeNull();
    expect(waitOf(booting({ instance: null }))).toBe(
      "boot: instance ? is new, its agent is silent",
    );
    expect(waitOf(booting(found, limit))).toBe(
      `human: no agent registered within ${limit / SEC} s: it was found in the cloud's list and ` +
        "may be at work; it stays until a person ends it",
    );
  });

  test("may take the longer limit of its provider while the cloud itself calls it booting", () => {
    const at = (agoMs: number, over = {}) =>
      booting({ instance: instanceOf({ state: "provisioning", ...over }) }, agoMs);
    const { wait } = ask(at(20 * MIN));
    expect(wait).toMatchObject({
      reason: "late_boot",
      message: "instance i-1 is provisioning for 20 min",
    });
    expect(wait?.until).toBe(NOW + 10 * MIN);
    expect(stepOf(at(30 * MIN - 1))).toBeNull();
    expect(ask(at(30 * MIN)).action).toMatchObject({
      to: endingOf("failed", { since: NOW }),
      because: ["the cloud still calls its instance booting after 1800 s"],
    });
    // Its agent's time begins when the cloud calls it running.
    const running = (agoMs: number) =>
      booting({ instance: instanceOf({ runningAt: NOW - agoMs }) }, 29 * MIN);
    expect(stepOf(running(MIN))).toBeNull();
    expect(stepOf(running(29 * MIN))).toBe("terminating failed");
  });

  test("is ended by the cloud's word, by a person, or with its pool", () => {
    const state = (name: "terminated" | "stopped", over = {}) => ({
      instance: instanceOf({ state: name, ...over }),
    });
    expect(ask(booting(state("terminated"))).action).toMatchObject({
      to: endingOf("failed", { since: NOW }),
      event: "instance.lost",
      because: ["the cloud reports instance i-1 as terminated"],
      session: null,
    });
    expect(stepOf(booting(state("stopped")))).toBe("terminating failed");
    // What the cloud itself gives up rests its place; what was heard, or found, came up once.
    const failure = { class: "capacity", message: "none" } as const;
    expect(stepOf(booting(state("terminated", { failure })))).toBe("terminating lost");
    expect(stepOf(booting(state("stopped", { adopted: true })))).toBe("terminating lost");
    expect(stepOf(booting({ ...state("stopped"), agent: nodeOf("n").agent }))).toBe(
      "terminating lost",
    );
    // A list may lag behind what was just bought.
    expect(stepOf(booting(state("stopped", { absentSince: NOW - 9 * MIN })))).toBeNull();
    expect(ask(booting({ order: orderOf("terminate") })).action).toMatchObject({
      to: endingOf("operator", { since: NOW }),
      because: ["ann wants it"],
    });
    expect(ask(booting(), { desired: 0 }).action).toMatchObject({
      to: endingOf("scale_down", { since: NOW }),
      because: ["its pool became smaller"],
    });
  });

  test("is not ended while blind or frozen, unless a person says so", () => {
    expect(waitOf(booting(), { desired: 0, ...BLIND })).toBe("blind: dark; far");
    expect(waitOf(booting(), { desired: 0, ...FROZEN })).toBe(
      "human: its pool became smaller, but the fleet is frozen: move (ann)",
    );
    expect(waitOf(booting({ order: orderOf("terminate") }), BLIND)).toBe("blind: dark; far");
    expect(stepOf(booting({ order: orderOf("terminate") }), FROZEN)).toBe("terminating operator");
    const forced = booting({ order: orderOf("terminate", { force: true }) });
    expect(stepOf(forced, BLIND)).toBe("terminating operator");
    const kube = { sight: { kube: kubeSightOf({ dark: "away", known: false }) } };
    expect(waitOf(booting(), { desired: 0, ...kube })).toBe(
      "blind: its pool became smaller, but away",
    );
    expect(stepOf(forced, kube)).toBe("terminating operator");
  });

  test("leaves like one that served where work may be on it", () => {
    const out = { desired: 0 };
    const inCluster = booting({ kube: kubeOf({ bootId: null }) });
    expect(
      ask(inCluster, { ...out, sight: { left: { kind: "unknown", forMs: 0 } } }).action,
    ).toMatchObject({
      kind: "effect",
      payload: { kind: "cordon", why: "its pool became smaller" },
      because: ["its pool became smaller"],
    });
    expect(stepOf(inCluster, out)).toBe("terminating scale_down");
    const busy = { ...out, sight: { left: { kind: "busy", remaining: 1, message: "" } as const } };
    expect(stepOf({ ...inCluster, cordon: OURS }, busy)).toBe("drain scale_down");
    expect(stepOf({ ...inCluster, cordon: THEIRS }, busy)).toBe("drain scale_down");
    expect(stepOf({ ...inCluster, kube: kubeOf({ absentSince: 1 }) }, busy)).toBe(
      "terminating scale_down",
    );
    expect(stepOf(booting(), busy)).toBe("terminating scale_down");
    expect(stepOf(booting(found), out)).toBe("cordon");
    expect(stepOf(booting({ ...found, cordon: OURS }), out)).toBe("drain scale_down");
    expect(stepOf(booting({ ...found, order: orderOf("terminate", { force: true }) }))).toBe(
      "terminating operator",
    );
  });
});

describe("set-up over SSH", () => {
  const at = { instance: instanceOf({ internalIp: "10.0.0.1", externalIp: "1.2.3.4" }) };
  const booting = (over: Partial<Node> = {}, agoMs = MIN) =>
    nodeOf("n", { phase: { kind: "booting", since: NOW - agoMs }, agent: null, ...at, ...over });
  const setting = (over: Partial<Node> = {}, agoMs = MIN) =>
    booting({ phase: { kind: "bootstrapping", since: NOW - agoMs, attempt: 1 }, ...over });
  const past = (over: Partial<NonNullable<Node["bootstrap"]>> = {}) => ({
    bootstrap: { attempts: 1, doneAt: null, error: "exit 1", final: false, hostKey: null, ...over },
  });

  test("begins when there is an address", () => {
    expect(ask(booting(), bare()).action).toEqual({
      kind: "advance",
      node: "n" as NodeId,
      to: { kind: "bootstrapping", since: NOW, attempt: 1 },
      event: "node.bootstrapping",
      because: ["its set-up begins at 1.2.3.4"],
      session: null,
    });
    // A report before the set-up is done does not count.
    expect(stepOf(booting({ agent: agentOf() }), bare())).toBe("bootstrapping");
    expect(stepOf(booting({ agent: agentOf() }))).toBe("verifying");
    expect(stepOf(booting({ agent: agentOf(), ...past({ doneAt: 5 }) }), bare())).toBe("verifying");
    expect(
      stepOf(booting({ agent: agentOf(), instance: instanceOf({ adopted: true }) }), bare()),
    ).toBe("verifying");
  });

  test("waits for the address, then gives up", () => {
    const none = (agoMs: number, state: "running" | "provisioning" = "running") =>
      booting(
        { instance: instanceOf({ state, internalIp: state === "running" ? null : "10.0.0.1" }) },
        agoMs,
      );
    expect(ask(none(MIN), bare()).wait).toEqual({
      reason: "boot",
      message: "instance i-1 is running, no address yet",
      until: NOW + 4 * MIN,
    });
    expect(waitOf(none(MIN, "provisioning"), bare())).toBe(
      "boot: instance i-1 is provisioning, no address yet",
    );
    expect(stepOf(none(5 * MIN - 1), bare())).toBeNull();
    expect(ask(none(5 * MIN), bare()).action).toMatchObject({
      to: endingOf("failed", { since: NOW }),
      because: ["no address within 300 s"],
    });
    expect(
      stepOf(
        none(5 * MIN),
        bare({ sight: { attentiveMs: 5 * MIN - 1, fake: { bringsAgent: false } } }),
      ),
    ).toBeNull();
    const inside = booting({ instance: instanceOf({ internalIp: "10.0.0.1" }) });
    expect(ask(inside, bare()).action).toMatchObject({
      because: ["its set-up begins at 10.0.0.1"],
    });
  });

  test("is tried, attempt by attempt", () => {
    const node = setting(past());
    expect(ask(node, bare()).action).toEqual({
      kind: "effect",
      node: node.id,
      payload: bootstrapPayload(node, node.instance ?? instanceOf(), "1.2.3.4", SET_UP),
      because: ["attempt 2 of 3 at 1.2.3.4"],
    });
    expect(ask(setting(past({ notBefore: NOW + 5 })), bare()).wait).toEqual({
      reason: "backoff",
      message: "attempt 2 of 3 waits after: exit 1",
      until: NOW + 5,
    });
    expect(stepOf(setting(past({ notBefore: NOW })), bare())).toBe("bootstrap");
    // Left by a clock that was set back: no rest of a set-up is that long.
    expect(stepOf(setting(past({ notBefore: NOW + 3_600_001 })), bare())).toBe("bootstrap");
    expect(waitOf(setting(past({ notBefore: NOW + 5, error: null })), bare())).toBe(
      "backoff: attempt 2 of 3 waits after: ?",
    );
  });

  test("fails for good after its attempts, or at once where nothing can help", () => {
    const because = (over: Parameters<typeof past>[0]) => {
      const { action } = ask(setting(past(over)), bare());
      return action?.kind === "advance" ? action.because : null;
    };
    expect(because({ attempts: 2 })).toBeNull();
    expect(because({ attempts: 3 })).toEqual(["its set-up failed 3 times: exit 1"]);
    expect(because({ final: true })).toEqual(["its set-up failed: exit 1"]);
    expect(because({ attempts: 4, error: null })).toEqual(["its set-up failed 4 times: ?"]);
    expect(stepOf(setting(past({ final: true })), bare())).toBe("terminating failed");
  });

  test("waits while the key cannot be used, and while it runs", () => {
    const key = { ...SET_UP, sshPrivateKeyPath: "/k" };
    const with_ = (problem: string | null | undefined): Setting => ({
      pool: { bootstrap: key },
      sight: { fake: { bringsAgent: false }, keys: alike(problem) },
    });
    expect(waitOf(setting(), with_("/k: no such file"))).toBe(
      "bootstrap: its set-up waits: /k: no such file",
    );
    expect(waitOf(setting(), with_(undefined))).toBe(
      "bootstrap: its set-up waits: /k is being read",
    );
    expect(stepOf(setting(), with_(null))).toBe("bootstrap");
    const node = setting({ ...past(), operation: "op-1" as OperationId });
    const payload = bootstrapPayload(node, node.instance ?? instanceOf(), "1.2.3.4", SET_UP);
    const operation = (message: string | null) =>
      bare({ operations: [operationOf(node, payload, { id: "op-1" as OperationId, message })] });
    expect(waitOf(node, operation(null))).toBe("bootstrap: set-up, attempt 2 of 3: running");
    expect(waitOf(node, operation("step 3"))).toBe("bootstrap: set-up, attempt 2 of 3: step 3");
  });

  test("nothing is bought while no machine could be set up", () => {
    const key = { ...SET_UP, sshPrivateKeyPath: "/k" };
    const setting: Setting = {
      pool: { bootstrap: key },
      sight: { fake: { bringsAgent: false }, keys: alike("/k: no such file") },
    };
    expect(waitOf(asked(), setting)).toBe("bootstrap: nothing is bought: /k: no such file");
    const ref = poolOf().providers[0];
    if (ref === undefined) throw new Error("no provider");
    const two = {
      ...setting,
      pool: { bootstrap: key, providers: [ref, { ...ref, name: "own" as never }] },
    };
    const providers = new Map([
      ["fake", providerSightOf({ bringsAgent: false })],
      ["own", providerSightOf()],
    ]);
    const { action } = ask(asked(), { ...two, sight: { ...setting.sight, providers } });
    expect(action).toMatchObject({ payload: { kind: "create", provider: "own" } });
  });

  test("that ended well says so, if nothing is heard of the agent", () => {
    const done = (agoMs: number, over: Partial<ReturnType<typeof instanceOf>> = {}) =>
      setting(
        { ...past({ doneAt: NOW - agoMs, attempts: 2 }), instance: instanceOf(over) },
        99 * MIN,
      );
    const { wait } = ask(done(0), bare());
    const limit = (wait?.until ?? 0) - NOW;
    expect(stepOf(done(limit - 1), bare())).toBeNull();
    const because = (node: Node) => {
      const { action } = ask(node, bare());
      return action?.kind === "advance" ? action.because[0] : null;
    };
    const text = (at: string) =>
      `no agent registered within ${limit / SEC} s of its set-up, which ended well (attempt 2): ` +
      `nothing was heard of an agent, instance i-1 is running at ${at}`;
    expect(because(done(limit))).toBe(text("no address"));
    expect(because(done(limit, { internalIp: "10.0.0.1" }))).toBe(text("10.0.0.1"));
    expect(because(done(limit, { internalIp: "10.0.0.1", externalIp: "1.2.3.4" }))).toBe(
      text("1.2.3.4"),
    );
  });
});

describe("verifying", () => {
  const BASE = nodeOf("n").health;
  const verifying = (health: Partial<Health> = {}, over: Partial<Node> = {}, agoMs = MIN) =>
    nodeOf("n", {
      phase: { kind: "verifying", since: NOW - agoMs },
      health: { ...BASE, ...health },
      ...over,
    });
  const checked = { lastCheckAt: NOW - 5 };
  const well = { verdict: "healthy", ...checked } as const;
  const sick = (over: Partial<Health> = {}): Partial<Health> => ({
    verdict: "unhealthy",
    unhealthyRun: 1,
    held: [heldOf({ result: "degraded", because: "slow" }), heldOf()],
    ...checked,
    ...over,
  });

  test.each(["healthy", "degraded"] as const)("serves when its first check is %s", (verdict) => {
    expect(ask(verifying({ verdict, ...checked })).action).toEqual({
      kind: "advance",
      node: "n" as NodeId,
      to: { kind: "serving", since: NOW },
      event: "node.verified",
      because: [`its first full check is ${verdict}`],
      session: null,
    });
  });

  test("waits for that check, since its agent registered", () => {
    const agent = { agent: { ...agentOf(), registeredAt: NOW - 5 } };
    expect(stepOf(verifying(well, agent))).toBe("serving");
    expect(stepOf(verifying({ ...well, lastCheckAt: NOW - 6 }, agent))).toBeNull();
    expect(stepOf(verifying({ verdict: "healthy" }))).toBeNull();
    expect(stepOf(verifying({ ...well, silentSince: NOW - 9 }))).toBeNull();
    expect(stepOf(verifying({ verdict: "unknown", ...checked }))).toBeNull();
    const { wait } = ask(verifying({}, {}, MIN));
    expect(wait).toMatchObject({
      reason: "boot",
      message: "its first full check is open (health unknown)",
    });
    const limit = (wait?.until ?? 0) - (NOW - MIN);
    expect(stepOf(verifying({}, {}, limit - 1))).toBeNull();
    expect(ask(verifying({}, {}, limit)).action).toMatchObject({
      to: endingOf("failed", { since: NOW }),
      because: [`not verified within ${limit / SEC} s`],
    });
    expect(stepOf(verifying({}, {}, limit), { sight: { attentiveMs: limit - 1 } })).toBeNull();
    expect(stepOf(verifying({}, { instance: null, slot: null }, limit))).toBeNull();
    expect(waitOf(verifying({}, found, limit))).toContain(
      `human: not verified within ${limit / SEC} s: it was found`,
    );
    // Well for long, and silent since: only the silence counts.
    const silent = (lastCheckAt: number) =>
      verifying({ ...well, lastCheckAt, silentSince: NOW - 1 }, {}, 9 * limit);
    expect(stepOf(silent(NOW - limit + 1))).toBeNull();
    expect(stepOf(silent(NOW - limit))).toBe("terminating failed");
    // A check of an earlier life counts from the new one.
    const young = verifying({ ...well, lastCheckAt: 1, silentSince: NOW - 1 }, {}, limit - 1);
    expect(stepOf(young)).toBeNull();
  });

  test("is given back for what its first check finds", () => {
    const why = "unhealthy at its first check: XID 48 on GPU 0";
    expect(ask(verifying(sick())).action).toMatchObject({
      to: endingOf("failed", { since: NOW }),
      event: "node.failed",
      because: [why],
    });
    const two = { pool: { health: { ...poolOf().health, unhealthyThreshold: 2 } } };
    expect(stepOf(verifying(sick()), two)).toBeNull();
    expect(stepOf(verifying(sick({ unhealthyRun: 2 })), two)).toBe("terminating failed");
    expect(stepOf(verifying(sick({ lastCheckAt: null })))).toBeNull();
    const proof = { held: [heldOf({ definitive: true })], lastCheckAt: null };
    expect(stepOf(verifying(sick(proof)))).toBe("terminating failed");
    expect(ask(verifying(sick({ held: [] }))).action).toMatchObject({
      because: ["unhealthy at its first check: unhealthy"],
    });
  });

  test("is suspected, and not ended, where it may be at work or is not ours to end", () => {
    for (const over of [found, { instance: null, slot: null }]) {
      expect(ask(verifying(sick(), over)).action).toEqual({
        kind: "advance",
        node: "n" as NodeId,
        to: { kind: "suspect", since: NOW },
        event: "node.suspect",
        because: ["XID 48 on GPU 0"],
        session: "open",
      });
    }
  });

  test("is lost only if it is silent too", () => {
    const gone = { instance: instanceOf({ state: "terminated" }) };
    expect(stepOf(verifying({ silentSince: NOW - 1 }, gone))).toBe("terminating lost");
    expect(waitOf(verifying(well, gone))).toBe(
      "second_witness: the cloud reports instance i-1 as terminated, but its agent reports: the cloud is not trusted",
    );
    expect(stepOf(verifying(well, { ...gone, order: orderOf("terminate") }))).toBe(
      "terminating operator",
    );
    expect(stepOf(verifying(well, gone), { desired: 0 })).toBe("terminating scale_down");
  });

  test("is ended by a person or with its pool, if there is something to end", () => {
    expect(ask(verifying(well, { order: orderOf("terminate") })).action).toMatchObject({
      to: endingOf("operator", { since: NOW }),
      because: ["ann wants it"],
    });
    expect(stepOf(verifying(well, { order: orderOf("terminate", { force: true }) }), BLIND)).toBe(
      "terminating operator",
    );
    expect(stepOf(verifying(well, { order: orderOf("terminate") }), BLIND)).toBeNull();
    expect(stepOf(verifying(well, { order: orderOf("drain") }))).toBe("serving");
    expect(
      stepOf(verifying(well, { order: orderOf("terminate"), instance: null, slot: null })),
    ).toBe("serving");
    expect(ask(verifying(well), { desired: 0 }).action).toMatchObject({
      because: ["its pool became smaller"],
    });
  });

  test("is given back where its hardware failed before", () => {
    const lemon: Fact = {
      kind: "lemon",
      uuid: "GPU-a0",
      serial: null,
      sessions: 1,
      firstAt: NOW - MIN,
      lastAt: NOW - MIN,
      because: "XID 79",
      nodes: [],
      instances: [],
      provider: "fake",
      place: "",
      refused: 0,
    };
    const agent = { agent: agentOf({ gpus: [gpuOf(0)] }) };
    expect(ask(verifying(well, agent), { facts: [lemon] }).action).toMatchObject({
      to: endingOf("lemon", { since: NOW }),
      because: [
        `the cloud returned GPU-a0, replaced ${new Date(NOW - MIN).toISOString()} because of XID 79`,
      ],
    });
    expect(
      stepOf(verifying(well, { ...agent, instance: null, slot: null }), { facts: [lemon] }),
    ).toBe("serving");
  });

  test("waits for its cluster, and serves without it where that is not sure", () => {
    const kube = { sight: { kube: kubeSightOf() } };
    const inCluster = (over = {}) => ({ kube: kubeOf({ notReady: "False (X)", ...over }) });
    const { wait } = ask(verifying(well, inCluster()), kube);
    expect(wait).toMatchObject({ reason: "cluster", message: "Ready of Node k is False (X)" });
    const limit = (wait?.until ?? 0) - (NOW - MIN);
    const late = (over: Partial<Node>, agoMs = limit, sight = {}) =>
      ask(verifying(well, over, agoMs), { ...kube, sight: { ...kube.sight, ...sight } });
    expect(late(inCluster(), limit - 1).wait?.reason).toBe("cluster");
    expect(late(inCluster(), limit, { attentiveMs: limit - 1 }).wait?.reason).toBe("cluster");
    const said = `Ready of Node k is False (X), ${limit / SEC} s after its agent registered`;
    expect(late(inCluster()).wait).toEqual({
      reason: "human",
      message: `${said}; it serves once that is fixed (kubernetes.ready)`,
      until: null,
    });
    const kin = nodeOf("m", { slot: 1, kube: kubeOf() });
    const unsure = ask(verifying(well, {}, limit), { ...kube, others: [kin] });
    expect(unsure.action).toMatchObject({
      to: { kind: "serving", since: NOW },
      because: [
        "its first full check is healthy",
        `its Node is not in the cluster, ${limit / SEC} s after its agent registered`,
      ],
    });
    const drain = verifying(well, { ...inCluster(), order: orderOf("drain") });
    expect(stepOf(drain, kube)).toBe("drain operator");
  });
});

describe("a machine that is lost", () => {
  const gone = { instance: instanceOf({ state: "stopped" }) };
  const lost = (over: Partial<Node> = {}) => {
    const node = nodeOf("n", { ...gone, ...over });
    return { ...node, health: { ...node.health, silentSince: NOW - MIN, ...over.health } };
  };
  const why = "the cloud reports instance i-1 as stopped";

  test("is ended, and its session closed by what it had said", () => {
    expect(ask(lost()).action).toEqual({
      kind: "advance",
      node: "n" as NodeId,
      to: endingOf("lost", { since: NOW }),
      event: "instance.lost",
      because: [why],
      session: null,
    });
    const suspect = { phase: { kind: "suspect", since: 0 } as const };
    expect(ask(lost({ ...suspect, session: sessionOf() })).action).toMatchObject({
      session: "lost",
    });
    expect(
      ask(lost({ ...suspect, session: sessionOf({ definitive: true }) })).action,
    ).toMatchObject({
      session: "replaced",
    });
  });

  test("waits while blind, for people and budgets, unless the cloud itself ended it", () => {
    expect(waitOf(lost(), BLIND)).toBe("blind: dark; far");
    expect(waitOf(lost(), FROZEN)).toBe(`human: ${why}, but the fleet is frozen: move (ann)`);
    expect(waitOf(lost({ cordon: THEIRS }))).toBe(`human: ${why}, but human:ann has cordoned it`);
    const off = { pool: { health: { ...poolOf().health, autoReplace: false } } };
    expect(waitOf(lost(), off)).toBe(`not_ours: ${why}, and auto_replace is off for pool p`);
    const none = {
      pool: {
        health: { ...poolOf().health, maxUnavailable: { kind: "nodes", nodes: 0 } as const },
      },
    };
    expect(waitOf(lost(), none)).toBe("budget: 0 of at most 0 nodes of pool p are out of service");
    expect(stepOf(lost({ cordon: THEIRS, order: orderOf("terminate") }), off)).toBeNull();
    const ended = lost({ instance: instanceOf({ state: "terminated" }), cordon: THEIRS });
    for (const setting of [BLIND, FROZEN, off, none])
      expect(stepOf(ended, setting)).toBe("terminating lost");
  });
});
