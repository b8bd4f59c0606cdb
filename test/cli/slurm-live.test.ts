/** `navarch slurm render --inventory live`: the nodes of a real control plane, by its NodeNames. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ROOT } from "../../build/product.ts";
import type { NodeView, SlurmNodeView } from "../../schema/api.ts";
import { nodeView } from "./fleet.ts";
import { json, navarch } from "./spawn.ts";
import { openStub, TOKEN } from "./stub.ts";

const folder = mkdtempSync(join(tmpdir(), "navarch-slurm-live-"));
const state = join(folder, "state");
const stub = openStub();
let plane: Bun.Subprocess | null = null;

beforeAll(() => {
  const config = join(folder, "navarch.yaml");
  const sized = (n: number) =>
    `instance_type: h100-8x, scaling: { min_nodes: ${n}, max_nodes: ${n} }`;
  writeFileSync(
    config,
    `server: { address: "127.0.0.1:0" }
providers: { f: { type: fake, boot_delay: 100ms } }
pools:
  - { name: training, provider: f, ${sized(2)} }
  - { name: named, provider: f, ${sized(1)}, slurm: { nodes: "t[1-3]" } }
`,
  );
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
  // The simulated machines outlive their control plane.
  const left = Bun.spawnSync(["pgrep", "-f", folder]).stdout.toString().split("\n");
  for (const pid of left.filter((line) => line !== "")) process.kill(Number(pid), "SIGKILL");
  await stub.close();
  rmSync(folder, { recursive: true, force: true });
});

function base(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

const shape = "cpus: 8, memory_mb: 1000";
const GPUS = "gpus: { model: h100, count: 8 }";
const render = (path: string, to: string, more: readonly string[], env = {}) =>
  navarch(
    [
      "slurm",
      "render",
      "--layout",
      "hosts",
      "--slurm-version",
      "24.11",
      "--inventory",
      "live",
    ].concat(["--base", path, "--out", join(folder, to)], more),
    env,
  );

test("S12, S19: the files have the control plane's nodes, the same each time", async () => {
  const until = Date.now() + 20_000;
  let nodes: NodeView[] = [];
  let server = "";
  while (nodes.length < 3) {
    if (Date.now() > until) throw new Error("the control plane shows no nodes");
    await Bun.sleep(100);
    if (!existsSync(join(folder, "port"))) continue;
    server = `127.0.0.1:${readFileSync(join(folder, "port"), "utf8").trim()}`;
    const listed = await navarch(["list", "-s", server, "--state", state, "-o", "json"]);
    // A simulated machine has another address until its agent is heard.
    const all = listed.code === 0 ? (json(listed.out) as NodeView[]) : [];
    nodes = all.filter(({ phase }) => phase === "serving");
  }
  const pools = ["training", "named"].map((name) => `  - { name: ${name}, ${shape}, ${GPUS} }\n`);
  const path = base("base.yaml", `controller: ctl\npools:\n${pools.join("")}`);
  const more = ["-s", server, "--state", state];
  expect(await render(path, "one", more)).toMatchObject({ code: 0, err: "" });
  expect((await render(path, "other", more)).code).toBe(0);
  const text = readFileSync(join(folder, "one/slurm.conf"), "utf8");
  expect(readFileSync(join(folder, "other/slurm.conf"), "utf8")).toBe(text);
  const names = text.match(/^NodeName=\S+/gm) ?? [];
  const training = nodes.filter(({ pool }) => pool === "training").map((node) => node.node_id);
  const expected = [...training.sort(), "t1", "t2", "t3"].map((one) => `NodeName=${one}`);
  expect([...names]).toEqual(expected);
  const check = ["--layout", "hosts", "--slurm-version", "24.11", "--inventory", "live"];
  const again = ["--base", path, "--check", join(folder, "one"), ...more];
  expect((await navarch(["slurm", "render", ...check, ...again])).code).toBe(0);
});

/** The stub's configuration has one pool. */
const inPool = (id: string): NodeView => nodeView(id, { pool: "p" });
const env = { NAVARCH_SERVER: stub.url, NAVARCH_AUTH_TOKEN: TOKEN };

test("S12: GPUs are those of the best equipped node; a terminated one is left out", async () => {
  const [one, two] = [inPool("n10"), inPool("n9")];
  stub.nodes = [
    one,
    { ...two, gpus: two.gpus.slice(1) },
    { ...inPool("gone"), status: "NODE_STATUS_TERMINATED" },
  ];
  const path = base("bare.yaml", `pools:\n  - { name: p, ${shape} }\n`);
  expect(await render(path, "gpus", [], env)).toMatchObject({ code: 0, err: "" });
  const text = readFileSync(join(folder, "gpus/slurm.conf"), "utf8");
  expect([...(text.match(/^NodeName=.*$/gm) ?? [])]).toEqual(
    ["n9", "n10"].map(
      (name) =>
        `NodeName=${name} NodeAddr=10.0.0.7 CPUs=8 RealMemory=1000 Gres=gpu:h100:2 ` +
        "Feature=p State=UNKNOWN",
    ),
  );
});

test("S19: a node keeps the NodeName that it is matched to", async () => {
  const unset = { reason: null, reason_by: null, drained_at: null, boot_time: null };
  const slurm: SlurmNodeView = {
    ...{ name: "gpu-7", matched_by: "host", state: "IDLE", owner: "none", jobs: [] },
    ...{ ...unset, absent_since: null, unknown: null, refusal: null },
  };
  stub.nodes = [{ ...inPool("i-0a1b"), slurm }, inPool("n9")];
  const path = base("bare.yaml", `pools:\n  - { name: p, ${shape} }\n`);
  expect(await render(path, "matched", [], env)).toMatchObject({ code: 0, err: "" });
  const text = readFileSync(join(folder, "matched/slurm.conf"), "utf8");
  expect([...(text.match(/^NodeName=\S+/gm) ?? [])]).toEqual(["NodeName=gpu-7", "NodeName=n9"]);
});

test.each([
  ["an unknown pool", `pools:\n  - { name: q, ${shape} }\n`, 'the control plane has no pool "q"'],
  ["own nodes", `pools:\n  - { name: p, ${shape}, nodes: x }\n`, "leave them out"],
])("%s is refused", async (_, text, message) => {
  const refused = await render(base("bad.yaml", text), "bad", [], env);
  expect(refused).toMatchObject({ code: 2, out: "" });
  expect(refused.err).toContain(message);
  expect(existsSync(join(folder, "bad"))).toBe(false);
});

test("a node whose id is no NodeName, or an unknown GPU, is refused with what to do", async () => {
  const path = base("bare.yaml", `pools:\n  - { name: p, ${shape} }\n`);
  stub.nodes = [inPool("a/b")];
  expect((await render(path, "bad", [], env)).err).toContain("slurm.node_aliases");
  const odd = inPool("n1");
  stub.nodes = [{ ...odd, gpus: odd.gpus.map((gpu) => ({ ...gpu, name: "Mystery" })) }];
  expect((await render(path, "bad", [], env)).err).toContain('the model in "Mystery" is not known');
});

test("without a control plane, or without a base, nothing is written", async () => {
  const path = base("bare.yaml", `pools:\n  - { name: p, ${shape} }\n`);
  const nobody = { NAVARCH_SERVER: "http://127.0.0.1:1", NAVARCH_AUTH_TOKEN: TOKEN };
  expect((await render(path, "bad", [], nobody)).code).toBe(5);
  const words = ["slurm", "render", "--layout", "hosts", "--slurm-version", "24.11"];
  const bare = await navarch([...words, "--inventory", "live", "--out", join(folder, "bad")], env);
  expect(bare).toMatchObject({ code: 2 });
  expect(bare.err).toContain("--inventory live needs --base FILE");
  expect(existsSync(join(folder, "bad"))).toBe(false);
});
