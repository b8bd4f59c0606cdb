/**
 * A control plane as a process buys at moto behind the proxy: nothing while there is no stock, then
 * what the pool wants and no more, also when it is killed between a request and its answer.
 */
import { afterAll, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ROOT } from "../../../../build/product.ts";
import { json, navarch } from "../../../cli/spawn.ts";
import { EC2_KEY, EC2_SECRET, Ec2Proxy } from "./proxy.ts";
import { IMAGE, openMoto } from "./subject.ts";

const MAIN = join(ROOT, "cli/main.ts");
const moto = await openMoto();
const folder = mkdtempSync(join(tmpdir(), "navarch-aws-plane-"));
afterAll(async () => {
  await moto?.stop();
  rmSync(folder, { recursive: true, force: true });
});

async function until<T>(what: string, look: () => Promise<T | null> | T | null): Promise<T> {
  for (let i = 0; i < 1_800; i++) {
    const found = await look();
    if (found !== null) return found;
    await Bun.sleep(50);
  }
  throw new Error(`${what}: not within 90 s`);
}

test.skipIf(moto === null)("buys what the pool wants, once, through a kill and a stock-out", async () => {
  if (moto === null) return;
  await moto.reset();
  const proxy = new Ec2Proxy(moto, Date.now);
  const [state, config, portFile] = ["state", "navarch.yaml", "port"].map((n) => join(folder, n));
  if (state === undefined || config === undefined || portFile === undefined) return;
  writeFileSync(
    config,
    `server: { address: "127.0.0.1:0" }
providers:
  aws: { region: us-east-1, image: ${IMAGE}, endpoint: "${proxy.url}", settle: 3s }
pools:
  - { name: p, provider: aws, zones: [us-east-1a, us-east-1b], instance_type: p5.48xlarge,
      scaling: { min_nodes: 0, max_nodes: 3 } }
`,
  );
  const start = () => {
    rmSync(portFile, { force: true });
    const own = ["--state", state, "--addr", "127.0.0.1:0", "--test-port-file", portFile];
    const keys = { AWS_ACCESS_KEY_ID: EC2_KEY, AWS_SECRET_ACCESS_KEY: EC2_SECRET };
    return Bun.spawn([process.execPath, MAIN, "control-plane", "--config", config, ...own], {
      env: { PATH: process.env["PATH"] ?? "", HOME: folder, ...keys },
      stdin: "ignore",
      stdout: Bun.file(join(folder, "log")),
      stderr: "inherit",
    });
  };
  const ask = async (...words: string[]) => {
    const port = await until("the port", () => {
      const text = existsSync(portFile) ? readFileSync(portFile, "utf8").trim() : "";
      return text === "" ? null : text;
    });
    const own = ["-s", `127.0.0.1:${port}`, "--state", state, "-o", "json"];
    return navarch([...words, ...own]);
  };
  const live = () => proxy.reality().live.map(({ id }) => String(id));
  proxy.setFaults({ stockOut: true });
  let plane = start();
  try {
    expect((await ask("pool", "scale", "p", "--nodes", "2", "--reason", "go")).code).toBe(0);
    await until("a refusal in both zones", () => (proxy.reality().asks >= 2 ? true : null));
    expect(live()).toEqual([]);
    const status = await ask("pool", "status", "p");
    expect(status.out).toContain("InsufficientInstanceCapacity");

    // The offers rest; then the first purchase is made, and its answer comes too late.
    proxy.setFaults({ createDelayMs: 4_000 });
    await until("a purchase", () => (live().length === 1 ? true : null));
    plane.kill("SIGKILL");
    await plane.exited;
    proxy.setFaults({ loseReply: { create: { times: 1 } } });
    plane = start();
    await until("both machines", () => (live().length === 2 ? true : null));
    // Longer than a listing of a real cloud, which is one in ten seconds.
    await Bun.sleep(12_000);
    expect(proxy.reality()).toMatchObject({ doubles: [], overlaps: [], terminated: [] });
    const rows = json((await ask("instances")).out) as { instance_id: string }[];
    expect(rows.map((row) => row.instance_id).sort()).toEqual(live().sort());

    // A pool that is emptied ends both, and leaves nothing.
    expect((await ask("pool", "scale", "p", "--nodes", "0", "--reason", "done")).code).toBe(0);
    await until("no machine", () => (live().length === 0 ? true : null));
    expect(proxy.reality().terminated).toHaveLength(2);
  } finally {
    plane.kill("SIGTERM");
    await plane.exited;
  }
  expect(await proxy.audit()).toEqual([]);
  await proxy.stop();
}, 240_000);
