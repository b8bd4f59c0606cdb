/** What the control plane holds is hidden where a machine says it back, up to the stored row. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { runBootstrap } from "../../bootstrap/run/run.ts";
import { openBinary } from "../../bootstrap/ssh/binary.ts";
import { makeKey, openPeer, type Peer } from "../../test/fixture/ssh/peer.ts";
import { createConnect } from "../../bootstrap/ssh/ssh2.ts";
import type { InstanceId, NodeId, OperationId } from "../../schema/id.ts";
import { Bootstrapper } from "../runtime/act/bootstrap.ts";
import { nodeToken } from "./auth.ts";
import { readConfig } from "../config/read.ts";
import { heldSecrets, type HeldFrom, keyLines } from "./held-secret.ts";
import { openLibsqlStore } from "../store/libsql.ts";

const folder = mkdtempSync(join(tmpdir(), "navarch-held-"));
const user = makeKey();
let peer: Peer;

beforeAll(async () => {
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "admin.token"), "nva.the-first-admin\n");
  writeFileSync(join(folder, "given"), "from-a-file-0001\n");
  writeFileSync(join(folder, "server.key"), makeKey("rsa").private);
  peer = await openPeer({ userKey: user.public, env: { HOME: folder } });
});
afterAll(async () => {
  await peer.close();
  rmSync(folder, { recursive: true });
});

const YAML = `
server:
  auth: { token_env: OUR_TOKEN }
  notifier:
    type: webhook
    webhook:
      drain_url: "https://hook.example/\${HOOK_PATH}"
      headers: { Authorization: "Bearer \${HOOK_TOKEN}", X-Host: "\${HOSTNAME}" }
      secret_env: HOOK_SECRET
providers: { lambda: { type: lambda, api_key_env: LAMBDA_KEY } }
pools: []
`;

function held(): HeldFrom {
  const { config, problems } = readConfig([{ name: "test", text: YAML }], {});
  if (config === null) throw new Error(JSON.stringify(problems));
  return {
    state: folder,
    secret: "secret-of-the-fleet",
    config,
    authToken: "from-a-flag-0001",
    authTokenFile: join(folder, "given"),
    env: {
      OUR_TOKEN: "from-the-environment",
      NAVARCH_DATABASE_TOKEN: "database-token-01",
      HOOK_PATH: "T000/B000/XXXX",
      HOOK_TOKEN: "hook-token-000001",
      HOOK_SECRET: "hook-secret-00001",
      LAMBDA_KEY: "cloud-key-000001",
      HOSTNAME: "gpu-7",
    },
  };
}

const PLAIN = [
  "nva.the-first-admin",
  "from-a-flag-0001",
  "from-a-file-0001",
  "from-the-environment",
  "database-token-01",
  "secret-of-the-fleet",
  "T000/B000/XXXX",
  "hook-token-000001",
  "hook-secret-00001",
  "cloud-key-000001",
];

describe("heldSecrets()", () => {
  test("knows what came by flag, file, environment, configuration and state folder", () => {
    const found = heldSecrets(held());
    for (const secret of PLAIN) expect(found).toContain(secret);
    expect(found.some((line) => line.length === 64 || line.length === 70)).toBe(true);
    for (const word of ["", "Bearer", "gpu-7"]) expect(found).not.toContain(word);
    expect(found.some((line) => line.includes("-----"))).toBe(false);
  });

  test("is not troubled by files that are not there", () => {
    expect(heldSecrets({ ...held(), state: "/nowhere", authTokenFile: "/no/file" })).toContain(
      "secret-of-the-fleet",
    );
  });
});

test("Bootstrapper stores and shows no secret that a machine says back", async () => {
  const now = Date.now();
  const store = await openLibsqlStore({ url: `file:${join(folder, "navarch.db")}`, now });
  const credential = nodeToken("secret-of-the-fleet", "n");
  const join_ = `nvj.${"aZ09_-".repeat(7)}x`;
  const echoed = [...PLAIN, credential, nodeToken("of-another-fleet", "m", 3), join_];
  const shownKey = makeKey().private;
  const lines = [user.private, shownKey].map((key) => keyLines(key)[1] ?? "");
  const shown: string[] = [];
  const bootstrapper = new Bootstrapper({
    clock: {
      wallMs: () => now,
      monoMs: () => performance.now(),
      after(ms, work) {
        const timer = setTimeout(work, ms);
        return () => clearTimeout(timer);
      },
    },
    connect: createConnect(),
    openBinary,
    // The machine is this computer: nothing may be written where a real one keeps it.
    run: (job, ports, signal) => {
      const record = async (attempt: Parameters<typeof ports.record>[0]): Promise<void> => {
        await ports.record(attempt);
        shown.push(JSON.stringify(bootstrapper.live("n" as NodeId)));
      };
      const local = { become: "never", markDirectory: join(folder, "marks") } as const;
      const path = join(folder, "token");
      const own = { ...job, ...local, credential: { path, value: job.credential?.value ?? "" } };
      return runBootstrap(own, { ...ports, record }, signal);
    },
    readKey: () => Promise.resolve(user.private),
    knownHosts: () => Promise.reject(new Error("not asked")),
    credential: () => credential,
    ca: null,
    releaseKey: null,
    slurm: async () => ({ files: [], values: {} }),
    join: null,
    agents: () => Promise.resolve({ x64: null, arm64: null }),
    controlPlane: () => ({ candidates: [], listen: ":1" }),
    save: (attempt) => store.saveBootstrap(attempt),
    saved: async (node) => (await store.bootstraps(node, 1))[0] ?? null,
    epoch: () => 1,
    shown: () => ({
      certPath: join(folder, "c"),
      cert: "c",
      keyPath: join(folder, "k"),
      key: shownKey,
    }),
    masks: (keys) => [...heldSecrets(held()), ...keys.flatMap(keyLines)],
  });
  const file = join(folder, "echo.txt");
  writeFileSync(file, [...echoed, ...lines].map((secret) => `say ${secret} now\n`).join(""));
  const outcome = await bootstrapper.run(
    {
      id: "n.1.bootstrap" as OperationId,
      node: "n" as NodeId,
      pool: null,
      session: null,
      fence: 1,
      epoch: 1,
      payload: {
        kind: "bootstrap",
        attempt: 1,
        instanceId: "i-1" as InstanceId,
        address: "127.0.0.1",
        port: peer.port,
        user: "ubuntu",
        keyPath: "/key",
        hostKey: "first-use",
        hostKeys: [],
        jump: null,
        become: "never",
        pushAgent: false,
        // Said on both streams, in the command itself and in the sentence of the failure.
        commands: [`cat ${file}; echo now nva.the-first-admin; tac ${file} >&2; exit 3`],
        values: {},
        sshTimeoutMs: 5_000,
        sshConnectTimeoutMs: 5_000,
        commandTimeoutMs: 5_000,
      },
      state: "asked",
      askedAt: 0,
      notBefore: 0,
      attempts: 1,
      lookups: 0,
      closedAt: null,
      message: null,
      because: [],
    },
    new AbortController().signal,
    async () => ({ kind: "unsupported" }),
  );
  const stored = await store.bootstraps("n" as NodeId, 10);
  await store.close();
  const step = stored[0]?.steps.at(-1);
  expect(step?.exitCode).toBe(3);
  expect(step?.stdout.head).toBe(`${"say *** now\n".repeat(echoed.length + 2)}now ***\n`);
  expect(step?.stderr.head).toBe("say *** now\n".repeat(echoed.length + 2));
  expect(shown.length).toBeGreaterThan(3);
  const everything = JSON.stringify([stored, shown, outcome]);
  for (const secret of [...echoed, ...lines]) expect(everything).not.toContain(secret);
}, 10_000);
