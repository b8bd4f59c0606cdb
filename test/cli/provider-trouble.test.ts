/**
 * Programs that print garbage, fail, hang, or name a price that is no number, and an account that
 * may not buy: each pool says in one message what is wrong and where, and the others go on.
 */
import { afterAll, beforeAll, test } from "bun:test";
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ROOT } from "../../build/product.ts";
import { json, navarch } from "./spawn.ts";

const folder = mkdtempSync(join(tmpdir(), "navarch-provider-trouble-"));
const state = join(folder, "state");

const INSTANCE = `{"id":"i","name":"n","state":"running","tags":{},"instance_type":"t",
"created_at":"2026-01-01T00:00:00Z","price_per_hour":"cheap"}`.replaceAll("\n", "");
const ERROR = '{"version":1,"error":{"class":"CLASS","message":"0 machines allowed"}}';
const forCreate = (cls: string) =>
  `case "$in" in *'"list"'*) echo '{"version":1,"instances":[]}';; ` +
  `*) echo '${ERROR.replace("CLASS", cls)}';; esac`;

/** What each program does with its request, and what its pool must say. */
const PROGRAMS: Readonly<Record<string, { does: string; says: RegExp }>> = {
  garbage: {
    does: "echo '<html>'",
    says: /^provider garbage: .*cannot be listed.*garbage list: expected one JSON object/,
  },
  fails: { does: "echo 'no credentials' >&2; exit 1", says: /fails list: exit status 1: "no cred/ },
  hangs: { does: "sleep 30", says: /hangs list: no answer within 1 s/ },
  price: {
    does: `echo '{"version":1,"instances":[${INSTANCE}]}'`,
    says: /price list: instances\[0\]\.price_per_hour: .*"cheap"/,
  },
  quota: { does: forCreate("quota"), says: /\(quota: .*0 machines allowed\)/ },
  billing: { does: forCreate("billing"), says: /\(billing: .*0 machines allowed\)/ },
};

const sized = "instance_type: t, scaling: { min_nodes: 1, max_nodes: 1 } }";
let plane: Bun.Subprocess | null = null;

beforeAll(() => {
  const names = Object.keys(PROGRAMS);
  for (const [name, { does }] of Object.entries(PROGRAMS)) {
    writeFileSync(join(folder, name), `#!/bin/sh\nin=$(cat)\n${does}\n`);
    chmodSync(join(folder, name), 0o755);
  }
  const config = join(folder, "navarch.yaml");
  const providers = names.map(
    (name) => `  ${name}: { type: command, command: ${join(folder, name)}, timeout: 1s }`,
  );
  const pools = [...names, "sound"].map(
    (name) => `  - { name: ${name}, provider: ${name}, ${sized}`,
  );
  const lines = ['server: { address: "127.0.0.1:0" }', "providers:", ...providers];
  lines.push("  sound: { type: fake, boot_delay: 100ms }", "pools:", ...pools, "");
  writeFileSync(config, lines.join("\n"));
  const words = ["control-plane", "--config", config, "--state", state, "--addr", "127.0.0.1:0"];
  const port = ["--test-port-file", join(folder, "port")];
  plane = Bun.spawn([process.execPath, join(ROOT, "cli/main.ts"), ...words, ...port], {
    env: { PATH: process.env["PATH"] ?? "", HOME: folder },
    stdio: ["ignore", "ignore", "ignore"],
  });
});

afterAll(async () => {
  plane?.kill("SIGTERM");
  await plane?.exited;
  // A simulated machine outlives its control plane, as a cloud's would.
  for (const path of new Bun.Glob("state/cloud/*/instance/*/pid").scanSync({ cwd: folder })) {
    Bun.spawnSync(["kill", "-9", readFileSync(join(folder, path), "utf8").trim()]);
  }
  rmSync(folder, { recursive: true, force: true });
});

type Pool = { name: string; ready: number; conditions: string[] };

async function pools(): Promise<Pool[]> {
  const port = join(folder, "port");
  if (!existsSync(port)) return [];
  const address = `127.0.0.1:${readFileSync(port, "utf8").trim()}`;
  const { code, out } = await navarch([
    "pool",
    "list",
    "-s",
    address,
    "--state",
    state,
    "-o",
    "json",
  ]);
  return code === 0 ? (json(out) as Pool[]) : [];
}

test("each pool says what is wrong with its provider, and the sound one serves", async () => {
  const isSaid = (all: Pool[]) =>
    Object.entries(PROGRAMS).every(([name, { says }]) =>
      all.some((pool) => pool.name === name && pool.conditions.some((text) => says.test(text))),
    );
  let all: Pool[] = [];
  for (let i = 0; i < 120; i += 1) {
    all = await pools();
    if (isSaid(all) && all.some(({ name, ready }) => name === "sound" && ready === 1)) return;
    await Bun.sleep(500);
  }
  throw new Error(JSON.stringify(all, null, 2));
}, 90_000);
