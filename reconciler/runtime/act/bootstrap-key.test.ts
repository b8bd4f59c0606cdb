import { expect, test } from "bun:test";
import type { NodeId, OperationId } from "../../../schema/id.ts";
import { Bootstrapper } from "./bootstrap.ts";
import type { BootstrapOperation } from "./execute.ts";

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
  return bootstrapper.run(operation, new AbortController().signal);
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
