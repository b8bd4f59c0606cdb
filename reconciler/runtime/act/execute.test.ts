/** Which one call each operation makes, and what its answer is as a value. */
import { waitMs } from "../../../schema/millis.ts";
import { describe, expect, test } from "bun:test";
import type { InstanceId } from "../../../schema/id.ts";
import type { Payload } from "../../../schema/operation.ts";
import { nodeOf, operationOf, POOL, sessionOf } from "../../../test/world/part.ts";
import type { Outcome } from "../../core/fold/outcome.ts";
import type { Provider } from "../../core/provider.ts";
import type { Scheduler, SchedulerAnswer } from "../../core/kubernetes/scheduler.ts";
import { execute, isFenced, mayCall, type Targets } from "./execute.ts";

const NODE = nodeOf("n", { fence: 7, session: sessionOf() });
const FENCE = { nodeId: NODE.id, fence: 7, sessionId: sessionOf().id };
const REQUEST = { token: "t", name: "n" };
const CREATE = {
  kind: "create",
  provider: POOL,
  offer: "o",
  request: REQUEST,
} as unknown as Payload;
const MACHINE = "i-1" as InstanceId;
const TERMINATE: Payload = { kind: "terminate", provider: POOL, instanceId: MACHINE };
const REBOOT: Payload = { kind: "reboot", provider: POOL, instanceId: MACHINE, bootId: "b" };
const DRAIN: Payload = {
  kind: "drain",
  purpose: "repair",
  deadlineAt: 5,
  gracePeriodMs: -1,
  force: true,
};
const CORDON: Payload = { kind: "cordon", why: "broken", again: true };
const UNCORDON: Payload = { kind: "uncordon", why: "well" };
const SET_UP = { kind: "bootstrap", attempt: 1 } as Payload;
const signal = new AbortController().signal;

/** What is called with what, where every call has this answer. */
async function run(payload: Payload, answer: unknown, lacks: Partial<Record<string, true>> = {}) {
  const calls: unknown[][] = [];
  const note =
    (name: string) =>
    async (...given: unknown[]): Promise<never> => {
      calls.push([name, ...given]);
      if (answer instanceof Error) throw answer;
      if (typeof answer === "string") throw answer;
      return answer as never;
    };
  const methods = ["create", "terminate", "reboot"];
  const provider = Object.fromEntries(methods.map((name) => [name, note(name)])) as unknown;
  const scheduler = { cordon: note("cordon"), uncordon: note("uncordon"), drain: note("drain") };
  const targets: Targets = {
    provider: (name) =>
      name === POOL && lacks["provider"] !== true ? (provider as Provider) : null,
    scheduler: scheduler as unknown as Scheduler,
    credential: (id) => `credential of ${id}`,
    bootstrap: lacks["bootstrap"] === true ? null : note("bootstrap"),
    keyProblem: null,
    readMetric: null,
    slurm: null,
    tasks: null,
  };
  const operation = operationOf(NODE, payload, { fence: 7 });
  return { outcome: await execute(operation, targets, signal), calls, operation };
}

const done = (more: object = {}): Outcome => ({
  kind: "done",
  instance: null,
  message: null,
  ...more,
});
const REFUSED = {
  kind: "refused",
  class: "quota",
  message: "no",
  retryAfterMs: waitMs(5),
} as const;
const LOST = { kind: "ambiguous", message: "lost" } as const;

describe("execute() at a provider", () => {
  const instance = { id: MACHINE };
  test.each<[string, Payload, unknown, Outcome]>([
    ["a machine", CREATE, { kind: "ok", instance }, done({ instance })],
    ["a refused create", CREATE, REFUSED, REFUSED],
    ["a create that nobody answers", CREATE, LOST, LOST],
    ["an accepted end", TERMINATE, { kind: "accepted" }, done({ message: "accepted" })],
    [
      "an end of what is not there",
      TERMINATE,
      { kind: "not_found" },
      done({ message: "not_found", isUnknown: true }),
    ],
    ["a refused end", TERMINATE, REFUSED, REFUSED],
    ["an accepted reboot", REBOOT, { kind: "accepted" }, done({ message: "accepted" })],
    ["a refused reboot", REBOOT, REFUSED, REFUSED],
    [
      "a reboot of what is not there",
      REBOOT,
      { kind: "not_found" },
      {
        kind: "refused",
        class: "bad_request",
        message: "i-1 is not known to p",
        retryAfterMs: null,
      },
    ],
  ])("%s", async (_what, payload, answer, outcome) => {
    const ran = await run(payload, answer);
    expect(ran.outcome).toEqual(outcome);
    expect(ran.calls).toEqual([
      payload.kind === "create"
        ? ["create", REQUEST, FENCE, "credential of n"]
        : [payload.kind, MACHINE, FENCE],
    ]);
  });

  test.each([CREATE, TERMINATE])("that is not configured any more: %o", async (payload) => {
    const { outcome, calls } = await run(payload, null, { provider: true });
    expect(outcome).toEqual({ kind: "ambiguous", message: "provider p is not configured" });
    expect(calls).toEqual([]);
  });

  test.each<[string, object, number]>([
    ["none configured", { provider: true }, 0],
    ["one that has no such call", {}, 1],
  ])("that cannot reboot: %s", async (_what, lacks, count) => {
    const { outcome, calls } = await run(REBOOT, { kind: "unsupported" }, lacks);
    expect(outcome).toEqual({
      kind: "refused",
      class: "bad_request",
      message: "provider p does not reboot machines",
      retryAfterMs: null,
    });
    expect(calls).toHaveLength(count);
  });

  test("that throws is an unknown outcome", async () => {
    expect((await run(CREATE, new Error("reset"))).outcome).toEqual({
      kind: "ambiguous",
      message: "reset",
    });
    expect((await run(TERMINATE, "a text")).outcome).toEqual({
      kind: "ambiguous",
      message: "a text",
    });
  });
});

describe("execute() at the scheduler", () => {
  const ok: SchedulerAnswer = { kind: "ok" };
  test.each<[Payload, unknown[]]>([
    [CORDON, ["cordon", NODE.id, "broken", FENCE, true]],
    [UNCORDON, ["uncordon", NODE.id, "well", FENCE]],
    [DRAIN, ["drain", NODE.id, DRAIN, FENCE]],
  ])("makes one call: %o", async (payload, call) => {
    const ran = await run(payload, ok);
    expect(ran.calls).toEqual([call]);
    expect(ran.outcome).toEqual(done({ on: null }));
    const said = await run(payload, { kind: "ok", on: "u1", message: "kubectl holds it too" });
    expect(said.outcome).toEqual(done({ on: "u1", message: "kubectl holds it too" }));
    const no = await run(payload, { kind: "refused", message: "no" });
    expect(no.outcome).toEqual({
      kind: "refused",
      class: "scheduler",
      message: "no",
      retryAfterMs: null,
    });
    expect((await run(payload, LOST)).outcome).toEqual(LOST);
  });

  test("lifts no mark that a person's cordon needs", async () => {
    const ran = await run({ ...UNCORDON, keep: true }, ok);
    expect(ran).toMatchObject({ calls: [], outcome: done() });
    expect((await run({ ...UNCORDON, keep: false }, ok)).calls).toHaveLength(1);
  });
});

describe("execute() of a set-up", () => {
  test("is handed over, with what ends it", async () => {
    const { outcome, calls, operation } = await run(SET_UP, done());
    expect(outcome).toEqual(done());
    expect(calls).toEqual([["bootstrap", operation, signal, expect.any(Function)]]);
  });

  test("is given up where nobody can", async () => {
    expect((await run(SET_UP, null, { bootstrap: true })).outcome).toEqual({
      kind: "refused",
      class: "bootstrap",
      message: "this process sets up no machines over SSH",
      retryAfterMs: null,
      final: true,
    });
  });
});

test("mayCall() where the provider is not configured any more, so that the call can say so", () => {
  const targets = { provider: () => null } as unknown as Targets;
  expect(mayCall(operationOf(NODE, CREATE, { attempts: 3 }), targets)).toBe(true);
});

test("isFenced() of a set-up: the machine's own mark refuses who is late", () => {
  const targets = { provider: () => null } as unknown as Targets;
  expect(isFenced(operationOf(NODE, SET_UP), targets)).toBe(true);
});
