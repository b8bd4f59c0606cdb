import { expect, test } from "bun:test";
import type { Job, Outcome as Ended } from "../../../bootstrap/run/job.ts";
import type { HostKeyCheck } from "../../../bootstrap/shell.ts";
import type { BootstrapAttempt } from "../../../schema/bootstrap.ts";
import type { InstanceId, NodeId, OperationId } from "../../../schema/id.ts";
import type { Outcome } from "../../core/fold/outcome.ts";
import { Bootstrapper, type BootstrapPorts } from "./bootstrap.ts";
import type { BootstrapOperation } from "./execute.ts";

const noKeys = async () => ({ kind: "unsupported" }) as const;

const PAYLOAD: BootstrapOperation["payload"] = {
  kind: "bootstrap",
  attempt: 1,
  instanceId: "i-1" as InstanceId,
  address: "192.0.2.7",
  port: 22,
  user: "ubuntu",
  keyPath: "/key",
  hostKey: "first-use",
  hostKeys: [],
  jump: null,
  become: "auto",
  pushAgent: false,
  commands: [],
  values: {},
  sshTimeoutMs: 1_000,
  sshConnectTimeoutMs: 1_000,
  commandTimeoutMs: 1_000,
};

function operation(more: Partial<BootstrapOperation["payload"]> = {}): BootstrapOperation {
  return {
    id: "n.1.bootstrap" as OperationId,
    node: "n" as NodeId,
    pool: null,
    session: null,
    fence: 1,
    epoch: 3,
    payload: { ...PAYLOAD, ...more },
    state: "asked",
    askedAt: 0,
    notBefore: 0,
    attempts: 1,
    lookups: 0,
    closedAt: null,
    message: null,
    because: [],
  };
}

const ATTEMPT = { hostKey: null } as BootstrapAttempt;

/** What a set-up was given, and what became of it, where its run ends like this. */
async function carry(
  one: BootstrapOperation,
  ended: Ended,
  saved: BootstrapAttempt | null = null,
  more: Partial<BootstrapPorts> = {},
  onOpen?: (bootstrapper: Bootstrapper) => void,
) {
  const jobs: Job[] = [];
  const known: string[] = [];
  const bootstrapper = new Bootstrapper({
    clock: { wallMs: () => 0, monoMs: () => 0, after: () => () => undefined },
    connect: () => Promise.reject(new Error("nothing is reached here")),
    openBinary: () => {
      throw new Error("nothing is pushed here");
    },
    run: (job) => {
      jobs.push(job);
      return Promise.resolve(ended);
    },
    readKey: () => Promise.resolve("key"),
    knownHosts(path, host, port): Promise<HostKeyCheck> {
      known.push(`${path} ${host} ${port}`);
      return Promise.resolve({ kind: "pinned", keys: [host] });
    },
    credential: () => "credential",
    ca: null,
    releaseKey: null,
    join: null,
    shown: () => null,
    slurm: async () => ({ files: [], values: {} }),
    agents: () => Promise.resolve({ x64: null, arm64: null }),
    controlPlane: () => ({ candidates: [], listen: ":1" }),
    save: () => Promise.resolve(),
    saved: () => Promise.resolve(saved),
    epoch: () => 5,
    masks: () => [],
    ...more,
  });
  onOpen?.(bootstrapper);
  const outcome = await bootstrapper.run(one, new AbortController().signal, noKeys);
  return { job: jobs[0], outcome, known, live: bootstrapper.live(one.node) };
}

const done: Ended = { kind: "done", attempt: ATTEMPT };

test("run() shows the machine the leader that acts, not the one that intended", async () => {
  expect((await carry(operation(), done)).job?.epoch).toBe(5);
});

test("run() gives a machine up that has seen a newer leader, instead of asking for ever", async () => {
  const { outcome } = await carry(operation(), { kind: "stale", attempt: ATTEMPT, error: "newer" });
  expect(outcome).toMatchObject({ kind: "refused", class: "bootstrap", final: true });
});

test("run() leaves what was cut short open", async () => {
  for (const kind of ["interrupted", "cancelled"] as const) {
    expect((await carry(operation(), { kind, attempt: ATTEMPT })).outcome.kind).toBe("ambiguous");
  }
});

test("run() checks a jump host by the same known_hosts file", async () => {
  const jump = "ann@gate.example:2222";
  const { job, known } = await carry(operation({ jump, hostKey: "known_hosts:/hosts" }), done);
  expect(known).toEqual(["/hosts 192.0.2.7 22", "/hosts gate.example 2222"]);
  expect(job?.jump).toMatchObject({ user: "ann", port: 2222, hostKey: { keys: ["gate.example"] } });
});

test("run() accepts a first key once: what was cut short goes on with the key that it saw", async () => {
  const seen = { instance: "i-1", hostKey: "SEEN" } as BootstrapAttempt;
  expect((await carry(operation(), done)).job?.hostKey).toEqual({ kind: "first-use" });
  const again = await carry(operation(), done, seen);
  expect(again.job?.hostKey).toEqual({ kind: "pinned", keys: ["SEEN"] });
  const other = { ...seen, instance: "i-0" } as BootstrapAttempt;
  expect((await carry(operation(), done, other)).job?.hostKey).toEqual({ kind: "first-use" });
});

const error = "the disk is full";
const refused = {
  kind: "refused",
  class: "bootstrap",
  retryAfterMs: null,
  message: error,
} as const;
const seenKey = { hostKey: "KEY" } as BootstrapAttempt;

test.each<[string, Ended, Outcome]>([
  [
    "done",
    { kind: "done", attempt: seenKey },
    { kind: "done", instance: null, message: null, hostKey: "KEY" },
  ],
  [
    "a failure that another attempt may fix",
    { kind: "failed", attempt: seenKey, error, retry: "later", cause: "command" } as Ended,
    { ...refused, final: false, hostKey: "KEY" },
  ],
  [
    "a failure for good",
    { kind: "failed", attempt: seenKey, error, retry: "never", cause: "command" } as Ended,
    { ...refused, final: true, hostKey: "KEY" },
  ],
  [
    "a newer leader",
    { kind: "stale", attempt: seenKey, error },
    { ...refused, final: true, hostKey: "KEY" },
  ],
  [
    "interrupted",
    { kind: "interrupted", attempt: seenKey },
    { kind: "ambiguous", message: "interrupted: it goes on where it was" },
  ],
  [
    "called off",
    { kind: "cancelled", attempt: seenKey },
    { kind: "ambiguous", message: "cancelled" },
  ],
])("run() that ends: %s", async (_what, ended, outcome) => {
  expect((await carry(operation(), ended)).outcome).toEqual(outcome);
});

test("run() gives a machine all that it needs, and no more", async () => {
  const one = operation({ commands: ["a"], values: { Pool: "p" }, user: "ann", port: 2200 });
  const { job } = await carry(one, done);
  expect(job).toEqual({
    node: "n" as NodeId,
    pool: null,
    instance: "i-1" as InstanceId,
    attempt: 1,
    epoch: 5,
    address: "192.0.2.7",
    port: 2200,
    user: "ann",
    privateKey: "key",
    hostKey: { kind: "first-use" },
    jump: null,
    commands: ["a"],
    values: { Pool: "p", TokenFile: "/etc/navarch-node/token" },
    controlPlane: { candidates: [], listen: ":1" },
    agent: { x64: null, arm64: null },
    pushTo: null,
    credential: { path: "/etc/navarch-node/token", value: "credential" },
    ca: null,
    releaseKey: null,
    shown: null,
    become: "auto",
    resume: true,
    markDirectory: "/var/lib/navarch-bootstrap",
    timeouts: { sshMs: 1_000, sshConnectMs: 1_000, commandMs: 1_000 },
  });
  const pushed = await carry(operation({ pushAgent: true }), done);
  expect(pushed.job?.pushTo).toBe("/usr/local/bin/navarch-node");
});

test("run() gives a machine our keys and certificates, where there are any", async () => {
  const releaseKey = { path: "/r", pem: "R" };
  const shown = { certPath: "/c", cert: "C", keyPath: "/k", key: "K" };
  const masked: (readonly string[])[] = [];
  const masks = (keys: readonly string[]) => (masked.push(keys), keys);
  const { job } = await carry(operation(), done, null, { releaseKey, shown: () => shown, masks });
  expect(job).toMatchObject({ releaseKey, shown });
  expect(masked).toEqual([["key", "K"]]);
  await carry(operation(), done, null, { masks, shown: () => null });
  expect(masked[1]).toEqual(["key", ""]);
});

const JUMP = { kind: "insecure" } as const;
test.each<[string, object]>([
  ["gate", { host: "gate", port: 22, user: "ubuntu" }],
  ["ann@gate", { host: "gate", port: 22, user: "ann" }],
  ["gate:2222", { host: "gate", port: 2222, user: "ubuntu" }],
  ["ann@[2001:db8::1]:2222", { host: "2001:db8::1", port: 2222, user: "ann" }],
  ["[2001:db8::1]", { host: "2001:db8::1", port: 22, user: "ubuntu" }],
  ["2001:db8::1", { host: "2001:db8::1", port: 22, user: "ubuntu" }],
])("run() reaches a machine by way of %s", async (jump, expected) => {
  const { job } = await carry(operation({ jump }), done);
  expect(job?.jump).toEqual({ ...expected, privateKey: "key", hostKey: JUMP } as never);
});

test.each<[string, Partial<BootstrapOperation["payload"]>, HostKeyCheck]>([
  ["insecure", { hostKey: "insecure", hostKeys: ["A"] }, { kind: "insecure" }],
  [
    "what the provider tells",
    { hostKey: "provider", hostKeys: ["A"] },
    { kind: "pinned", keys: ["A"] },
  ],
  [
    "what was seen first",
    { hostKey: "first-use", hostKeys: ["B"] },
    { kind: "pinned", keys: ["B"] },
  ],
  [
    "a file before what the provider tells",
    { hostKey: "known_hosts:/hosts", hostKeys: ["A"] },
    { kind: "pinned", keys: ["192.0.2.7"] },
  ],
])("run() checks a machine by %s", async (_what, payload, expected) => {
  expect((await carry(operation(payload), done)).job?.hostKey).toEqual(expected);
});

test("run() of a hindrance that is no Error says it as it is", async () => {
  const { outcome } = await carry(operation(), done, null, {
    readKey: () => Promise.reject("a text"),
  });
  expect(outcome).toMatchObject({ kind: "refused", unspent: true, message: "a text" });
});

test("run() gives a token for as long as the set-up may last, the push of the agent too", async () => {
  const desired: number[] = [];
  const join: BootstrapPorts["join"] = async ({ lastsMs }) => {
    desired.push(lastsMs);
    return { kind: "hindered", message: "not now" };
  };
  const commands = ["join {{.KubernetesServer}}", "b"];
  const limits = { commands, sshTimeoutMs: 5_000, commandTimeoutMs: 300 };
  await carry(operation({ ...limits, pushAgent: true }), done, null, { join });
  await carry(operation({ ...limits, pushAgent: false }), done, null, { join });
  expect(desired).toEqual([5_900, 5_600]);
});

test("run() stores where a step begins or ends, and shows the rest while it lasts", async () => {
  const step = (endedAt: number | null, stdout: string) => ({ endedAt, stdout });
  const at = (state: string, steps: object[], hostKey: string | null = null) =>
    ({ node: "n", state, steps, hostKey }) as unknown as BootstrapAttempt;
  const said = [
    at("running", []),
    at("running", [step(null, "")]),
    at("running", [step(null, "more")]),
    at("running", [step(7, "more")]),
    at("running", [step(7, "more"), step(null, "")]),
    at("running", [step(7, "more"), step(null, "x")]),
    at("running", [step(7, "more"), step(null, "x")], "KEY"),
    at("done", [step(7, "more"), step(null, "x")], "KEY"),
  ];
  const stored: BootstrapAttempt[] = [];
  const live: (BootstrapAttempt | null)[] = [];
  let shows: Pick<Bootstrapper, "live"> = { live: () => null };
  const ports: Partial<BootstrapPorts> = {
    save: (attempt) => (stored.push(attempt), Promise.resolve()),
    run: async (_job, { record }) => {
      for (const attempt of said) {
        await record(attempt);
        live.push(shows.live("n" as NodeId));
      }
      return done;
    },
  };
  const made = await carry(operation(), done, null, ports, (one) => {
    shows = one;
  });
  expect(stored).toEqual(said.filter((_, i) => i !== 2 && i !== 5));
  expect(live).toEqual(said);
  expect(made.live).toBeNull();
});
