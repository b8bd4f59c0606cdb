/** Task `CheckMetric` against a real Prometheus that scrapes a page, and against the page. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { REAL_CLOCK } from "../../../reconciler/kubernetes/connect.ts";
import { checkMetric } from "../../../simulator/workflow/task/check-metric.ts";
import { findPrometheus } from "../../fixture/monitoring/prometheus.ts";
import { openTaskRun } from "../../world/task-run.ts";

const program = findPrometheus("prometheus");
const missing = program === null ? "no prometheus, and it cannot be installed here" : null;
if (missing !== null) console.error(`SKIPPED: checks of metrics by Prometheus: ${missing}`);

test("Prometheus is here to be asked by a workflow", () => {
  if (process.env["CI"] === "true") expect(missing).toBeNull();
});

async function freePort(): Promise<number> {
  const server = Bun.serve({ port: 0, hostname: "127.0.0.1", fetch: () => new Response("") });
  const { port = 0 } = server;
  await server.stop(true);
  return port;
}

describe.skipIf(missing !== null)("W55: CheckMetric", () => {
  const root = mkdtempSync(join(tmpdir(), "navarch-check-metric-"));
  let text = 'occupancy{node="a"} 40\noccupancy{node="b"} 60\ndebt -3\n';
  const page = Bun.serve({
    ...{ port: 0, hostname: "127.0.0.1" },
    fetch: ({ url }) => {
      if (url.endsWith("/away")) return Response.redirect("/metrics");
      return new Response(text, { headers: { "content-type": "text/plain; version=0.0.4" } });
    },
  });
  let child: Bun.Subprocess | null = null;
  let url = "";
  const check = async (params: object): Promise<string | null> => {
    const { run } = openTaskRun({ clock: REAL_CLOCK });
    const given = { op: "==", value: 50, ...params };
    const task = { id: "t", type: "CheckMetric", description: "", params: given };
    return checkMetric
      .read(task)(run)
      .then(
        () => null,
        (cause: unknown) => (cause instanceof Error ? cause.message : String(cause)),
      );
  };

  beforeAll(async () => {
    const config = join(root, "prometheus.yml");
    const targets = `[{ targets: ["127.0.0.1:${page.port}"] }]`;
    const scrapes = `scrape_configs: [{ job_name: page, static_configs: ${targets} }]`;
    writeFileSync(config, `global: { scrape_interval: 1s }\n${scrapes}\n`);
    const port = await freePort();
    url = `http://127.0.0.1:${port}`;
    const store = `--storage.tsdb.path=${join(root, "data")}`;
    const listen = `--web.listen-address=127.0.0.1:${port}`;
    const flags = [`--config.file=${config}`, store, listen];
    child = Bun.spawn([program ?? "", ...flags], { stdout: "ignore", stderr: "ignore" });
    expect(await check({ query: "avg(occupancy)", url, timeout: "50s" })).toBeNull();
  }, 60_000);
  afterAll(async () => {
    child?.kill();
    await child?.exited;
    await page.stop(true);
    rmSync(root, { recursive: true, force: true });
  });

  test("W55: a query compares, whatever the number's sign, and waits for it", async () => {
    expect(await check({ query: "debt", url, op: "<", value: 0 })).toBeNull();
    expect(await check({ query: "avg(occupancy)", url, op: ">", value: 50 })).toBe(
      "avg(occupancy) is 50, expected > 50",
    );
    expect(await check({ query: "occupancy", url })).toBe(
      "occupancy: the query has 2 results, one is needed: use sum() or max()",
    );
    expect(await check({ query: "nothing", url })).toBe("nothing: the query has no result");
    expect(await check({ query: "sum(", url })).toContain("bad_data: ");
    text = 'occupancy{node="a"} 70\n';
    const late = { query: 'occupancy{node="a"}', url, value: 70, timeout: "20s" };
    expect(await check(late)).toBeNull();
  }, 30_000);

  test("W55: a page is read, and what is none says so", async () => {
    const at = `http://127.0.0.1:${page.port}/metrics`;
    expect(
      await check({ name: "occupancy", labels: { node: "a" }, value: 70, url: at }),
    ).toBeNull();
    expect(await check({ name: "ocupancy", url: at })).toContain('did you mean "occupancy"?');
    const away = `http://127.0.0.1:${page.port}/away`;
    expect(await check({ name: "occupancy", url: away })).toContain("a redirect, which is not");
    const gone = `http://127.0.0.1:${await freePort()}`;
    expect(await check({ query: "up", url: gone, timeout: "1s" })).toContain(
      "context deadline exceeded: up: 127.0.0.1:",
    );
  });
});
