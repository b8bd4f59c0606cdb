/** `navarch doctor providers`: real programs and Lambda's stand-in, examined without a purchase. */
import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ROOT } from "../../build/product.ts";
import { openMemoryCloud } from "../../reconciler/provider/fake/memory.ts";
import { LAMBDA_KEY, serveLambda } from "../fixture/cloud/lambda-server.ts";
import { json, navarch } from "./spawn.ts";

const folder = mkdtempSync(join(tmpdir(), "navarch-doctor-providers-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

type Row = { provider: string; check: string; outcome: string; message: string };

function configOf(providers: readonly string[], pools: readonly string[]): string {
  const path = join(folder, `${crypto.randomUUID()}.yaml`);
  const lines = [
    'server: { address: "127.0.0.1:1" }',
    "providers:",
    ...providers,
    "pools:",
    ...pools,
  ];
  writeFileSync(path, `${lines.join("\n")}\n`);
  return path;
}

async function doctor(config: string, env: Record<string, string> = {}) {
  const words = ["doctor", "providers", "--config", config, "-o", "json"];
  const { code, out, err } = await navarch(words, env);
  return { code, out, err, rows: out === "" ? [] : (json(out) as Row[]) };
}
const pool = (name: string, provider: string, type: string, region: string) =>
  `  - { name: ${name}, provider: ${provider}, region: ${region}, instance_type: ${type}, ` +
  "scaling: { min_nodes: 0, max_nodes: 1 } }";

test("every provider has its rows, and nothing is bought", async () => {
  const after = (ms: number, work: () => void) => void setTimeout(work, ms);
  const clock = { wallMs: () => Date.now(), after };
  const from = { clock, random: () => 0.5, fleetId: "navarch-check" };
  const cloud = openMemoryCloud({ ...from, class: "tag-only" });
  const standIn = serveLambda(cloud);
  try {
    const rate = "rate_limit: { requests_per_second: 100 }";
    const program = `${join(ROOT, "deploy/example/command-provider.mjs")} ${join(folder, "cloud")}`;
    const config = configOf(
      [
        `  lambda: { endpoint: "${standIn.url}", ${rate} }`,
        `  mine: { type: command, command: "${program}" }`,
        `  missing: { type: command, command: "${join(folder, "no-such-program")}" }`,
      ],
      [
        pool("a", "lambda", "h100x8", "r1"),
        pool("b", "lambda", "h100x8", "us-east"),
        pool("c", "mine", "h100-8x", "r1"),
        pool("d", "mine", "a100-8x", "r1"),
      ],
    );
    const bare = await doctor(config);
    expect(bare.rows[0]).toMatchObject({ provider: "lambda", check: "open", outcome: "fail" });
    expect(bare.rows[0]?.message).toContain("set LAMBDA_API_KEY");
    const { code, rows } = await doctor(config, { LAMBDA_API_KEY: LAMBDA_KEY });
    expect(code).toBe(1);
    const said = rows.map((row) => [row.outcome, row.provider, row.check, row.message].join(" | "));
    expect(said).toEqual([
      "ok | lambda | list | instances can be listed",
      "ok | lambda | credentials | the API key is valid",
      "ok | lambda | region | r1 exists",
      "ok | lambda | instance type | h100x8 exists",
      "fail | lambda | region | us-east is unknown: did you mean us-east-1?",
      "ok | lambda | ssh key | ops is used where ssh_keys is not set",
      "ok | lambda | offer | r1 h100x8: $29.9 an hour, available now",
      "warn | lambda | offer | us-east h100x8: $29.9 an hour, not available now",
      "ok | mine | list | instances can be listed",
      expect.stringContaining("ok | mine | credentials | "),
      "ok | mine | instance type | h100-8x is sold",
      "fail | mine | instance type | a100-8x is not sold here",
      "ok | mine | quota | instances: 1000",
      "ok | mine | offer | r1 h100-8x: $0 an hour, available now",
      "warn | mine | offer | r1 a100-8x: price unknown, not available now",
      expect.stringContaining("fail | missing | list | unavailable: "),
      expect.stringContaining("fail | missing | program | "),
      expect.stringContaining("fail | missing | quota | "),
      "warn | missing | places | no pool buys here, so no place was checked",
    ]);
    expect(cloud.reality()).toMatchObject({ live: [], asks: 0 });
    expect(readdirSync(join(folder, "cloud"))).toEqual([]);
    expect(standIn.calls.filter((call) => !call.startsWith("GET "))).toEqual([]);
    expect(standIn.violations).toEqual([]);
    const wrong = await doctor(config, { LAMBDA_API_KEY: "wrong-key" });
    expect(wrong.rows.filter(({ provider }) => provider === "lambda")[1]).toMatchObject({
      check: "credentials",
      outcome: "fail",
    });
    expect(wrong.out + wrong.err).not.toContain("wrong-key");
  } finally {
    await standIn.stop();
    await cloud.close();
  }
}, 60_000);

test("a configuration is needed, and one without providers says so", async () => {
  expect((await navarch(["doctor", "providers"])).err).toContain("name the configuration");
  const path = configOf(["  {}"], ["  []"]);
  const { code, out } = await navarch(["doctor", "providers", "--config", path]);
  expect([code, out]).toEqual([0, expect.stringContaining("has no provider")]);
});
