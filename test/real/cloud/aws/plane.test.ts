/**
 * A control plane as a process buys at moto behind the proxy: nothing while there is no stock, then
 * what the pool wants and no more, also when it is killed between a request and its answer; a big
 * pool at the default pace; and it tells of a machine that somebody protects from its end.
 */
import { afterAll, expect, test } from "bun:test";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ROOT } from "../../../../build/product.ts";
import { json, navarch } from "../../../cli/spawn.ts";
import { EC2_KEY, EC2_SECRET, Ec2Proxy } from "./proxy.ts";
import { IMAGE, openMoto } from "./subject.ts";
import type { Moto } from "./moto.ts";

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

type Plane = {
  proxy: Ec2Proxy;
  start(): void;
  /** No goodbye. */
  kill(): Promise<void>;
  /** A command line of the operator, answered in JSON. */
  ask(...words: string[]): Promise<{ code: number; out: string }>;
  /** Ids of the machines that moto has. */
  live(): string[];
  log(): string;
};

/** A control plane with one pool `p`, in a folder of its own; `close` ends it and audits moto. */
async function openPlane(moto: Moto, name: string, settings: { provider: string; pool: string }) {
  await moto.reset();
  const proxy = new Ec2Proxy(moto, Date.now);
  const own = join(folder, name);
  mkdirSync(own);
  const [state, config] = [join(own, "state"), join(own, "navarch.yaml")];
  const [portFile, log] = [join(own, "port"), join(own, "log")];
  writeFileSync(
    config,
    `server: { address: "127.0.0.1:0", metrics_port: 0 }
providers:
  aws: { region: us-east-1, image: ${IMAGE}, endpoint: "${proxy.url}"${settings.provider} }
pools:
  - { name: p, provider: aws, zones: [us-east-1a, us-east-1b], instance_type: p5.48xlarge,
      ${settings.pool} }
`,
  );
  let child: Bun.Subprocess | null = null;
  const plane: Plane = {
    proxy,
    start: () => {
      rmSync(portFile, { force: true });
      const where = ["--state", state, "--addr", "127.0.0.1:0", "--test-port-file", portFile];
      const keys = { AWS_ACCESS_KEY_ID: EC2_KEY, AWS_SECRET_ACCESS_KEY: EC2_SECRET };
      child = Bun.spawn([process.execPath, MAIN, "control-plane", "--config", config, ...where], {
        env: { PATH: process.env["PATH"] ?? "", HOME: own, ...keys },
        stdin: "ignore",
        stdout: Bun.file(log),
        stderr: Bun.file(`${log}.err`),
      });
    },
    kill: async () => {
      child?.kill("SIGKILL");
      await child?.exited;
    },
    ask: async (...words) => {
      const port = await until("the port", () => {
        const text = existsSync(portFile) ? readFileSync(portFile, "utf8").trim() : "";
        return text === "" ? null : text;
      });
      return navarch([...words, "-s", `127.0.0.1:${port}`, "--state", state, "-o", "json"]);
    },
    live: () => proxy.reality().live.map(({ id }) => String(id)),
    log: () => [log, `${log}.err`].map((path) => readFileSync(path, "utf8")).join(""),
  };
  const close = async (): Promise<void> => {
    child?.kill("SIGTERM");
    await child?.exited;
    expect(await proxy.audit()).toEqual([]);
    await proxy.stop();
  };
  plane.start();
  return { ...plane, close };
}

async function scale({ ask }: Plane, nodes: number): Promise<void> {
  expect((await ask("pool", "scale", "p", "--nodes", `${nodes}`, "--reason", "go")).code).toBe(0);
}

const SMALL = { provider: ", settle: 3s", pool: "scaling: { min_nodes: 0, max_nodes: 3 }" };

test.skipIf(moto === null)(
  "buys what the pool wants, once, through a kill and a stock-out",
  async () => {
    if (moto === null) return;
    const plane = await openPlane(moto, "once", SMALL);
    const { proxy, ask, live } = plane;
    proxy.setFaults({ stockOut: true });
    try {
      await scale(plane, 2);
      await until("a refusal in both zones", () => (proxy.reality().asks >= 2 ? true : null));
      expect(live()).toEqual([]);
      const status = await ask("pool", "status", "p");
      expect(status.out).toContain("InsufficientInstanceCapacity");

      // The offers rest; then the first purchase is made, and its answer comes too late.
      proxy.setFaults({ createDelayMs: 4_000 });
      await until("a purchase", () => (live().length === 1 ? true : null));
      await plane.kill();
      proxy.setFaults({ loseReply: { create: { times: 1 } } });
      plane.start();
      await until("both machines", () => (live().length === 2 ? true : null));
      // Longer than a listing of a real cloud, which is one in ten seconds.
      await Bun.sleep(12_000);
      expect(proxy.reality()).toMatchObject({ doubles: [], overlaps: [], terminated: [] });
      const rows = json((await ask("instances")).out) as { instance_id: string }[];
      expect(rows.map((row) => row.instance_id).sort()).toEqual(live().sort());

      // A pool that is emptied ends both, and leaves nothing.
      await scale(plane, 0);
      await until("no machine", () => (live().length === 0 ? true : null));
      expect(proxy.reality().terminated).toHaveLength(2);
    } finally {
      await plane.close();
    }
  },
  240_000,
);

test.skipIf(moto === null)(
  "buys thirty machines at the default pace without a failed activation",
  async () => {
    if (moto === null) return;
    const plane = await openPlane(moto, "thirty", {
      provider: "",
      pool: "scaling: { min_nodes: 0, max_nodes: 30 }",
    });
    try {
      const startMs = performance.now();
      await scale(plane, 30);
      await until("thirty machines", () => (plane.live().length === 30 ? true : null));
      console.error(`30 machines in ${((performance.now() - startMs) / 1_000).toFixed(1)} s`);
      await Bun.sleep(12_000);
      expect(plane.proxy.reality()).toMatchObject({
        doubles: [],
        overlaps: [],
        terminated: [],
        asks: 30,
      });
      expect(plane.log()).not.toContain("activation failed");
      expect(plane.log()).not.toContain('"level":"error"');
    } finally {
      await plane.close();
    }
  },
  240_000,
);

test.skipIf(moto === null)(
  "tells of a machine that is protected from its end, and ends it once it may",
  async () => {
    if (moto === null) return;
    const plane = await openPlane(moto, "protected", SMALL);
    const { proxy, ask, live } = plane;
    try {
      await scale(plane, 1);
      const id = await until("a machine", () => live()[0] ?? null);
      await until("its row", async () => ((await ask("instances")).out.includes(id) ? true : null));
      await proxy.protect(id, true);
      await scale(plane, 0);
      const refused = await until("the condition", async () => {
        const { out } = await ask("pool", "status", "p");
        return out.includes("refuses to end instance") ? out : null;
      });
      expect(refused).toContain(id);
      expect(refused).toContain("OperationNotPermitted");
      expect((await ask("doctor")).out).toContain(`${id} is refused: `);
      expect(live()).toEqual([id]);
      await proxy.protect(id, false);
      await until("no machine", () => (live().length === 0 ? true : null));
      expect(proxy.reality().asks).toBe(1);
    } finally {
      await plane.close();
    }
  },
  240_000,
);
