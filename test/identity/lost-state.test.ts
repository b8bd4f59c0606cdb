/**
 * A state folder that is lost while machines serve, with the compiled programs: nothing is bought,
 * the commands name the machines, an administrator adopts them, the control plane ends and starts
 * with the old id, and the agents join again with tokens for their nodes.
 */
import { afterEach, beforeAll, expect, test } from "bun:test";
import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { EventView, PoolStatusView } from "../../schema/api.ts";
import type { AuditView } from "../../schema/audit.ts";
import type { FleetsView } from "../../schema/fleet-view.ts";
import { buildStale, cleanEnv, NAVARCH, Plane, until } from "../fixture/plane/plane.ts";

const YAML = `
server:
  address: 127.0.0.1:0
  heartbeat_interval: 500ms
  heartbeat_timeout: 3s
  sample_interval: 500ms
  health_check_interval: 1s
kubernetes: { enabled: false }
providers:
  fake: { gpu_count: 2, boot_delay: 100ms, terminate_delay: 100ms }
pools:
  - { name: p, provider: fake, instance_type: h100-8x, scaling: { min_nodes: 2, max_nodes: 3 } }
`;
const WAIT_MS = 60_000;

let plane: Plane | null = null;
beforeAll(() => buildStale(), 400_000);
afterEach(async () => {
  const left = await plane?.destroy();
  plane = null;
  expect(left).toEqual([]);
}, WAIT_MS);

const identityOf = (p: Plane): { fleetId: string; secret: string } =>
  JSON.parse(readFileSync(join(p.state, "identity.json"), "utf8"));

/** All but the cloud, which outlives any control plane, and what the test itself placed there. */
function loseState(p: Plane): void {
  for (const name of readdirSync(p.state)) {
    const isKept = name === "cloud" || name === "navarch.yaml" || name === "port";
    if (!isKept && !name.startsWith("control-plane.")) {
      rmSync(join(p.state, name), { recursive: true, force: true });
    }
  }
}

async function cli(p: Plane, ...args: string[]): Promise<{ code: number; text: string }> {
  const at = ["--server", p.url, "--token-file", join(p.state, "admin.token")];
  const child = Bun.spawn([NAVARCH, ...at, ...args], {
    env: cleanEnv(),
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  const [out, err] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  return { code: await child.exited, text: out + err };
}

/** What an agent with a join token does, and what its fake machine is then started with. */
async function rejoin(p: Plane, node: string): Promise<void> {
  const made = await p.fetch("/api/v1/join-tokens", {
    method: "POST",
    body: JSON.stringify({ pool: "p", node }),
  });
  const { token } = (await made.json()) as { token: string };
  const joined = await p.fetch("/api/v1/agent/join", {
    token: null,
    method: "POST",
    body: JSON.stringify({
      token,
      node_id: node,
      nonce: "n".repeat(43),
      agent_version: "test",
      hostname: node,
      provider_ids: [],
    }),
  });
  if (joined.status !== 201) throw new Error(await joined.text());
  const { credential } = (await joined.json()) as { credential: string };
  const instance = (await p.nodes()).find((one) => one.node_id === node)?.instance_id ?? "?";
  const folder = join(p.cloudDir, "instance", instance);
  writeFileSync(join(folder, "token"), credential, { mode: 0o600 });
}

async function loseServing(): Promise<{ p: Plane; fleet: string; ids: string[] }> {
  const p = (plane = new Plane(YAML));
  await p.start();
  await p.waitServing(2, WAIT_MS);
  const fleet = identityOf(p).fleetId;
  const ids = p
    .reality()
    .live.map(({ id }) => String(id))
    .sort();
  await p.stop();
  loseState(p);
  await p.start();
  expect(identityOf(p).fleetId).not.toBe(fleet);
  await until("the pool is held", WAIT_MS, async () => {
    const { others } = await p.get<FleetsView>("/fleets");
    return others[0]?.machines === 2 ? true : null;
  });
  return { p, fleet, ids };
}

test("machines of a lost state are named, adopted, and nodes again when their agents join", async () => {
  const { p, fleet, ids } = await loseServing();
  const live = () =>
    p
      .reality()
      .live.map(({ id }) => String(id))
      .sort();
  expect((await p.get<PoolStatusView>("/pools/p/status")).conditions?.join()).toContain(
    `2 machines of fleet ${fleet}`,
  );
  expect((await cli(p, "doctor")).text).toContain(`navarch fleet adopt ${fleet}`);
  expect((await cli(p, "cost")).text).toContain(`2 machines of ${fleet}`);
  const unsure = await cli(p, "fleet", "adopt", fleet);
  expect([unsure.code, unsure.text.includes(ids[0] ?? "?")]).toEqual([2, true]);
  expect((await cli(p, "fleet", "adopt", "nobody", "--yes")).code).not.toBe(0);
  const adopted = await cli(p, "fleet", "adopt", fleet, "--yes", "--reason", "the disk failed");
  expect(adopted).toMatchObject({ code: 0 });
  await until("the control plane ends", WAIT_MS, () => (p.isAlive ? null : true));
  expect(live()).toEqual(ids);
  await p.start();
  expect(identityOf(p).fleetId).toBe(fleet);
  const nodes = await until("the machines are nodes", WAIT_MS, async () => {
    const all = await p.nodes();
    return all.length === 2 ? all : null;
  });
  expect(nodes.map((node) => node.instance_id).sort()).toEqual(ids);
  for (const { node_id: node } of nodes) await rejoin(p, node);
  await p.waitServing(2, WAIT_MS);
  expect(live()).toEqual(ids);
  expect(p.reality().terminated).toEqual([]);
  const { audit } = await p.get<{ audit: AuditView[] }>("/audit?verb=adopt");
  expect(audit.filter(({ code }) => code === "ok").map((row) => row.target)).toEqual([fleet]);
  const events = await p.get<{ events: EventView[] }>("/events?kind=fleet.adopted&limit=10");
  expect(events.events.map(({ message }) => message)).toEqual([
    expect.stringMatching(/^this store takes the id .+: the disk failed$/),
  ]);
  expect(audit.find(({ code }) => code === "ok")?.detail).toBe("reason: the disk failed");
  expect((await cli(p, "fleet", "adopt", fleet, "--yes")).text).toContain("was adopted before");
}, 300_000);

test("an ignored fleet stays as it is, and the pool buys its own machines", async () => {
  const { p, fleet, ids } = await loseServing();
  expect((await cli(p, "fleet", "ignore", fleet, "--yes")).code).toBe(0);
  await p.waitServing(2, WAIT_MS);
  const live = p.reality().live.map(({ id }) => String(id));
  expect(live).toHaveLength(4);
  expect(live).toEqual(expect.arrayContaining(ids));
  const refused = await cli(p, "fleet", "adopt", fleet, "--yes");
  expect([refused.code === 0, refused.text.includes("has machines")]).toEqual([false, true]);
}, 300_000);
