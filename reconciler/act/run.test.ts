/** When a call is made, how long it may take, and what becomes of one that is not answered. */
import { describe, expect, test } from "bun:test";
import type { NodeId, OperationId } from "../../schema/id.ts";
import type { Operation } from "../../schema/operation.ts";
import { VirtualClock } from "../../simulator/clock.ts";
import type { Provider, ProviderClass } from "../provider/provider.ts";
import { openNoScheduler } from "../scheduler/none.ts";
import { isFenced, LOOKUPS_MIN, mayCall, type Targets } from "./execute.ts";
import { type Permit, Runner } from "./run.ts";

const KINDS = {
  create: { kind: "create", provider: "cloud", request: {} },
  terminate: { kind: "terminate", provider: "cloud", instanceId: "i-1" },
  cordon: { kind: "cordon", why: "broken" },
  drain: { kind: "drain", purpose: "repair", deadlineAt: 0, gracePeriodMs: -1, force: true },
  reboot: { kind: "reboot", provider: "cloud", instanceId: "i-1", bootId: "b" },
} as const;

const operation = (kind: keyof typeof KINDS, more: Partial<Operation> = {}): Operation =>
  ({
    id: `n.1.${kind}` as OperationId,
    node: "n" as NodeId,
    session: null,
    fence: 1,
    state: "asked",
    notBefore: 0,
    attempts: 0,
    lookups: 0,
    payload: KINDS[kind],
    ...more,
  }) as unknown as Operation;

/** A cloud that notes each call and answers when the test says so. */
function world(cls: ProviderClass = "token", permit?: Permit) {
  const calls: string[] = [];
  let answer: (value: { kind: "accepted" }) => void = () => undefined;
  const hang = (name: string) => async () => {
    calls.push(name);
    const { promise, resolve } = Promise.withResolvers<{ kind: "accepted" }>();
    answer = resolve;
    return promise;
  };
  const provider = {
    class: cls,
    create: hang("create"),
    terminate: hang("terminate"),
    reboot: hang("reboot"),
  } as unknown as Provider;
  const targets: Targets = {
    provider: () => provider,
    scheduler: { ...openNoScheduler(), drain: hang("drain") } as unknown as Targets["scheduler"],
    credential: () => "secret",
  };
  const clock = new VirtualClock();
  const runner = new Runner(targets, clock, () => undefined, permit);
  return { calls, clock, runner, targets, answer: () => answer({ kind: "accepted" }) };
}

describe("Runner", () => {
  test("makes no call that the permit does not allow, and asks it for each", async () => {
    const asked: [string, boolean][] = [];
    let allows = false;
    const permit: Permit = {
      mayStart: ({ payload }, fenced) => (asked.push([payload.kind, fenced]), allows),
      unfencedMs: 7_000,
    };
    const { runner, calls, clock } = world("tag-only", permit);
    runner.start([operation("create"), operation("terminate")], 0);
    await clock.pass(1);
    expect(calls).toEqual([]);
    expect(runner.inFlight()).toBe(0);
    expect(asked).toEqual([
      ["create", false],
      ["terminate", true],
    ]);
    allows = true;
    runner.start([operation("terminate")], 0);
    await clock.pass(1);
    expect(calls).toEqual(["terminate"]);
  });

  test.each(["create", "drain", "reboot"] as const)(
    "gives up waiting for an unfenced %s before the lease can be another's",
    async (kind) => {
      const permit: Permit = { mayStart: () => true, unfencedMs: 7_000 };
      const { runner, clock } = world("tag-only", permit);
      runner.start([operation(kind)], 0);
      await clock.pass(6_999);
      expect(runner.take()).toEqual([]);
      await clock.pass(1);
      const [late] = runner.take();
      expect(late?.outcome).toEqual({ kind: "ambiguous", message: "no answer within 7 s" });
    },
  );

  test("a call that never returns is an unknown outcome after a minute, and frees its place", async () => {
    const { runner, clock, calls } = world();
    runner.start([operation("terminate")], 0);
    await clock.pass(59_999);
    expect(runner.take()).toEqual([]);
    expect(runner.inFlight()).toBe(1);
    await clock.pass(1);
    const [late] = runner.take();
    expect(late?.outcome).toEqual({ kind: "ambiguous", message: "no answer within 60 s" });
    expect(runner.inFlight()).toBe(0);
    runner.start([operation("terminate")], clock.wallMs());
    await clock.pass(1);
    expect(calls).toHaveLength(2);
  });

  test("calls nothing twice while the first call is out or its answer is not taken", async () => {
    const { runner, clock, calls, answer } = world();
    for (let i = 0; i < 3; i += 1) runner.start([operation("terminate")], 0);
    await clock.pass(1);
    answer();
    await clock.pass(1);
    runner.start([operation("terminate")], 0);
    await clock.pass(1);
    expect(calls).toEqual(["terminate"]);
    expect(runner.take()).toMatchObject([{ outcome: { kind: "done" } }]);
  });

  test("makes sixteen calls of one kind at a time, and does not hold up another kind", async () => {
    const { runner, clock, calls } = world();
    const many = Array.from({ length: 40 }, (_, i) =>
      operation("create", { id: `n${i}.1.create` as OperationId }),
    );
    runner.start([...many, operation("terminate")], 0);
    await clock.pass(1);
    expect(calls.filter((name) => name === "create")).toHaveLength(16);
    expect(calls).toContain("terminate");
  });

  test.each([
    ["rests until its time", { notBefore: 5_000 }, 4_999, false],
    ["is due", { notBefore: 5_000 }, 5_000, true],
    ["was closed", { state: "done" }, 9_000, false],
  ] as const)("an operation that %s", async (_what, more, now, calls) => {
    const made = world();
    made.runner.start([operation("terminate", more)], now);
    await made.clock.pass(1);
    expect(made.calls).toEqual(calls ? ["terminate"] : []);
  });

  test("what `may` refuses is not called: a person's hold stops an intended call", async () => {
    const { runner, clock, calls } = world();
    runner.start([operation("terminate")], 0, () => false);
    await clock.pass(1);
    expect(calls).toEqual([]);
  });
});

describe("isFenced()", () => {
  test.each([
    ["create", "token", true],
    ["create", "name", true],
    ["create", "tag-only", false],
    ["terminate", "tag-only", true],
    ["reboot", "token", false],
    ["cordon", "token", false],
    ["drain", "token", false],
  ] as const)("%s at a %s cloud: %p", (kind, cls, fenced) => {
    expect(isFenced(operation(kind), world(cls).targets)).toBe(fenced);
  });
});

describe("mayCall()", () => {
  const { targets } = world("tag-only");
  test("a tag-only create is asked once, then only after it was looked for and not found", () => {
    expect(mayCall(operation("create"), targets)).toBe(true);
    const asked = { attempts: 1 };
    expect(mayCall(operation("create", asked), targets)).toBe(false);
    expect(mayCall(operation("create", { ...asked, lookups: LOOKUPS_MIN - 1 }), targets)).toBe(false);
    expect(mayCall(operation("create", { ...asked, lookups: LOOKUPS_MIN }), targets)).toBe(true);
    expect(LOOKUPS_MIN).toBe(2);
  });
  test("a cloud that recognises a repeat may be asked again at once", () => {
    expect(mayCall(operation("create", { attempts: 1 }), world("token").targets)).toBe(true);
    expect(mayCall(operation("terminate", { attempts: 1 }), targets)).toBe(true);
  });
});
