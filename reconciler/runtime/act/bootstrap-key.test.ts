import { describe, expect, test } from "bun:test";
import type { HostKeyCheck } from "../../../bootstrap/shell.ts";
import type { Outcome as Ended } from "../../../bootstrap/run/job.ts";
import type { InstanceId, NodeId, OperationId } from "../../../schema/id.ts";
import type { HostKeysAnswer, Provider } from "../../core/provider.ts";
import { Bootstrapper } from "./bootstrap.ts";
import { type BootstrapOperation, execute } from "./execute.ts";

const never = (): never => {
  throw new Error("nothing is reached here");
};

/** What becomes of a set-up that has to be prepared by what is said. */
function prepare(from: { keyPath?: string | null; hostKey?: string; readKey?: () => never }) {
  const { keyPath = "/key", hostKey = "first-use", readKey } = from;
  const bootstrapper = new Bootstrapper({
    clock: { wallMs: () => 0, monoMs: () => 0, after: () => () => undefined },
    connect: never,
    openBinary: never,
    run: never,
    readKey: async () => readKey?.() ?? "key",
    knownHosts: never,
    credential: () => "credential",
    ca: null,
    releaseKey: null,
    join: null,
    shown: () => null,
    slurm: async () => ({ files: [], values: {} }),
    agents: async () => ({ x64: null, arm64: null }),
    controlPlane: () => ({ candidates: [], listen: ":1" }),
    save: async () => undefined,
    saved: async () => null,
    epoch: () => 1,
    masks: () => [],
  });
  const payload = { kind: "bootstrap", keyPath, hostKey, hostKeys: [], values: {}, jump: null };
  const operation = {
    id: "n.1.bootstrap" as OperationId,
    node: "n" as NodeId,
    payload: { ...payload, attempt: 1, commands: [] },
  } as unknown as BootstrapOperation;
  const noKeys = async () => ({ kind: "unsupported" }) as const;
  return bootstrapper.run(operation, new AbortController().signal, noKeys);
}

test.each([
  ["no key is configured", { keyPath: null }, "is not set"],
  [
    "the key cannot be read",
    {
      readKey: () => {
        throw new Error("/key cannot be read: EACCES");
      },
    },
    "/key cannot be read: EACCES",
  ],
  ["known hosts cannot be read", { hostKey: "known_hosts:/hosts" }, "nothing is reached here"],
  ["the provider tells no keys", { hostKey: "provider" }, "reports no host keys"],
] as const)("run() spends no attempt where %s", async (_what, from, message) => {
  const outcome = await prepare(from);
  expect(outcome).toMatchObject({ kind: "refused", class: "bootstrap", unspent: true });
  expect(outcome.message).toContain(message);
});

/** A set-up whose provider answers as `answers` says, call by call; the last one stays. */
function openLate(hostKey: string, answers: (HostKeysAnswer | Error | "hangs")[]) {
  let nowMs = 0;
  const checks: HostKeyCheck[] = [];
  const asked: string[] = [];
  const timers: { atMs: number; work: () => void }[] = [];
  const clock = {
    wallMs: () => nowMs,
    monoMs: () => nowMs,
    after(ms: number, work: () => void) {
      const timer = { atMs: nowMs + ms, work };
      timers.push(timer);
      return () => void timers.splice(timers.indexOf(timer), 1);
    },
  };
  const bootstrapper = new Bootstrapper({
    clock,
    connect: never,
    openBinary: never,
    async run(job) {
      checks.push(job.hostKey);
      return { kind: "done", attempt: { hostKey: "AAAA" } } as unknown as Ended;
    },
    readKey: async () => "key",
    knownHosts: never,
    credential: () => "credential",
    ca: null,
    releaseKey: null,
    join: null,
    shown: () => null,
    slurm: async () => ({ files: [], values: {} }),
    agents: async () => ({ x64: null, arm64: null }),
    controlPlane: () => ({ candidates: [], listen: ":1" }),
    save: async () => undefined,
    saved: async () => null,
    epoch: () => 1,
    masks: () => [],
  });
  const cloud = {
    hostKeys(id: InstanceId) {
      asked.push(id);
      const answer = answers[Math.min(asked.length, answers.length) - 1];
      if (answer === "hangs") return new Promise(() => undefined);
      return answer instanceof Error ? Promise.reject(answer) : Promise.resolve(answer);
    },
  } as Provider;
  const payload = { kind: "bootstrap", keyPath: "/key", hostKey, hostKeys: [], jump: null };
  const more = { attempt: 1, commands: [], instanceId: "i-1", values: { Provider: "cloud" } };
  const operation = {
    id: "n.1.bootstrap" as OperationId,
    node: "n" as NodeId,
    payload: { ...payload, ...more },
  } as unknown as BootstrapOperation;
  const targets = {
    provider: (name: string) => (name === "cloud" ? cloud : null),
    scheduler: never as never,
    credential: () => "credential",
    bootstrap: bootstrapper.run.bind(bootstrapper),
    keyProblem: null,
    readMetric: never,
    slurm: null,
    tasks: null,
  };
  const attempt = () => execute(operation, targets, new AbortController().signal);
  const step = (ms: number) => {
    nowMs += ms;
    for (const timer of timers.filter(({ atMs }) => atMs <= nowMs)) timer.work();
  };
  return { attempt, checks, asked, timers, step };
}

describe("a provider that reports host keys late", () => {
  const none: HostKeysAnswer = { kind: "ok", hostKeys: [] };
  const keys: HostKeysAnswer = {
    kind: "ok",
    hostKeys: ["ssh-ed25519 AAAA root@n", "ssh-rsa BBBB"],
  };
  const failed: HostKeysAnswer = { kind: "failed", class: "unavailable", message: "503" };
  const waits = { kind: "refused", class: "bootstrap", unspent: true };
  const pinned: HostKeyCheck = { kind: "pinned", keys: ["AAAA", "BBBB"] };

  test("with policy provider the set-up waits for them, and no attempt is spent", async () => {
    const late = openLate("provider", [none, failed, new Error("reset"), keys]);
    for (const word of ["has none yet", "503", "reset"]) {
      const outcome = await late.attempt();
      expect(outcome).toMatchObject(waits);
      expect(outcome.message).toContain(word);
    }
    expect(late.checks).toEqual([]);
    expect((await late.attempt()).kind).toBe("done");
    expect(late.checks).toEqual([pinned]);
    expect(late.asked).toEqual(["i-1", "i-1", "i-1", "i-1"]);
    expect(late.timers).toEqual([]);
  });

  test("a machine that never reports them fails in the end, untouched", async () => {
    const late = openLate("provider", [none]);
    expect(await late.attempt()).toMatchObject(waits);
    late.step(15 * 60_000 - 1);
    expect(await late.attempt()).toMatchObject(waits);
    late.step(1);
    const outcome = await late.attempt();
    expect(outcome).toMatchObject({ ...waits, unspent: false });
    expect(outcome.message).toContain("no host keys within 15 min");
    expect(late.checks).toEqual([]);
  });

  test("an outage of the provider spends no attempt, however long", async () => {
    const late = openLate("provider", [failed]);
    for (let i = 0; i < 3; i += 1) {
      expect(await late.attempt()).toMatchObject(waits);
      late.step(3_600_000);
    }
  });

  test("an answer that never comes is bounded", async () => {
    const late = openLate("provider", ["hangs"]);
    const outcome = late.attempt();
    while (late.timers.length === 0) await Promise.resolve();
    late.step(60_000);
    expect(await outcome).toMatchObject({ ...waits, message: expect.stringContaining("60 s") });
  });

  test.each<[string, HostKeysAnswer, HostKeyCheck]>([
    ["are used where there are some", keys, pinned],
    ["are not waited for", none, { kind: "first-use" }],
    ["are not needed", failed, { kind: "first-use" }],
    ["may be unsupported", { kind: "unsupported" }, { kind: "first-use" }],
  ])("with policy first-use they %s", async (_what, answer, check) => {
    const late = openLate("first-use", [answer]);
    expect((await late.attempt()).kind).toBe("done");
    expect(late.checks).toEqual([check]);
  });

  test("a cloud without the call says so", async () => {
    const late = openLate("provider", [{ kind: "unsupported" }]);
    const outcome = await late.attempt();
    expect(outcome).toMatchObject({ ...waits, message: "the provider reports no host keys" });
  });

  test.each(["insecure"])("with policy %s nothing is asked", async (policy) => {
    const late = openLate(policy, [keys]);
    expect((await late.attempt()).kind).toBe("done");
    expect([late.asked, late.checks]).toEqual([[], [{ kind: "insecure" }]]);
  });
});
