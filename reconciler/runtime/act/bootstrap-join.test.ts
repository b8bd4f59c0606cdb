import { expect, test } from "bun:test";
import { KUBERNETES_JOIN_COMMANDS } from "../../../bootstrap/builtin/kubernetes-join.ts";
import type { Job, Outcome as Ended } from "../../../bootstrap/run/job.ts";
import type { NodeId, OperationId } from "../../../schema/id.ts";
import type { Join } from "../../core/kubernetes/scheduler.ts";
import { Bootstrapper } from "./bootstrap.ts";
import type { BootstrapOperation } from "./execute.ts";
import { joinsCluster } from "../../../bootstrap/template/join-need.ts";

const noKeys = async () => ({ kind: "unsupported" }) as const;

const never = (): never => {
  throw new Error("nothing is reached here");
};

const TOKEN = "abcdef.0123456789abcdef";

type Seen = { jobs: Job[]; desired: Parameters<Join>[0][]; ended: number };

/** Runs one set-up with `commands`; `stop` = what ends it while it runs. */
async function runWith(from: { commands: readonly string[]; join?: Join | null; stop?: string }) {
  const seen: Seen = { jobs: [], desired: [], ended: 0 };
  const stop = new AbortController();
  const made: Join = async (desired) => {
    seen.desired.push(desired);
    const end = async () => void seen.ended++;
    return { kind: "ok", server: "https://k:6443", caHash: "sha256:1", token: TOKEN, end };
  };
  const bootstrapper = new Bootstrapper({
    clock: { wallMs: () => 0, monoMs: () => 0, after: () => () => undefined },
    connect: never,
    openBinary: never,
    run: async (job) => {
      seen.jobs.push(job);
      expect(seen.ended).toBe(0);
      const attempt = { hostKey: null } as unknown as Ended["attempt"];
      if (from.stop === undefined) return { kind: "done", attempt };
      stop.abort(from.stop);
      return { kind: from.stop === "cancelled" ? "cancelled" : "interrupted", attempt };
    },
    readKey: async () => "key",
    knownHosts: never,
    credential: () => "credential",
    ca: null,
    releaseKey: null,
    shown: () => null,
    slurm: async () => ({ files: [], values: {} }),
    join: from.join === undefined ? made : from.join,
    agents: async () => ({ x64: null, arm64: null }),
    controlPlane: () => ({ candidates: [], listen: ":1" }),
    save: async () => undefined,
    saved: async () => null,
    epoch: () => 1,
    masks: () => [],
  });
  const timeouts = { sshTimeoutMs: 600_000, sshConnectTimeoutMs: 1, commandTimeoutMs: 300_000 };
  const how = { kind: "bootstrap", keyPath: "/key", hostKey: "first-use", hostKeys: [] };
  const payload = { ...how, instanceId: "i" };
  const operation = {
    id: "n.1.bootstrap" as OperationId,
    node: "n" as NodeId,
    pool: "a100",
    payload: { ...payload, ...timeouts, values: {}, jump: null, commands: from.commands },
  } as unknown as BootstrapOperation;
  const outcome = await bootstrapper.run(operation, stop.signal, noKeys);
  // The operation is stored, and a token is not.
  expect(JSON.stringify([operation, outcome])).not.toContain(TOKEN);
  return { seen, outcome };
}

const JOINING = KUBERNETES_JOIN_COMMANDS;

test("run() gives commands that join what they need, for this attempt", async () => {
  const { seen, outcome } = await runWith({ commands: JOINING });
  expect(outcome.kind).toBe("done");
  expect(seen.jobs[0]?.values).toMatchObject({
    KubernetesServer: "https://k:6443",
    KubernetesJoinToken: TOKEN,
    KubernetesCAHash: "sha256:1",
  });
  expect(seen.desired).toEqual([
    { node: "n", pool: "a100", lastsMs: 600_000 + 3 * 300_000 } as never,
  ]);
  expect(seen.ended).toBe(1);
});

test("run() makes no token for commands that do not join", async () => {
  const { seen } = await runWith({ commands: ["echo {{.Pool}}"] });
  expect([seen.jobs.length, seen.desired.length]).toEqual([1, 0]);
});

test("run() leaves the token to a machine that goes on without us, and to no other", async () => {
  expect((await runWith({ commands: JOINING, stop: "interrupted" })).seen.ended).toBe(0);
  expect((await runWith({ commands: JOINING, stop: "cancelled" })).seen.ended).toBe(1);
});

test("run() spends no attempt where nobody can join", async () => {
  const none = await runWith({ commands: JOINING, join: null });
  expect(none.outcome).toMatchObject({ unspent: true });
  expect(none.outcome.message).toContain("no Kubernetes cluster is configured");
  const message = 'forbidden: the Role lacks "create secrets in namespace kube-system"';
  const refused = await runWith({
    commands: JOINING,
    join: async () => ({ kind: "hindered", message }),
  });
  expect(refused.outcome).toMatchObject({ kind: "refused", unspent: true, message });
  expect([none.seen.jobs, refused.seen.jobs]).toEqual([[], []]);
});

test.each([
  ["echo {{.KubernetesServer}}", true],
  ["{{if eq .KubernetesCAHash `x`}}{{end}}", true],
  ['join "$NAVARCH_KUBERNETES_JOIN_TOKEN"', true],
  ["echo {{.Pool}} kubernetes", false],
])("joinsCluster(%p) is %p", (command, joins) => {
  expect(joinsCluster(["true", command])).toBe(joins);
});
