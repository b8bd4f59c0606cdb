/** A worker's agent as a real process, against a control plane with AgentPools of a test. */
import { afterEach, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { WorkerReport, WorkerWord } from "../../schema/agentpool.ts";
import type { NodeId } from "../../schema/id.ts";
import { noAgentPools } from "../../reconciler/core/agentpool/none.ts";
import { Plane } from "./plane.ts";

const POOL = "default/t1";
const POD = { namespace: "default", name: "t1-aaaaa", uid: "u1" };
const ID = POD.name as NodeId;
const claims = { "kubernetes.io": { pod: { name: POD.name } } };
const TOKEN = `h.${Buffer.from(JSON.stringify(claims)).toString("base64url")}.s`;
/** A start from source on a busy machine. */
const START_MS = 20_000;

const ends: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

async function open() {
  const plane = await Plane.open();
  ends.push(() => plane.close());
  const said: WorkerReport[] = [];
  // As of a pool whose template asks for no GPU.
  const word: WorkerWord = { pool: POOL, claims: 0, stop: false, without_gpus: true };
  const at = { word };
  plane.ports.agentPools = {
    ...noAgentPools("unused"),
    whyNot: () => null,
    review: async (token) =>
      token === TOKEN
        ? { kind: "proven", pod: POD }
        : { kind: "refused", problem: "its pod token is not accepted" },
    admit: async (_, pool) =>
      pool === "t1"
        ? { kind: "ok", node: ID, pool: POOL }
        : { kind: "refused", message: `not of ${pool}` },
    heard: (_, report) => {
      said.push(report);
      return at.word;
    },
  };
  // The world's time passes as fast as the clock on the wall.
  let isPumping = true;
  const pump = (async () => {
    while (isPumping) {
      await plane.w.clock.pass(20);
      await plane.w.reconciler.activate();
      await Bun.sleep(20);
    }
  })();
  ends.push(async () => {
    isPumping = false;
    await pump;
  });
  const tell = (word: Partial<WorkerWord>): boolean => {
    at.word = { ...at.word, ...word };
    return plane.front.push(ID, at.word);
  };
  return { plane, said, tell };
}

function start(base: string, args: string[] = []) {
  const folder = mkdtempSync(join(tmpdir(), "navarch-worker-"));
  writeFileSync(
    join(folder, "velda.yaml"),
    `broker: {address: "${base.slice("http://".length)}"}\n`,
  );
  writeFileSync(join(folder, "token"), TOKEN);
  const files = ["--config", join(folder, "velda.yaml"), "--token-file", join(folder, "token")];
  const child = Bun.spawn({
    cmd: [process.execPath, "run", "agent/main.ts", "--pool=t1", ...files, ...args],
    env: { PATH: process.env["PATH"] ?? "", AGENT_NAME: POD.name, TMPDIR: folder },
    stderr: "pipe",
    stdout: "ignore",
  });
  const log = new Response(child.stderr).text();
  ends.push(async () => {
    child.kill("SIGKILL");
    await child.exited;
    rmSync(folder, { recursive: true, force: true });
  });
  return { child, log };
}

async function until(what: string, is: () => boolean, ms = START_MS): Promise<number> {
  const begun = performance.now();
  while (!is()) {
    if (performance.now() - begun > ms) throw new Error(`not within ${ms} ms: ${what}`);
    await Bun.sleep(10);
  }
  return performance.now() - begun;
}

test("V37, V42: a worker joins by --pool and its file, healthy with zero GPUs, and stops when asked", async () => {
  const { plane, said, tell } = await open();
  const { child, log } = start(plane.base);
  const node = () => plane.w.reconciler.fleet().nodes.get(ID);
  await until("healthy", () => node()?.health.verdict === "healthy");
  expect(node()).toMatchObject({ worker: { pool: POOL, uid: "u1" }, health: { held: [] } });
  expect(node()?.agent?.inventory).toMatchObject({ gpus: [], provider_ids: [] });
  expect(said.at(-1)).toEqual({ slots: null, stop: "no", ignored: [] });
  await until("connected", () => tell({}), 5_000);
  // Release, stop, confirm: the whole round.
  tell({ stop: true });
  const ms = await until("stopped", () => said.at(-1)?.stop === "stopped", 5_000);
  expect(ms).toBeLessThan(1_000);
  tell({ stop: false });
  await until("serves again", () => said.at(-1)?.stop === "no", 5_000);
  child.kill("SIGTERM");
  expect(await child.exited).toBe(0);
  expect(await log).not.toContain(TOKEN);
}, 60_000);

test("V41: SIGTERM waits for the claims, reports at once, and exits 0 once the last has ended", async () => {
  const { plane, said, tell } = await open();
  const { child } = start(plane.base);
  await until("joined", () => said.length > 0);
  await until("claim", () => tell({ claims: 1 }), START_MS);
  child.kill("SIGTERM");
  await until("busy", () => said.at(-1)?.stop === "busy", 5_000);
  await Bun.sleep(1_500);
  expect(child.exitCode).toBeNull();
  tell({ claims: 0 });
  await until("ended", () => child.exitCode !== null, 10_000);
  expect([child.exitCode, said.at(-1)?.stop]).toEqual([0, "stopped"]);
}, 60_000);

test("V41: --grace bounds the wait for claims", async () => {
  const { plane, said, tell } = await open();
  const { child } = start(plane.base, ["--grace=1s"]);
  await until("joined", () => said.length > 0);
  await until("claim", () => tell({ claims: 1 }), START_MS);
  child.kill("SIGTERM");
  await until("ended", () => child.exitCode !== null, 10_000);
  expect(child.exitCode).toBe(0);
}, 60_000);
