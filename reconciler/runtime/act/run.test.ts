/** When a call is made, how long it may take, and what becomes of one that is not answered. */
import { describe, expect, test } from "bun:test";
import type { NodeId, OperationId } from "../../../schema/id.ts";
import type { Operation } from "../../../schema/operation.ts";
import { VirtualClock } from "../../../simulator/engine/clock.ts";
import type { Provider, ProviderClass } from "../../core/provider.ts";
import { openNoScheduler } from "../no-scheduler.ts";
import type { Outcome } from "../../core/fold/outcome.ts";
import { isFenced, LOOKUPS_MIN, mayCall, type Targets } from "./execute.ts";
import { ALWAYS, type Permit, Runner } from "./run.ts";

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
function world(cls: ProviderClass = "token", permit: Permit = ALWAYS) {
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
    bootstrap: null,
    keyProblem: null,
    readMetric: null,
    slurm: null,
    tasks: null,
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
      ...ALWAYS,
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
      const permit: Permit = { ...ALWAYS, unfencedMs: 7_000 };
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

/** Calls that hang until they are answered or told to end, each with its own signal. */
function lanes(permit: Permit = ALWAYS) {
  const calls: string[] = [];
  const signals = new Map<string, AbortSignal>();
  const answers = new Map<string, (outcome: Outcome) => void>();
  const hang = (id: string, signal?: AbortSignal): Promise<never> => {
    calls.push(id);
    if (signal !== undefined) signals.set(id, signal);
    const { promise, resolve } = Promise.withResolvers<Outcome>();
    answers.set(id, resolve);
    return promise as Promise<never>;
  };
  const cloud = (name: string) =>
    ({
      class: "token",
      create: () => hang(`create at ${name}`),
      terminate: () => hang(`terminate at ${name}`),
      reboot: () => hang(`reboot at ${name}`),
    }) as unknown as Provider;
  const mark = { cordon: () => hang("cordon"), uncordon: () => hang("uncordon") };
  const targets: Targets = {
    provider: cloud,
    scheduler: { ...openNoScheduler(), ...mark, drain: () => hang("drain") } as never,
    credential: () => "secret",
    bootstrap: ({ id }, signal) => hang(String(id), signal),
    keyProblem: null,
    readMetric: null,
    slurm: null,
    tasks: null,
  };
  const clock = new VirtualClock();
  let hints = 0;
  const runner = new Runner(targets, clock, () => void hints++, permit);
  const count = (name: string) => calls.filter((one) => one === name).length;
  return { runner, clock, calls, signals, answers, count, hints: () => hints };
}

const many = (count: number, payload: object): Operation[] =>
  Array.from({ length: count }, (_, i) =>
    operation("terminate", { id: `n${i}.1.x` as OperationId, payload: payload as never }),
  );
const SET_UP = {
  kind: "bootstrap",
  sshTimeoutMs: 1_000,
  sshConnectTimeoutMs: 200,
  commandTimeoutMs: 30_000,
  commands: ["a", "b", "c"],
};

describe("Runner and its lanes", () => {
  test.each<[string, object, number]>([
    ["create at cloud", KINDS.create, 16],
    ["terminate at cloud", KINDS.terminate, 16],
    ["reboot at cloud", KINDS.reboot, 16],
    ["drain", KINDS.drain, 16],
    ["cordon", KINDS.cordon, 64],
    ["uncordon", { kind: "uncordon", why: "well" }, 64],
  ])("holds of %s no more at once than its target bears", async (name, payload, most) => {
    const { runner, clock, count } = lanes();
    runner.start(many(most + 20, payload), 0);
    await clock.pass(1);
    expect(count(name)).toBe(most);
  });

  test("sets up thirty-two machines at once", async () => {
    const { runner, clock, calls } = lanes();
    runner.start(many(40, SET_UP), 0);
    await clock.pass(1);
    expect(calls).toHaveLength(32);
  });

  test("keeps no cloud and no mark waiting for another", async () => {
    const { runner, clock, calls } = lanes();
    const full = many(70, { ...KINDS.cordon, mirror: true });
    const others = [
      ...many(20, KINDS.create),
      ...many(20, KINDS.terminate),
      ...many(20, KINDS.drain),
      ...many(20, KINDS.reboot),
    ];
    const more = [
      { ...KINDS.create, provider: "b" },
      { ...KINDS.terminate, provider: "b" },
    ];
    const last = [...more, KINDS.cordon, { kind: "uncordon", why: "x", mirror: false }];
    const named = [...full, ...others, ...last.flatMap((payload) => many(1, payload))];
    const all = named.map((one, i) => ({ ...one, id: `o${i}` as OperationId }));
    runner.start(all, 0);
    await clock.pass(1);
    expect(calls.slice(-4)).toEqual(["create at b", "terminate at b", "cordon", "uncordon"]);
    expect(calls).toHaveLength(64 + 4 * 16 + 4);
  });

  test("holds both kinds of telling again in one lane", async () => {
    const { runner, clock, calls } = lanes();
    const set = many(64, { ...KINDS.cordon, mirror: true });
    const lift = many(1, { kind: "uncordon", why: "x", mirror: true });
    runner.start([...set, ...lift.map((one) => ({ ...one, id: "l" as OperationId }))], 0);
    await clock.pass(1);
    expect(calls).not.toContain("uncordon");
  });

  test("frees one place for each answer that is taken, and hints at each", async () => {
    const { runner, clock, count, answers, hints } = lanes();
    const all = many(40, KINDS.terminate);
    runner.start(all, 0);
    await clock.pass(1);
    answers.get("terminate at cloud")?.({ kind: "ambiguous", message: "x" });
    await clock.pass(1);
    expect(hints()).toBe(1);
    runner.start(all, 0);
    await clock.pass(1);
    expect(count("terminate at cloud")).toBe(16);
    expect(runner.take()).toHaveLength(1);
    expect(runner.take()).toEqual([]);
    expect(runner.inFlight()).toBe(15);
    runner.start(all.slice(1), 0);
    await clock.pass(1);
    expect(count("terminate at cloud")).toBe(17);
    expect(runner.inFlight()).toBe(16);
  });

  test("calls at once what rests longer than any rest is stored for", async () => {
    const { runner, clock, count } = lanes();
    const rests = (notBefore: number) => {
      runner.start([operation("terminate", { notBefore, id: `r${notBefore}` as OperationId })], 0);
      return clock.pass(1).then(() => count("terminate at cloud"));
    };
    expect(await rests(600_000)).toBe(0);
    expect(await rests(1)).toBe(0);
    expect(await rests(600_001)).toBe(1);
  });
});

describe("Runner and what ends a set-up", () => {
  const one = () => many(1, SET_UP);
  const reason = (signals: Map<string, AbortSignal>): unknown => signals.get("n0.1.x")?.reason;
  const begun = async (permit: Permit = ALWAYS) => {
    const made = lanes(permit);
    made.runner.start(one(), 0);
    await made.clock.pass(1);
    expect(made.signals.get("n0.1.x")?.aborted).toBe(false);
    return made;
  };

  test("is that its operation is no longer open", async () => {
    const { runner, signals } = await begun();
    runner.start(one(), 0);
    expect(signals.get("n0.1.x")?.aborted).toBe(false);
    runner.start([], 0);
    expect(reason(signals)).toBe("cancelled");
  });

  test("is that its process stops", async () => {
    const { runner, signals } = await begun();
    runner.interrupt();
    expect(reason(signals)).toBe("interrupted");
  });

  test("is all of its own limits together, and a minute", async () => {
    const { runner, clock, signals } = await begun({ ...ALWAYS, unfencedMs: 5 });
    const limitMs = 1_000 + 200 + 5 * 30_000 + 60_000;
    await clock.pass(limitMs - 2);
    expect([runner.take(), signals.get("n0.1.x")?.aborted]).toEqual([[], false]);
    await clock.pass(1);
    expect(reason(signals)).toBe("interrupted");
    expect(runner.take()[0]?.outcome).toEqual({
      kind: "ambiguous",
      message: "no answer within 211.2 s",
    });
  });

  test("is that its process has lost the lead, within a second", async () => {
    let leads = true;
    const permit: Permit = { mayStart: () => true, unfencedMs: null, leads: () => leads };
    const { clock, signals } = await begun(permit);
    await clock.pass(5_000);
    expect(signals.get("n0.1.x")?.aborted).toBe(false);
    leads = false;
    await clock.pass(998);
    expect(signals.get("n0.1.x")?.aborted).toBe(false);
    await clock.pass(2);
    expect(reason(signals)).toBe("interrupted");
  });

  test("is nothing else: nobody looks at the lead of another call, or of one that is over", async () => {
    let looks = 0;
    const leads = () => (looks++, true);
    const made = await begun({ mayStart: () => true, unfencedMs: null, leads });
    made.runner.start([...one(), operation("terminate")], 0);
    await made.clock.pass(3_000);
    expect(looks).toBe(3);
    made.answers.get("n0.1.x")?.({ kind: "ambiguous", message: "x" });
    made.answers.get("terminate at cloud")?.({ kind: "ambiguous", message: "x" });
    await made.clock.pass(10);
    expect(made.clock.nextMs()).toBeNull();
    expect(looks).toBe(3);
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
    expect(mayCall(operation("create", { ...asked, lookups: LOOKUPS_MIN - 1 }), targets)).toBe(
      false,
    );
    expect(mayCall(operation("create", { ...asked, lookups: LOOKUPS_MIN }), targets)).toBe(true);
    expect(LOOKUPS_MIN).toBe(2);
  });
  test("a cloud that recognises a repeat may be asked again at once", () => {
    expect(mayCall(operation("create", { attempts: 1 }), world("token").targets)).toBe(true);
    expect(mayCall(operation("terminate", { attempts: 1 }), targets)).toBe(true);
  });
});
