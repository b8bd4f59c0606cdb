/** What each answer to an operation makes of it, of its node and of its pool. */
import { type Millis, waitMs } from "../../../schema/millis.ts";
import { describe, expect, test } from "bun:test";
import type { InstanceId, OperationId } from "../../../schema/id.ts";
import type { KubeFact, Node, Phase } from "../../../schema/node.ts";
import type { Operation, Payload } from "../../../schema/operation.ts";
import {
  agentOf,
  instanceOf,
  kubeOf,
  nodeOf,
  operationOf,
  POOL,
  sessionOf,
  sickOf,
} from "../../../test/world/part.ts";
import { type Fact, factKey } from "../../../schema/safety.ts";
import type { Instance, RefusalClass } from "../provider.ts";
import type { Rest } from "../safety/rest.ts";
import { backoffMs } from "../turn/backoff.ts";
import { foldOutcome, type Outcome } from "./outcome.ts";
import { bindInstance } from "./listing.ts";
import { newHealth } from "./new-node.ts";

const NOW = 1_000_000;
const NONE = () => null;
const NO_RESTS = { put: [], drop: [] };
const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const OFFER = "p/r/z/h100";
const MACHINE = "i-n" as InstanceId;

const CREATE = {
  kind: "create",
  provider: POOL,
  offer: OFFER,
  guard: `${OFFER}#set-up`,
  pricePerHour: 30,
  request: {
    name: "n",
    region: "r",
    zone: "z",
    instanceType: "h100",
    market: "on-demand",
    reservation: null,
  },
} as unknown as Extract<Payload, { kind: "create" }>;
const TERMINATE: Payload = { kind: "terminate", provider: POOL, instanceId: MACHINE };
const REBOOT: Payload = { kind: "reboot", provider: POOL, instanceId: MACHINE, bootId: "boot-1" };
const DRAIN: Payload = {
  kind: "drain",
  purpose: "repair",
  deadlineAt: 7_000,
  gracePeriodMs: -1,
  force: false,
};
const CORDON: Payload = { kind: "cordon", why: "broken" };
const UNCORDON: Payload = { kind: "uncordon", why: "well again" };
const SET_UP = { kind: "bootstrap", attempt: 2, address: "192.0.2.7" } as Payload;

const requested: Phase = { kind: "requested", since: 1, attempt: 1, notBefore: 0, refusal: null };
const terminating: Phase = {
  kind: "terminating",
  since: 1,
  purpose: "replace",
  accepted: null,
  notBefore: 0,
};

type Case = { node?: Partial<Node>; over?: Partial<Operation>; facts?: readonly Fact[] };

function ask(payload: Payload, outcome: Outcome, more: Case = {}) {
  const id = `n.4.${payload.kind}` as OperationId;
  const node = nodeOf("n", { fence: 4, operation: id, ...more.node });
  const operation = operationOf(node, payload, { id, because: ["XID 79"], ...more.over });
  const facts = (key: string) => more.facts?.find((fact) => factKey(fact) === key) ?? null;
  return { node, operation, folded: foldOutcome(operation, node, facts, outcome, NOW) };
}

const done = (more: Partial<Extract<Outcome, { kind: "done" }>> = {}): Outcome => ({
  kind: "done",
  instance: null,
  message: null,
  ...more,
});
const refused = (
  cls: Extract<Outcome, { kind: "refused" }>["class"],
  more: Partial<Extract<Outcome, { kind: "refused" }>> = {},
): Outcome => ({ kind: "refused", class: cls, message: "no", retryAfterMs: null, ...more });
const lost: Outcome = { kind: "ambiguous", message: "the connection broke" };
const said = ({ folded }: ReturnType<typeof ask>): [string, string][] =>
  folded.events.map(({ kind, message }) => [kind, message]);

describe("backoffMs()", () => {
  test.each([
    [0, 1_000, 60_000, 1_000],
    [1, 1_000, 60_000, 1_000],
    [2, 1_000, 60_000, 2_000],
    [6, 1_000, 60_000, 32_000],
    [7, 1_000, 60_000, 60_000],
    [1_000_000, 1, Number.POSITIVE_INFINITY, 2 ** 30],
    [31, 1, Number.POSITIVE_INFINITY, 2 ** 30],
    [30, 1, Number.POSITIVE_INFINITY, 2 ** 29],
  ])("of try %d, from %d ms to %d ms, is %d ms", (tries, first, max, expected) => {
    expect<number>(backoffMs(tries, first, max)).toBe(expected);
  });
});

describe("foldOutcome() of what stays open", () => {
  test.each<[string, Payload, Outcome, number, boolean]>([
    ["an unknown outcome", CORDON, lost, 0, true],
    ["a rate limit", TERMINATE, refused("rate_limit"), 0, true],
    ["a key that is refused later", TERMINATE, refused("auth"), 1, true],
    ["a key that is refused at once", TERMINATE, refused("auth"), 0, false],
    ["no capacity, asked again", CREATE, refused("capacity"), 3, false],
    ["a scheduler that refuses at once", CORDON, refused("scheduler"), 0, false],
    ["a scheduler that refuses later", CORDON, refused("scheduler"), 1, true],
    ["a scheduler that has refused seven times", CORDON, refused("scheduler"), 7, true],
    ["a scheduler that has refused eight times", CORDON, refused("scheduler"), 8, false],
  ])("%s", (_what, payload, outcome, attempts, isOpen) => {
    const { folded } = ask(payload, outcome, { over: { attempts } });
    expect(folded.operation.state === "asked").toBe(isOpen);
    expect(folded.operation.attempts).toBe(attempts + 1);
    if (isOpen) expect(folded).toMatchObject({ node: null, rests: NO_RESTS, events: [] });
  });

  test("is asked again later, with the same payload", () => {
    const { folded, operation } = ask(CORDON, lost, { over: { attempts: 2 } });
    expect(folded.operation).toEqual({
      ...operation,
      attempts: 3,
      notBefore: NOW + 4_000,
      message: "the connection broke",
    });
    expect(ask(CORDON, lost).folded.operation.notBefore).toBe(NOW + 1_000);
    const late = ask(CORDON, lost, { over: { attempts: 40 } });
    expect(late.folded.operation.notBefore).toBe(NOW + MINUTE_MS);
  });

  test("heeds how long a cloud asks to be left alone, up to ten minutes", () => {
    const after = (retryAfterMs: number) =>
      ask(TERMINATE, refused("rate_limit", { retryAfterMs: waitMs(retryAfterMs) })).folded.operation
        .notBefore - NOW;
    expect([after(3_000), after(HOUR_MS)]).toEqual([3_000, 10 * MINUTE_MS]);
  });

  test("counts what was looked for from the latest sending of a create alone", () => {
    const over = { askedAt: 5, lookups: 1 };
    expect(ask(CREATE, lost, { over }).folded.operation).toMatchObject({
      askedAt: NOW,
      lookups: 0,
    });
    expect(ask(TERMINATE, lost, { over }).folded.operation).toMatchObject(over);
  });
});

describe("foldOutcome() of what is closed", () => {
  test("closes it once, and frees the node", () => {
    const { folded, operation } = ask(DRAIN, done({ message: "drains" }));
    expect(folded.operation).toEqual({
      ...operation,
      attempts: 1,
      state: "done",
      closedAt: NOW,
      message: "drains",
    });
    expect(folded.node).toMatchObject({ operation: null, fence: 4 });
    const no = ask(CORDON, refused("scheduler")).folded;
    expect(no.operation).toMatchObject({ state: "refused", closedAt: NOW, message: "no" });
    expect(no.node).toMatchObject({ operation: null, fence: 5 });
  });

  test("changes no node that is at something else, or is no more", () => {
    const id = "n.4.cordon" as OperationId;
    const other = ask(CORDON, done(), { node: { operation: "n.5.drain" as OperationId } });
    expect(other.folded).toMatchObject({ node: null, rests: NO_RESTS, events: [] });
    expect(other.folded.operation.state).toBe("done");
    const operation = operationOf(nodeOf("n"), CORDON, { id });
    const folded = foldOutcome(operation, null, NONE, done(), NOW);
    expect(folded).toMatchObject({ node: null, rests: NO_RESTS, events: [] });
    expect(folded.operation.state).toBe("done");
  });

  test.each<[Payload, boolean]>([
    [DRAIN, true],
    [REBOOT, true],
    [CORDON, false],
  ])("only frees a node that was given back meanwhile: %o", (payload, isOvertaken) => {
    const { folded, node } = ask(payload, done(), { over: { fence: 3 } });
    if (isOvertaken) {
      expect(folded.node).toEqual({ ...node, operation: null });
      expect(folded.events).toEqual([]);
      expect(folded.rests).toEqual(NO_RESTS);
    } else expect(folded.events).toHaveLength(1);
  });
});

const MADE = {
  id: "i-7" as InstanceId,
  hostKeys: null,
  failure: null,
  notice: null,
  name: "n",
  state: "provisioning",
  region: "r",
  zone: null,
  instanceType: "h100",
  internalIp: null,
  externalIp: null,
  pricePerHour: null,
  createdAtMs: 1,
  tags: {},
} as unknown as Instance;

describe("foldOutcome() of a purchase", () => {
  const phase = requested;
  const buy = (instance: Instance | null, payload: Payload = CREATE, facts: readonly Fact[] = []) =>
    ask(payload, done({ instance }), { node: { instance: null, phase }, facts });

  test("binds the machine, at the price that was known", () => {
    const bought = buy(MADE);
    const { node } = bought;
    expect(bought.folded.node).toEqual({
      ...node,
      operation: null,
      instance: {
        ...bindInstance(POOL, MADE, NOW),
        market: "on-demand",
        pricePerHour: 30,
        cost: { to: MADE.createdAtMs, pricePerHour: 30, endedAt: null },
      },
      offer: `${OFFER}#set-up`,
      phase: { kind: "booting", since: NOW },
    });
    expect(bought.folded.events).toEqual([
      {
        at: NOW,
        kind: "node.booting",
        node: node.id,
        pool: POOL,
        session: null,
        actor: "navarch",
        message: "instance i-7 at p is starting",
      },
    ]);
    const told = buy({ ...MADE, pricePerHour: 25 } as Instance).folded.node;
    expect(told?.instance?.pricePerHour).toBe(25);
    const { guard: _, pricePerHour: __, ...bare } = CREATE;
    expect(buy(MADE, bare as Payload).folded.node).toMatchObject({
      offer: null,
      instance: { pricePerHour: null },
    });
  });

  test("keeps what its agent said since it was asked for, and nothing of another machine", () => {
    const after = (registeredAt: number, over: Partial<Operation>) => {
      const agent = { ...agentOf(), registeredAt };
      const health = { ...newHealth(), verdict: "healthy" as const, lastCheckAt: registeredAt };
      const node = { instance: null, phase, agent, health };
      return ask(CREATE, done({ instance: MADE }), { node, over }).folded.node;
    };
    const asked = { askedAt: 500 };
    expect(after(499, asked)).toMatchObject({ agent: null, health: { verdict: "unknown" } });
    expect(after(500, asked)).toMatchObject({
      agent: { registeredAt: 500 },
      health: { verdict: "healthy" },
    });
    // The first of several calls may have bought it.
    expect(after(300, { ...asked, firstAskedAt: 300 })?.agent).not.toBeNull();
    expect(after(299, { ...asked, firstAskedAt: 300 })?.agent).toBeNull();
  });

  const rest = (more: Partial<Rest> = {}): Rest => ({
    ...{
      kind: "rest",
      scope: OFFER,
      failures: 2,
      notBefore: 9,
      class: "capacity",
      message: "x",
      at: 1,
    },
    ...{ isOpen: false, ...more },
  });
  const lately = (facts: Rest[], askedAt = 5) =>
    ask(CREATE, done({ instance: MADE }), {
      node: { instance: null, phase },
      facts,
      over: { askedAt },
    }).folded.rests;

  test("opens the place that sold it, and ends the rests around it", () => {
    const quota = rest({ scope: "quota:p/r/h100/on-demand", class: "quota" });
    const account = rest({ scope: "provider:p", class: "auth" });
    expect(lately([rest(), quota, account, rest({ scope: "p/r/y/h100" })])).toEqual({
      put: [rest({ isOpen: true, notBefore: 0 })],
      drop: [factKey(quota), factKey(account)],
    });
    expect(lately([rest({ isOpen: true })])).toEqual(NO_RESTS);
    expect(lately([rest({ class: "lemon" })])).toEqual(NO_RESTS);
    // The place refused another purchase since this one was asked for.
    expect(lately([rest({ at: 6 })])).toEqual(NO_RESTS);
  });

  test("that the cloud ended before it ran is a refusal that came late", () => {
    const failure = { class: "capacity", message: "no H100 left" } as const;
    const dead = { ...MADE, state: "terminated", failure } as Instance;
    const one = buy(dead);
    expect(one.folded.operation.state).toBe("refused");
    expect(one.folded.node).toMatchObject({
      instance: null,
      phase: { kind: "requested", attempt: 2 },
    });
    expect(one.folded.rests.put).toMatchObject([{ scope: OFFER, class: "capacity", failures: 1 }]);
    expect(said(one)).toEqual([
      [
        "provider.error",
        "create refused (capacity): instance i-7 was accepted and never ran: no H100 left",
      ],
    ]);
    const throttled = { ...dead, failure: { class: "rate_limit", message: "x" } } as Instance;
    expect(buy(throttled).folded.rests.put).toMatchObject([{ scope: OFFER, class: "capacity" }]);
    // Only its end proves that it will not run.
    expect(buy({ ...dead, state: "provisioning" }).folded.operation.state).toBe("done");
  });

  test("that is throttled rests the whole provider, and stays open", () => {
    const one = ask(CREATE, refused("rate_limit", { retryAfterMs: waitMs(12_000) }), {
      node: { instance: null, phase },
    });
    expect(one.folded.operation.state).toBe("asked");
    expect(one.folded.rests).toEqual({
      put: [
        rest({
          scope: "provider:p",
          class: "rate_limit",
          failures: 1,
          notBefore: NOW + 12_000,
          message: "no",
          at: NOW,
        }),
      ],
      drop: [],
    });
    expect(ask(TERMINATE, refused("rate_limit")).folded.rests).toEqual(NO_RESTS);
  });

  test("that is throttled before anything was sent needs no look for an instance before its repeat", () => {
    const throttled = (attempts: number, askedAt: number) =>
      ask(CREATE, refused("rate_limit"), {
        over: { attempts, askedAt },
        node: { instance: null, phase },
      }).folded.operation;
    // `attempts: 0` lets a tag-only provider be asked again without settled listings (`mayCall`).
    expect(throttled(0, NOW - 10_000)).toMatchObject({ attempts: 0, notBefore: NOW + 5_000 });
    expect(throttled(0, NOW)).toMatchObject({ attempts: 0, notBefore: NOW + 1_000 });
    expect(throttled(0, NOW - 10 * MINUTE_MS)).toMatchObject({ notBefore: NOW + MINUTE_MS });
    // After a call of unknown outcome it proves nothing about that call.
    // But what lists have shown since then stays shown.
    expect(throttled(1, NOW - 10_000)).toMatchObject({ attempts: 2, askedAt: NOW - 10_000 });
    expect(ask(CREATE, lost, { node: { instance: null, phase } }).folded.operation.attempts).toBe(
      1,
    );
  });

  test("without a machine is a fault of the adapter", () => {
    expect(() => buy(null)).toThrow("n.4.create: created without an instance");
  });

  const rests: [RefusalClass, number, number, number, string][] = [
    ["capacity", 30_000, 60_000, 15 * MINUTE_MS, OFFER],
    ["quota", 15 * MINUTE_MS, 30 * MINUTE_MS, 6 * HOUR_MS, "quota:p/r/h100/on-demand"],
    ["auth", MINUTE_MS, MINUTE_MS, MINUTE_MS, "provider:p"],
    ["billing", 15 * MINUTE_MS, 15 * MINUTE_MS, 15 * MINUTE_MS, "provider:p"],
    ["bad_request", 15 * MINUTE_MS, 30 * MINUTE_MS, HOUR_MS, OFFER],
    ["stale_fence", 1_000, 1_000, 1_000, OFFER],
  ];
  test.each(rests)("that is refused (%s) lets it rest", (cls, first, second, most, scope) => {
    let facts: Rest[] = [];
    const seen: number[] = [];
    for (let i = 0; i < 12; i++) {
      const over = { askedAt: NOW + 1 };
      const { folded } = ask(CREATE, refused(cls), {
        node: { instance: null, phase },
        facts,
        over,
      });
      facts = folded.rests.put;
      seen.push((facts[0]?.notBefore ?? 0) - NOW);
    }
    expect([seen[0], seen[1], seen[11]]).toEqual([first, second, most]);
    expect(facts).toMatchObject([
      { scope, failures: 12, class: cls, message: "no", isOpen: false },
    ]);
  });

  test("counts refusals of one burst once", () => {
    const before = rest({ at: 6 });
    const of = (askedAt: number) =>
      ask(CREATE, refused("capacity"), {
        node: { instance: null, phase },
        facts: [before],
        over: { askedAt },
      });
    expect(of(6).folded.rests.put).toMatchObject([{ failures: 2 }]);
    expect(of(7).folded.rests.put).toMatchObject([{ failures: 3, notBefore: NOW + 120_000 }]);
  });

  test("that is refused is counted, said, and tried again", () => {
    const one = ask(CREATE, refused("capacity", { retryAfterMs: waitMs(5_000) }), {
      node: { instance: null, phase },
    });
    expect(one.folded.node).toEqual({
      ...one.node,
      operation: null,
      fence: 5,
      phase: {
        ...requested,
        attempt: 2,
        refusal: "capacity: no",
        refused: { class: "capacity", message: "no" },
      },
    });
    expect(one.folded.rests.put).toMatchObject([{ notBefore: NOW + 5_000, message: "no" }]);
    expect(said(one)).toEqual([["provider.error", "create refused (capacity): no"]]);
    const week = ask(CREATE, refused("quota", { retryAfterMs: waitMs(168 * HOUR_MS) }), {
      node: { instance: null, phase },
    });
    expect(week.folded.rests.put[0]?.notBefore).toBe(NOW + 6 * HOUR_MS);
  });

  test.each<[string, Payload, Phase, Outcome]>([
    ["of a node that is not requested any more", CREATE, terminating, refused("capacity")],
    ["by the scheduler", CREATE, requested, refused("scheduler")],
    ["by a set-up", CREATE, requested, refused("bootstrap")],
    ["that was none", TERMINATE, requested, refused("capacity")],
  ])("%s rests the node alone", (_what, payload, at, outcome) => {
    const { folded, node } = ask(payload, outcome, { node: { phase: at } });
    expect(folded.rests).toEqual(NO_RESTS);
    expect(folded.node).toEqual({ ...node, operation: null, fence: 5, restUntil: NOW + 10_000 });
  });
});

describe("foldOutcome() of an end", () => {
  test("that is accepted waits for the cloud's confirmation", () => {
    const one = ask(TERMINATE, done(), { node: { phase: terminating } });
    expect(one.folded.node).toEqual({
      ...one.node,
      operation: null,
      phase: { ...terminating, accepted: NOW },
    });
    expect(said(one)).toEqual([["node.terminating", "p accepted the end of instance i-n"]]);
    expect(ask(TERMINATE, done()).folded.node?.phase).toEqual(nodeOf("n").phase);
  });

  test("that is refused is tried for ever, up to every five minutes", () => {
    const rest = (fence: number, retryAfterMs: Millis | null = null) => {
      const node = { phase: terminating, fence };
      const { phase } = ask(TERMINATE, refused("bad_request", { retryAfterMs }), { node }).folded
        .node ?? {
        phase: terminating,
      };
      return "notBefore" in phase ? phase.notBefore - NOW : null;
    };
    // A refusal moves the fence on before it is read.
    expect([rest(0), rest(1), rest(4), rest(8), rest(90)]).toEqual([
      1_000, 2_000, 16_000, 256_000, 300_000,
    ]);
    expect([rest(1, waitMs(40_000)), rest(1, waitMs(99 * HOUR_MS))]).toEqual([40_000, 6 * HOUR_MS]);
    const one = ask(TERMINATE, refused("bad_request"), { node: { phase: terminating } });
    expect(one.folded.node).toMatchObject({ restUntil: 0, operation: null });
    expect(said(one)).toEqual([["provider.error", "terminate refused (bad_request): no"]]);
  });
});

describe("foldOutcome() of a reboot", () => {
  test("is tried on this very machine, and counted in its repair", () => {
    const session = sessionOf({ attempts: { "gpu-reset": 1, reboot: 1 } });
    const one = ask(REBOOT, done(), { node: { session } });
    expect(one.folded.node).toEqual({
      ...one.node,
      operation: null,
      rebootedAt: NOW,
      session: { ...session, attempts: { "gpu-reset": 1, reboot: 2 } },
      phase: { kind: "repairing", since: NOW, rung: "reboot", bootId: "boot-1" },
    });
    expect(said(one)).toEqual([["node.repairing", "p reboots instance i-n"]]);
    const first = ask(REBOOT, done(), { node: { session: sessionOf() } }).folded.node;
    expect(first?.session?.attempts).toEqual({ reboot: 1 });
    expect(ask(REBOOT, done()).folded.node?.session).toBeNull();
  });

  test("of unknown outcome counts as done: the boot id will tell", () => {
    const one = ask(REBOOT, lost);
    expect(one.folded.operation).toMatchObject({
      state: "done",
      message: "the connection broke: its boot id will show it",
    });
    expect(one.folded.node?.phase.kind).toBe("repairing");
  });

  test("that is refused lets the node rest", () => {
    const one = ask(REBOOT, refused("bad_request", { retryAfterMs: waitMs(30_000) }));
    expect(one.folded.node).toMatchObject({ phase: { kind: "serving" }, restUntil: NOW + 30_000 });
    expect(said(one)).toEqual([["provider.error", "reboot refused (bad_request): no"]]);
  });
});

describe("foldOutcome() of a drain", () => {
  test("is under way, with its own deadline", () => {
    const one = ask(DRAIN, done());
    expect(one.folded.node?.phase).toEqual({
      kind: "draining",
      since: NOW,
      deadlineAt: 7_000,
      drainedAt: null,
      sawWork: false,
      purpose: "repair",
    });
    expect(said(one)).toEqual([["node.draining", "XID 79"]]);
    const both = ask(DRAIN, done(), { over: { because: ["a", "b"] } });
    expect(said(both)[0]?.[1]).toBe("a; b");
    expect(said(ask(DRAIN, done(), { over: { because: [] } }))[0]?.[1]).toBe("asked to drain");
  });
});

describe("foldOutcome() of a mark", () => {
  const kube = kubeOf({
    uid: "u1",
    restUntil: 9,
    refusals: 3,
    refusal: { what: "cordon", message: "x", since: 1, at: 2 },
  });
  const rested = { restUntil: 0, refusals: 0, refusal: null };
  const product = { by: "navarch", why: "broken", at: NOW };

  test("cordons the node, as the product, and knows on which object", () => {
    const one = ask(CORDON, done({ on: "u1" }), { node: { kube } });
    expect(one.folded.node).toEqual({
      ...one.node,
      operation: null,
      cordon: { product, human: null },
      kube: { ...kube, ...rested, isolatedUid: "u1", own: true, unschedulable: true },
    });
    expect(said(one)).toEqual([["node.cordoned", "broken"]]);
  });

  test.each<[string, string | null | undefined, KubeFact]>([
    ["another object", "u2", { ...kube, ...rested, isolatedUid: "u2", own: false }],
    ["none", null, { ...kube, ...rested, isolatedUid: null, own: false }],
    ["nobody knows which", undefined, { ...kube, ...rested, isolatedUid: null, own: false }],
  ])("takes a mark that was read back on %s for no share in this one", (_what, on, expected) => {
    const answer = on === undefined ? done() : done({ on });
    expect(
      ask(CORDON, answer, { node: { kube: { ...kube, own: true } } }).folded.node?.kube,
    ).toEqual(expected);
  });

  test("spends from the isolation budget only where there is evidence", () => {
    const id = "n.4.cordon" as OperationId;
    const sick = sickOf("n", { fence: 4, operation: id });
    const operation = operationOf(sick, CORDON, { id });
    expect(foldOutcome(operation, sick, NONE, done(), NOW).node?.isolatedAt).toBe(NOW);
    expect(ask(CORDON, done(), { node: { isolatedAt: 5 } }).folded.node?.isolatedAt).toBe(5);
  });

  test("uncordons the node, and keeps a person's cordon", () => {
    const human = { by: "human:ann", why: "x", at: 1 };
    const node = { cordon: { product, human }, kube: { ...kube, isolatedUid: "u1", own: true } };
    const one = ask(UNCORDON, done({ message: "kubectl holds it too" }), { node });
    expect(one.folded.node).toEqual({
      ...one.node,
      operation: null,
      cordon: { product: null, human },
      kube: { ...kube, ...rested, isolatedUid: null, own: false },
    });
    expect(said(one)).toEqual([["node.uncordoned", "well again (kubectl holds it too)"]]);
    const kept = ask({ ...UNCORDON, keep: true } as Payload, done(), { node });
    expect(kept.folded.node).toMatchObject({ cordon: { product: null }, kube: node.kube });
    expect(said(kept)).toEqual([["node.uncordoned", "well again"]]);
  });

  test("without an object in a cluster is the record's alone", () => {
    expect(ask(CORDON, done()).folded.node).toMatchObject({ kube: null, cordon: { product } });
    expect(
      ask(UNCORDON, done(), { node: { cordon: { product, human: null } } }).folded.node,
    ).toMatchObject({
      kube: null,
      cordon: { product: null },
    });
  });

  test("that the API server refuses is recorded with its reason, ever more rarely", () => {
    const first = ask(CORDON, refused("scheduler"), { node: { kube: kubeOf() } });
    expect(said(first)).toEqual([["kube.refused", "Kubernetes does not cordon Node k: no"]]);
    expect(first.folded.node).toMatchObject({
      restUntil: NOW + 10_000,
      kube: { refusals: 1, refusal: { what: "cordon", message: "no", since: NOW, at: NOW } },
    });
    const refusal = { what: "cordon", message: "no", since: 1, at: 2 };
    const third = ask(CORDON, refused("scheduler"), {
      node: { kube: kubeOf({ refusals: 2, refusal }) },
    });
    expect(said(third)).toEqual([]);
    expect(third.folded.node?.kube?.refusals).toBe(3);
  });

  test("that no cluster refused is the provider's or the scheduler's error", () => {
    const bare = ask(CORDON, refused("scheduler"));
    expect(said(bare)).toEqual([["provider.error", "cordon refused (scheduler): no"]]);
    expect(bare.folded.node?.kube).toBeNull();
    const other = ask(CORDON, refused("bad_request"), { node: { kube: kubeOf() } });
    expect(said(other)).toEqual([["provider.error", "cordon refused (bad_request): no"]]);
    expect(other.folded.node?.kube).toEqual(kubeOf());
  });
});

describe("foldOutcome() of a mark that is only mirrored", () => {
  const kube = kubeOf({ uid: "u1", refusals: 1 });
  const MIRROR = { ...CORDON, mirror: true } as Payload;
  const LIFT = { ...UNCORDON, mirror: true } as Payload;

  test("tells the cluster, and cordons nobody", () => {
    const one = ask(MIRROR, done({ on: "u1" }), { node: { kube } });
    expect(one.folded.node).toMatchObject({
      operation: null,
      cordon: { product: null, human: null },
      kube: { isolatedUid: "u1", own: true, refusals: 0 },
    });
    expect(said(one)).toEqual([["kube.cordoned", "marked in Kubernetes: broken"]]);
  });

  test("lifts the mark, and leaves the record's cordon", () => {
    const product = { by: "navarch", why: "x", at: 1 };
    const node = {
      cordon: { product, human: null },
      kube: { ...kube, isolatedUid: "u1", own: true },
    };
    const one = ask(LIFT, done(), { node });
    expect(one.folded.node).toMatchObject({
      cordon: { product },
      kube: { isolatedUid: null, own: false },
    });
    expect(said(one)).toEqual([["kube.uncordoned", "well again"]]);
  });

  test("clears what a person's uncordon left without a word, seen gone already or not", () => {
    for (const noted of [{ noted: true }, {}]) {
      const left = { ...kube, isolatedUid: null, own: false, ...noted };
      const one = ask(LIFT, done(), { node: { kube: left } });
      expect(one.folded.node).toMatchObject({ kube: { isolatedUid: null, own: false } });
      expect(said(one)).toEqual([]);
    }
  });

  test.each<[string, Payload, Outcome, string]>([
    ["an unknown outcome", MIRROR, lost, "the connection broke"],
    ["a refusal", LIFT, refused("scheduler"), "no"],
    ["a refusal of a repeat", MIRROR, refused("rate_limit"), "no"],
    ["a mark that was not read back", MIRROR, done(), "it was not marked"],
    ["a mark that was put on nothing", MIRROR, done({ on: null, message: "gone" }), "gone"],
  ])("%s closes it, and it is told again later", (_what, payload, outcome, message) => {
    const one = ask(payload, outcome, { node: { kube }, over: { attempts: 1 } });
    expect(one.folded.operation).toEqual({
      ...one.operation,
      attempts: 2,
      state: "refused",
      closedAt: NOW,
      message,
    });
    expect(one.folded.node).toEqual({
      ...one.node,
      operation: null,
      kube: {
        ...kube,
        refusals: 2,
        refusal: { what: payload.kind, message, since: NOW, at: NOW },
        restUntil: NOW + 10_000,
      },
    });
    expect(said(one)).toEqual([
      ["kube.refused", `Kubernetes does not ${payload.kind} Node k: ${message}`],
    ]);
    expect(one.folded.rests).toEqual(NO_RESTS);
  });

  test.each([
    [0, 5_000],
    [3, 40_000],
    [5, 160_000],
    [6, 5 * MINUTE_MS],
    [90, 5 * MINUTE_MS],
  ])("rests after refusal %d + 1 for %d ms", (refusals, rest) => {
    const { folded } = ask(MIRROR, lost, { node: { kube: { ...kube, refusals } } });
    expect((folded.node?.kube?.restUntil ?? 0) - NOW).toBe(rest);
  });

  test("says the same refusal not each time", () => {
    const refusal = { what: "cordon", message: "no", since: 1, at: 2 };
    const again = { node: { kube: { ...kube, refusals: 2, refusal } } };
    expect(said(ask(MIRROR, refused("scheduler"), again))).toEqual([]);
  });

  test("changes no other node, and frees one whose object is gone", () => {
    const busy = ask(MIRROR, lost, { node: { kube, operation: "n.5.drain" as OperationId } });
    expect(busy.folded).toMatchObject({ node: null, events: [] });
    expect(busy.folded.operation.state).toBe("refused");
    const bare = ask(MIRROR, lost);
    expect(bare.folded).toMatchObject({ node: { operation: null, kube: null }, events: [] });
    const operation = operationOf(nodeOf("n"), MIRROR);
    expect(foldOutcome(operation, null, NONE, lost, NOW).node).toBeNull();
  });
});

describe("foldOutcome() of a set-up", () => {
  const bootstrap = { attempts: 1, doneAt: null, error: "no", final: false, hostKey: null };

  test("that is over is known, with its key", () => {
    const one = ask(SET_UP, done({ hostKey: "KEY" }));
    expect(said(one)).toEqual([["node.bootstrapped", "set up at 192.0.2.7, attempt 2"]]);
    expect(one.folded.node?.bootstrap).toEqual({
      attempts: 2,
      doneAt: NOW,
      error: null,
      final: false,
      hostKey: "KEY",
    });
  });

  test("that failed is told each time, one that waits only when its reason changes", () => {
    const told = (more: object, before: Node["bootstrap"] = bootstrap) =>
      said(ask(SET_UP, refused("bootstrap", more), { node: { bootstrap: before } }));
    expect(told({})).toEqual([["node.bootstrapping", "attempt 2 failed: no"]]);
    expect(told({ unspent: true })).toEqual([]);
    expect(told({ unspent: true, message: "else" })).toEqual([
      ["node.bootstrapping", "attempt 2 waits: else"],
    ]);
    expect(told({ unspent: true }, null)).toEqual([["node.bootstrapping", "attempt 2 waits: no"]]);
    const one = ask(SET_UP, refused("bootstrap", { final: true }));
    expect(one.folded.node).toMatchObject({
      restUntil: 0,
      bootstrap: { final: true, error: "no" },
    });
  });
});

test("bindInstance() of an outcome keeps what the cloud says", () => {
  expect(bindInstance(POOL, MADE, NOW)).toMatchObject({
    ...instanceOf({ id: MADE.id }),
    provider: POOL,
    state: "provisioning",
    region: "r",
    instanceType: "h100",
    pricePerHour: null,
    boundAt: NOW,
  });
});
