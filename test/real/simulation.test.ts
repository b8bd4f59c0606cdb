/**
 * Faults on purpose with real processes: the compiled control plane, its commands, and agents of
 * the fake cloud that find what was injected by themselves. The oracle is the cloud's own journal.
 */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { uptime } from "node:os";
import { buildStale, cleanEnv, NAVARCH, Plane, until } from "../fixture/plane/plane.ts";

setDefaultTimeout(120_000);

const ALL: [flag: string, cause: RegExp][] = [
  ["--xid=79", /XID 79 on GPU 1/],
  ["--ecc", /uncorrected memory/],
  ["--thermal", /97 °C/],
  ["--nvlink", /no NVLink is up/],
  ["--lost", /XID 79|lost/],
];
/** Links train for ten minutes after a boot, and the agents share this machine's uptime. */
const TRAINED_S = 600;
const CASES = ALL.filter(([flag]) => flag !== "--nvlink" || uptime() > TRAINED_S);
if (CASES.length < ALL.length) console.error("SKIPPED: --nvlink: this machine booted just now");

const yaml = `
server:
  address: 127.0.0.1:0
  heartbeat_interval: 500ms
  sample_interval: 500ms
  health_check_interval: 1s
simulation: { enabled: true }
providers:
  fake: { gpu_count: 2, boot_delay: 100ms, terminate_delay: 100ms }
pools:
  - name: p
    provider: fake
    instance_type: h100-8x
    scaling: { min_nodes: ${CASES.length}, max_nodes: 8 }
    health: { auto_replace: false }
`;

let plane: Plane;
beforeAll(async () => {
  await buildStale();
  plane = new Plane(yaml);
  await plane.start();
  await plane.waitServing(CASES.length);
}, 120_000);
afterAll(async () => {
  expect(await plane.destroy()).toEqual([]);
}, 60_000);

async function navarch(...words: string[]): Promise<{ code: number; out: string; err: string }> {
  const child = Bun.spawn([NAVARCH, ...words, `--server=${plane.url}`], {
    env: cleanEnv({ NAVARCH_AUTH_TOKEN: plane.adminToken }),
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  const [out, err] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  return { code: await child.exited, out, err };
}

test("W56: navarch sim inject hurts one node with each kind, and its agent finds it", async () => {
  const names = (await plane.serving()).map((node) => node.node_id).sort();
  for (const [i, name] of names.entries()) {
    const ran = await navarch("sim", "inject", `--node=${name}`, CASES[i]?.[0] ?? "", "--gpu=1");
    expect([ran.code, ran.err]).toEqual([0, ""]);
    expect(ran.out).toStartWith(`Injected into node ${name}: `);
  }
  for (const [i, name] of names.entries()) {
    const reasons = await until(`${name} is unhealthy by ${CASES[i]?.[0]}`, 60_000, async () => {
      const node = (await plane.nodes()).find((one) => one.node_id === name);
      const isSick = node?.health_status === "HEALTH_STATUS_UNHEALTHY";
      return isSick ? node.reasons.join("; ") : null;
    });
    expect(reasons).toMatch(CASES[i]?.[1] ?? /never/);
  }
  const hot = names[2] ?? "";
  const listed = await navarch("sim", "inject", `--node=${hot}`, "--list");
  expect(listed.out).toContain("overheating on GPU 1 since ");
  expect((await navarch("sim", "inject", `--node=${hot}`, "--clear")).out).toContain("cleared: 1");
  const unknown = await navarch("sim", "inject", `--node=${hot}x`, "--ecc");
  expect([unknown.code, unknown.err]).toEqual([3, expect.stringContaining(hot)] as never);
});

test("W56: navarch sim provider-fail stops purchases until it ends by itself", async () => {
  const asks = plane.reality().asks;
  const fail = ["sim", "provider-fail", "--provider=fake"];
  const set = await navarch(...fail, "--class=capacity", "--for=6s");
  expect(set.out).toStartWith("Provider fake fails (capacity: ");
  expect((await navarch("safety")).out).toContain("On purpose: provider fake fails (capacity");
  expect((await navarch("doctor")).out).toMatch(/warn\s+simulation\s+enabled/);
  expect((await navarch("pool", "scale", "p", "--add=1")).code).toBe(0);
  await until("a purchase was refused", 20_000, async () => {
    const told = (await plane.events()).filter(({ kind }) => kind === "provider.error");
    return told.some(({ message }) => message.includes("no capacity by injection")) ? true : null;
  });
  expect(plane.reality().asks).toBe(asks);
  await until("the purchase succeeds", 90_000, () => (plane.reality().asks > asks ? true : null));
  expect(plane.reality().doubles).toEqual([]);
  const wrong = await navarch(...fail, "--class=capcity");
  expect([wrong.code, wrong.err]).toEqual([
    2,
    expect.stringContaining('did you mean "capacity"?'),
  ] as never);
});
