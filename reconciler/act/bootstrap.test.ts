import { expect, test } from "bun:test";
import type { Job, Outcome as Ended } from "../../bootstrap/run/job.ts";
import type { HostKeyCheck } from "../../bootstrap/shell.ts";
import type { BootstrapAttempt } from "../../schema/bootstrap.ts";
import type { InstanceId, NodeId, OperationId } from "../../schema/id.ts";
import { Bootstrapper } from "./bootstrap.ts";
import type { BootstrapOperation } from "./execute.ts";

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
async function carry(one: BootstrapOperation, ended: Ended, saved: BootstrapAttempt | null = null) {
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
    agents: () => Promise.resolve({ x64: null, arm64: null }),
    controlPlane: () => ({ candidates: [], listen: ":1" }),
    save: () => Promise.resolve(),
    saved: () => Promise.resolve(saved),
    epoch: () => 5,
    masks: () => [],
  });
  const outcome = await bootstrapper.run(one, new AbortController().signal);
  return { job: jobs[0], outcome, known };
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
