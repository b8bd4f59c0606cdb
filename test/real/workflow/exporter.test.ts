/**
 * `navarch exporter` from the compiled binary on a real cluster, read by a real Prometheus.
 *
 * Adapter: processes, network, files.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ROOT } from "../../../build/product.ts";
import { findPrometheus } from "../../fixture/monitoring/prometheus.ts";
import { buildStale, cleanEnv, NAVARCH, Plane, until } from "../../fixture/plane/plane.ts";
import { whyNoCluster } from "../kubernetes/binary.ts";
import { type Cluster, openCluster, type Ran } from "../kubernetes/cluster.ts";
import { freePorts } from "../kubernetes/part.ts";

const [prometheus, promtool] = [findPrometheus("prometheus"), findPrometheus("promtool")];
const missing =
  prometheus === null || promtool === null
    ? "no prometheus, and it cannot be installed here"
    : await whyNoCluster();
if (missing !== null) console.error(`SKIPPED: the exporter of node resources: ${missing}`);

test("a cluster and Prometheus are here to be measured with", () => {
  if (process.env["CI"] === "true") expect(missing).toBeNull();
});

const GPU = "nvidia.com/gpu";

type Running = { url: string; said(): string; end(): Promise<void> };

describe.skipIf(missing !== null)("navarch exporter", () => {
  const root = mkdtempSync(join(tmpdir(), "navarch-exporter-"));
  const ends: (() => Promise<void>)[] = [];
  let cluster: Cluster;

  beforeAll(async () => {
    await buildStale();
    cluster = await openCluster({ stages: "shipped" });
    // Two nodes; three running pods fill the GPUs of the first.
    const filled = Bun.spawnSync([NAVARCH, "sim", "-workflow", "test/workflows/occupancy.yml"], {
      ...{ cwd: ROOT, env: cleanEnv({ KUBECONFIG: cluster.kubeconfig() }) },
    });
    expect([filled.exitCode, filled.stderr.toString()]).toEqual([0, expect.any(String)]);
  }, 300_000);
  afterAll(async () => {
    for (const end of ends.splice(0)) await end();
    expect(await cluster.close()).toEqual([]);
    rmSync(root, { recursive: true, force: true });
  }, 60_000);

  async function run(args: readonly string[], program = NAVARCH): Promise<Running> {
    const [port = 0] = freePorts(1);
    const words = program === NAVARCH ? ["exporter"] : [];
    const child = Bun.spawn([program, ...words, "-p", String(port), ...args], {
      env: cleanEnv({ KUBECONFIG: cluster.kubeconfig() }),
      ...{ stdin: "ignore", stdout: "ignore", stderr: "pipe" },
    });
    let said = "";
    const reading = (async () => {
      for await (const chunk of child.stderr) said += Buffer.from(chunk).toString();
    })();
    const running = {
      url: `http://127.0.0.1:${port}`,
      said: () => said,
      async end() {
        child.kill();
        await child.exited;
        await reading;
      },
    };
    ends.push(() => running.end());
    await until("the exporter serves", 20_000, async () => {
      return (await fetch(`${running.url}/healthz`)).ok ? true : null;
    });
    return running;
  }

  const pageOf = async ({ url }: Running): Promise<string> =>
    (await fetch(`${url}/metrics`)).text();
  const linesOf = (page: string, name: string): string[] =>
    page.split("\n").filter((line) => line.startsWith(name));
  const isFresh = (exporter: Running): Promise<unknown> =>
    until("both lists", 20_000, async () => {
      return (await pageOf(exporter)).includes("node_resource_stale 0\n") ? true : null;
    });

  async function refused(...args: string[]): Promise<Ran> {
    const child = Bun.spawn([NAVARCH, "exporter", ...args], {
      ...{ env: cleanEnv({}), stdin: "ignore", stdout: "pipe", stderr: "pipe", timeout: 20_000 },
    });
    const texts = [child.stdout, child.stderr].map((end) => new Response(end).text());
    const [out = "", err = ""] = await Promise.all(texts);
    return { code: await child.exited, out, err };
  }

  test("W47: flags are Go's, under both names; bad ones are one line", async () => {
    const name = join(root, "node-resource-exporter");
    symlinkSync(NAVARCH, name);
    const exporter = await run(["-n", "", "--r=cpu,memory,nvidia.com/gpu", "-l", ""], name);
    await isFresh(exporter);
    const page = await pageOf(exporter);
    expect(linesOf(page, "node_resource_requests").length).toBe(6);
    const asked = linesOf(page, "node_resource_requests").filter((line) => line.includes(GPU));
    expect(asked.map((line) => line.split(" ").at(-1)).sort()).toEqual(["0", "8"]);
    const { port } = new URL(exporter.url);
    const at = ["-kubeconfig", cluster.kubeconfig()];
    for (const [args, code, line] of [
      [["-p", port, ...at], 1, `error: cannot listen at :${port}: it is in use`],
      [["-p", "99999"], 2, "error: -p 99999: expected a port from 0 to 65535"],
      [["-p", "http"], 2, 'invalid value "http" for flag -p: parse error'],
      [["-l", "a b"], 2, 'error: -l: "a b": expected NAME or DOMAIN/NAME, separated by commas'],
      [["-l", "a.b,a-b"], 2, "error: -l: labels a.b and a-b are both a_b in Prometheus"],
      [["-kubectx", "nosuch", ...at], 1, 'no kubecontext "nosuch"'],
    ] as const) {
      const { code: got, err } = await refused(...args);
      expect([args, got, err.trimEnd().split("\n").at(-1)]).toEqual([
        ...[args, code],
        expect.stringContaining(line),
      ]);
    }
    await exporter.end();
    const own = await run(["-host", "127.0.0.1"]);
    expect((await fetch(`http://127.0.0.1:${new URL(own.url).port}/healthz`)).status).toBe(200);
    const other = fetch(`http://[::1]:${new URL(own.url).port}/healthz`);
    await expect(other).rejects.toThrow();
    await own.end();
  });

  test("W47, X16: / and /healthz answer 200, other paths 404, writes 405", async () => {
    const exporter = await run([]);
    const statuses = ["/", "/healthz", "/metrics", "/nothing"].map(async (path) => {
      return (await fetch(`${exporter.url}${path}`)).status;
    });
    expect(await Promise.all(statuses)).toEqual([200, 200, 200, 404]);
    expect((await fetch(`${exporter.url}/metrics`, { method: "POST" })).status).toBe(405);
    await exporter.end();
  });

  test("W47: -n counts the pods of one namespace, and one that is not there is named", async () => {
    const [own, none] = [await run(["-n", "default", "-r", GPU]), await run(["-n", "defualt"])];
    await isFresh(own);
    await isFresh(none);
    expect((await pageOf(own)).match(/node_resource_requests\{.*\} 8$/m)).not.toBeNull();
    expect((await pageOf(none)).match(/node_resource_requests\{.*\} [1-9]/)).toBeNull();
    const said = "exporter: namespace defualt does not exist; its pods count once it does";
    await until("the line", 20_000, () => (none.said().includes(said) ? true : null));
    expect(own.said()).not.toContain("does not exist");
    await own.end();
    await none.end();
  });

  test("W47: without rights it serves on, names the right, and is stale", async () => {
    const exporter = await run(["-kubeconfig", cluster.issue("limited")]);
    await until("the line", 20_000, () => (exporter.said().includes("cannot read") ? true : null));
    expect(exporter.said()).toContain(
      "exporter: cannot read nodes: forbidden: limited may not list nodes",
    );
    expect(linesOf(await pageOf(exporter), "node_resource")).toEqual(["node_resource_stale 1"]);
    await exporter.end();
  });

  test("W47: the control plane serves the same gauges where its configuration asks", async () => {
    const lines = [
      "server: { address: 127.0.0.1:0 }",
      "pools: []",
      `kubernetes: { enabled: true, kubeconfig: ${cluster.kubeconfig("product")}, NODES }`,
    ].join("\n");
    const asked = `node_resources: { enabled: true, labels: [nvidia.com/gpu.count] }`;
    const plane = new Plane(lines.replace("NODES", asked));
    const exporter = await run(["-l", "nvidia.com/gpu.count"]);
    try {
      await plane.start();
      const shares = (page: string): string[] => linesOf(page, "node_resource_").sort();
      await isFresh(exporter);
      const known = shares(await pageOf(exporter));
      expect(known.length).toBe(19);
      await until("the same page", 30_000, async () => {
        const page = await (await fetch(`${plane.url}/metrics`)).text();
        return Bun.deepEquals(shares(page), known) ? true : null;
      });
    } finally {
      expect(await plane.destroy()).toEqual([]);
      await exporter.end();
    }
  }, 120_000);

  test("A12: Prometheus reads 50 % of two nodes, and the series go with their nodes", async () => {
    const exporter = await run(["-r", GPU, "-l", "nvidia.com/gpu.count"]);
    await isFresh(exporter);
    const page = await pageOf(exporter);
    const shape = /^\w+\{node="virtual-dgxa100.80g-[^"]+",(.+)\} (\d+)$/;
    const labels = `resource="${GPU}",nvidia_com_gpu_count="8"`;
    expect(
      linesOf(page, "node_resource_occupancy")
        .map((line) => shape.exec(line)?.slice(1))
        .sort(),
    ).toEqual([
      [labels, "0"],
      [labels, "100"],
    ]);
    const lint = Bun.spawnSync([promtool ?? "", "check", "metrics"], { stdin: Buffer.from(page) });
    expect([lint.exitCode, lint.stdout.toString(), lint.stderr.toString()]).toEqual([0, "", ""]);
    const [port = 0] = freePorts(1);
    const config = join(root, "prometheus.yml");
    const targets = `[{ targets: ["${new URL(exporter.url).host}"] }]`;
    writeFileSync(
      config,
      `scrape_configs: [{ job_name: n, scrape_interval: 1s, static_configs: ${targets} }]\n`,
    );
    const child = Bun.spawn(
      [
        ...[prometheus ?? "", `--config.file=${config}`],
        ...[`--storage.tsdb.path=${join(root, "data")}`, `--web.listen-address=127.0.0.1:${port}`],
      ],
      { stdout: "ignore", stderr: "ignore" },
    );
    ends.push(async () => {
      child.kill();
      await child.exited;
    });
    const query = encodeURIComponent(`avg(node_resource_occupancy{resource="${GPU}"})`);
    const url = `http://127.0.0.1:${port}/api/v1/query?query=${query}`;
    type Answer = { data: { result: { value: [number, string] }[] } };
    const average = await until("an average", 60_000, async () => {
      const { data } = (await (await fetch(url)).json()) as Answer;
      return data.result[0]?.value[1] ?? null;
    });
    expect(average).toBe("50");
    await cluster.kubectl("delete", "nodes", "-l", "type=kwok");
    const deletedMs = performance.now();
    await until("no series", 10_000, async () => {
      return linesOf(await pageOf(exporter), "node_resource_occupancy").length === 0 ? true : null;
    });
    expect(performance.now() - deletedMs).toBeLessThan(10_000);
    await until("no series in Prometheus", 20_000, async () => {
      const { data } = (await (await fetch(url)).json()) as Answer;
      return data.result.length === 0 ? true : null;
    });
    await exporter.end();
  }, 150_000);

  test("W47: while the API server is away it serves the last values, as stale", async () => {
    await cluster.addNodes(1, { name: () => "last" });
    const exporter = await run(["-r", GPU]);
    await until("the node", 20_000, async () => {
      return (await pageOf(exporter)).includes('node="last"') ? true : null;
    });
    await cluster.stopApiserver();
    await until("stale", 40_000, async () => {
      return (await pageOf(exporter)).includes("node_resource_stale 1\n") ? true : null;
    });
    expect(await pageOf(exporter)).toContain('node_resource_requests{node="last"');
    expect((await fetch(`${exporter.url}/healthz`)).status).toBe(200);
    expect(exporter.said().match(/cannot read/g)?.length).toBe(1);
    await cluster.startApiserver();
    await isFresh(exporter);
    await until("the end", 20_000, () => (exporter.said().includes("is read again") ? true : null));
    await exporter.end();
  }, 150_000);
});
