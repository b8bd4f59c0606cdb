/**
 * A real Prometheus as the source of an autoscaler: it scrapes a page, is asked over TLS with a
 * password, and answers with numbers, with nothing and with NaN.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { PoolName } from "../../../schema/id.ts";
import type { External } from "../../../reconciler/core/scaling/external.ts";
import { openMetricReader } from "../../../reconciler/metric/read.ts";
import { issue, makeAuthority } from "../../../reconciler/security/tls/certificate.ts";
import { findPrometheus } from "../../fixture/monitoring/prometheus.ts";
import { external } from "../../world/autoscaler.ts";

const program = findPrometheus("prometheus");
const missing = program === null ? "no prometheus, and it cannot be installed here" : null;
if (missing !== null) console.error(`SKIPPED: autoscaling by Prometheus: ${missing}`);

test("Prometheus is here to be asked", () => {
  if (process.env["CI"] === "true") expect(missing).toBeNull();
});

const PAGE = `jobs_waiting{queue="a"} 12
jobs_waiting{queue="b"} 5
broken NaN
`;

async function freePort(): Promise<number> {
  const server = Bun.serve({ port: 0, hostname: "127.0.0.1", fetch: () => new Response("") });
  const { port = 0 } = server;
  await server.stop(true);
  return port;
}

describe.skipIf(missing !== null)("source prometheus", () => {
  const root = mkdtempSync(join(tmpdir(), "navarch-prometheus-"));
  const file = (name: string, text: string): string => {
    const path = join(root, name);
    writeFileSync(path, text);
    return path;
  };
  const page = Bun.serve({ port: 0, hostname: "127.0.0.1", fetch: () => new Response(PAGE) });
  const read = openMetricReader({
    env: { PASSWORD: "open sesame".replace(" ", "-"), WRONG: "no" },
    clock: { after: () => () => undefined },
  });
  let child: Bun.Subprocess | null = null;
  let base: Partial<External> = {};

  const ask = async (query: string, more: Partial<External> = {}): Promise<number | string> => {
    const pool = { name: "p" as PoolName, desired: 1, min: 1, max: 9 };
    const answer = await read(external(null, { ...base, query, ...more }), pool);
    return answer.kind === "value" ? answer.value : answer.message;
  };

  beforeAll(async () => {
    const span = { fromMs: Date.now() - 60_000, untilMs: Date.now() + 3_600_000 };
    const authority = makeAuthority({ name: "test", ...span });
    const pair = issue(authority, { name: "prometheus", hosts: ["127.0.0.1"], ...span });
    const hash = Bun.password.hashSync("open-sesame", { algorithm: "bcrypt", cost: 4 });
    const cert = file("cert.pem", pair.certificate);
    const key = file("key.pem", pair.key);
    const web = file(
      "web.yml",
      `tls_server_config: { cert_file: ${cert}, key_file: ${key} }\nbasic_auth_users: { navarch: "${hash}" }\n`,
    );
    const targets = `[{ targets: ["127.0.0.1:${page.port}"] }]`;
    const config = file(
      "prometheus.yml",
      `global: { scrape_interval: 1s }\nscrape_configs: [{ job_name: page, static_configs: ${targets} }]\n`,
    );
    const port = await freePort();
    const flags = [
      `--config.file=${config}`,
      `--web.config.file=${web}`,
      `--storage.tsdb.path=${join(root, "data")}`,
      `--web.listen-address=127.0.0.1:${port}`,
    ];
    child = Bun.spawn([program ?? "", ...flags], { stdout: "ignore", stderr: "ignore" });
    base = {
      url: `https://127.0.0.1:${port}`,
      username: "navarch",
      tokenEnv: "PASSWORD",
      caFile: file("ca.pem", authority.certificate),
    };
    const until = performance.now() + 50_000;
    while (typeof (await ask("sum(jobs_waiting)")) !== "number") {
      if (performance.now() > until) throw new Error(`no answer: ${await ask("up")}`);
      await Bun.sleep(200);
    }
  }, 60_000);
  afterAll(async () => {
    child?.kill();
    await child?.exited;
    await page.stop(true);
    rmSync(root, { recursive: true, force: true });
  });

  test("a sum, a scalar and a default are numbers", async () => {
    expect(await ask("sum(jobs_waiting)")).toBe(17);
    expect(await ask('jobs_waiting{queue="b"}')).toBe(5);
    expect(await ask("scalar(sum(jobs_waiting)) / 2")).toBe(8.5);
    expect(await ask("sum(absent_series) or vector(0)")).toBe(0);
    expect(await ask("1e6")).toBe(1_000_000);
  });

  test("everything else is no reading, and says what to do", async () => {
    expect(await ask("jobs_waiting")).toBe(
      "the query has 2 results, one is needed: use sum() or max()",
    );
    expect(await ask("absent_series")).toBe("the query has no result");
    expect(await ask("broken")).toBe("the value is NaN");
    expect(await ask("1 / 0")).toBe("the value is +Inf");
    expect(await ask("-sum(jobs_waiting)")).toBe("the value is negative");
    expect(await ask("sum(")).toContain("bad_data: ");
    expect(await ask("jobs_waiting[1m]")).toContain("not that of an instant query");
  });

  test("a wrong password, another authority and plain HTTP are refused", async () => {
    expect(await ask("up", { tokenEnv: "WRONG" })).toContain("HTTP 401; check the token");
    expect(await ask("up", { caFile: null })).not.toBe(1);
    const plain = (base.url ?? "").replace("https:", "http:");
    expect(await ask("up", { url: plain })).toContain("HTTP 400, expected JSON");
  });
});
