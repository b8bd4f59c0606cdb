/**
 * A pool of machines that the operator owns: claimed from an inventory, set up over SSH, rebooted
 * by their own agents, and held for a person with an RMA record. None is ever ended.
 */
import { afterEach, expect, setDefaultTimeout, test } from "bun:test";
import type { Outcome } from "../../reconciler/core/fold/outcome.ts";
import type { InventoryHost } from "../../reconciler/core/inventory.ts";
import { openSsh } from "../../reconciler/provider/ssh/ssh.ts";
import type { NodeId } from "../../schema/id.ts";
import type { AgentCommand, CommandResult } from "../../schema/report.ts";
import { reportOf } from "../world/agent.ts";
import { Crash, CrashInjector } from "../world/crash-injector.ts";
import { freeze } from "../world/cluster.ts";
import { BASE } from "../world/setting.ts";
import { closeWorlds, open, order, resize, storeOf, told } from "../world/story.ts";
import type { World, WorldOptions } from "../world/world.ts";
import { sayPlan } from "../../reconciler/core/plan.ts";

afterEach(closeWorlds);

const HOUR_MS = 3_600_000;
/** Under load a story of some virtual hours takes several seconds. */
setDefaultTimeout(60_000);
const YAML = `${BASE.replace("providers: {", "providers: { dc: { type: ssh, inventory: h }, ")}
pools:
  - name: p
    provider: dc
    setup_commands: ["true"]
    ssh_private_key_path: /nowhere/key
    scaling: { min_nodes: 3, max_nodes: 4 }
    health: { unhealthy_threshold: 1 }
`;

const hostOf = (name: string): InventoryHost => ({
  name,
  address: `${name}.lab`,
  port: null,
  user: null,
  keyPath: null,
  hostKeys: [],
  region: null,
  zone: null,
  rack: `rack-${name}`,
  instanceType: null,
});

/** What is on the machines, whatever becomes of the control plane. */
type Lab = {
  world: World;
  /** Hosts that SSH does not reach. */
  off: Set<string>;
  /** Set-ups by host. */
  tried: Map<string, number>;
  /** The node whose agent runs on each host. */
  agents: Map<string, string>;
  reboots: Map<string, number>;
  /** What is broken after a reboot, by node. */
  broken: Set<string>;
  capabilities: string[];
  /** Orders that the agents carried out; theirs outlive the control plane. */
  carried: Set<string>;
  /** Nodes whose agents cannot reboot. */
  refusing: Set<string>;
  /** What each agent answers from now on. */
  results: Map<string, CommandResult[]>;
  hosts: InventoryHost[];
};

async function openLab(options: Partial<WorldOptions> = {}, yaml = YAML): Promise<Lab> {
  const lab: Omit<Lab, "world"> = {
    off: new Set(),
    tried: new Map(),
    agents: new Map(),
    reboots: new Map(),
    broken: new Set(),
    capabilities: ["reboot"],
    carried: new Set(),
    refusing: new Set(),
    results: new Map(),
    hosts: ["a", "b", "c", "d"].map(hostOf),
  };
  const owned: WorldOptions["owned"] = (claims) =>
    openSsh({
      name: "dc",
      type: "ssh",
      source: "hosts.yaml",
      fleetId: "fleet",
      claims,
      clock: { wallMs: () => world.clock.wallMs() },
      inventory: async () => ({ ok: true, hosts: lab.hosts }),
      reach: async ({ name }) => ({ check: name, outcome: "ok", message: "" }),
    });
  const world = await open(yaml, { store: "memory", owned, ...options });
  world.setUp = async ({ node, payload }): Promise<Outcome> => {
    const host = payload.address.split(".")[0] ?? "";
    lab.tried.set(host, (lab.tried.get(host) ?? 0) + 1);
    const refused = { kind: "refused", class: "bootstrap", retryAfterMs: null } as const;
    if (lab.off.has(host)) return { ...refused, message: "no SSH within 10s" };
    lab.agents.set(host, node);
    return { kind: "done", instance: null, message: null, hostKey: `KEY-${host}` };
  };
  world.say = (id) => say({ ...lab, world }, id);
  world.report = async () => {
    for (const node of lab.agents.values()) await world.say(node);
  };
  return { ...lab, world };
}

/** The agent reports, and carries out each order once. */
async function say(lab: Lab, id: string): Promise<void> {
  const { world, capabilities, carried, reboots, broken, results } = lab;
  const agent = world.agent(id);
  if (agent.quiet) return;
  const report = reportOf(id, agent, world.clock.wallMs());
  report.results = results.get(id) ?? [];
  if (report.inventory) report.inventory = { ...report.inventory, capabilities };
  const pending = world.ingest.accept(report, id as NodeId);
  await world.clock.pass(5);
  const answer = await pending;
  if (answer.kind !== "reply") return;
  agent.registered = !answer.reply.want_inventory;
  agent.spool = agent.spool.filter((one) => one.seq > answer.reply.ack_seq);
  for (const command of answer.reply.commands) reboot(command);

  function reboot({ command_id, type }: AgentCommand): void {
    const key = `${id} ${command_id}`;
    if (type !== "reboot" || carried.has(key)) return;
    carried.add(key);
    if (lab.refusing.has(id)) {
      const output = "systemctl is not installed";
      results.set(id, [{ command_id, outcome: "failed", exit_code: null, output }]);
      return;
    }
    reboots.set(id, (reboots.get(id) ?? 0) + 1);
    agent.boot += 1;
    agent.registered = false;
    agent.active = [];
    if (broken.has(id)) world.xid(id, 79);
  }
}

async function serving(lab: Lab, count = 3): Promise<string[]> {
  const { world } = lab;
  expect(await world.advance(() => world.serving().length === count, HOUR_MS)).toBe(true);
  return world.serving();
}

const claimsOf = async (world: World): Promise<string[]> =>
  (await storeOf(world).claimTable().read())
    .filter(({ releasedAt }) => releasedAt === null)
    .map(({ host, node }) => `${host} ${node}`)
    .toSorted();

const hostNameOf = (world: World, node: string): string =>
  world.node(node).instance?.host?.name ?? "";

test("a pool reaches its size, a machine that is off is tried again, the others go on", async () => {
  const lab = await openLab();
  const { world, off, tried } = lab;
  off.add("b");
  await serving(lab, 2);
  await world.advance(() => (tried.get("b") ?? 0) >= 6, 2 * HOUR_MS);
  expect(world.serving()).toHaveLength(2);
  const waits = sayPlan(world.reconciler.lastPlan()).waits.map(({ message }) => message);
  expect(waits).toContain("attempt 7 waits after: no SSH within 10s; fix it on b (b.lab)");
  expect(tried.get("d") ?? 0).toBe(0);
  off.delete("b");
  await serving(lab);
  expect((await claimsOf(world)).map((claim) => claim.split(" ")[0])).toEqual(["a", "b", "c"]);
  expect(told(world, "node.terminating")).toEqual([]);
});

test("XID 79 leads to one reboot, and a second one to a hold with an RMA record", async () => {
  const lab = await openLab();
  const { world, reboots, broken } = lab;
  const [sick = "", ...others] = await serving(lab);
  broken.add(sick);
  world.xid(sick, 79);
  const isHeld = (): boolean => world.node(sick).phase.kind === "held";
  expect(await world.advance(isHeld, 4 * HOUR_MS)).toBe(true);
  const story = ["node.cordoned", "node.draining", "node.drained", "node.repairing", "node.held"];
  const seen = world.story(sick).filter((kind) => story.includes(kind));
  expect(seen).toEqual([...story.slice(0, 4), "node.draining", "node.drained", "node.held"]);
  expect([...reboots]).toEqual([[sick, 1]]);
  const { phase } = world.node(sick);
  if (phase.kind !== "held" || phase.rma === undefined) throw new Error("no RMA record");
  const name = hostNameOf(world, sick);
  expect(phase.rma).toMatchObject({ host: name, rack: `rack-${name}`, provider: "dc" });
  expect(phase.rma.because.join("; ")).toContain("1 reboot did not cure it");
  expect(phase.rma.faults[0]).toMatchObject({
    fault: "XID 79",
    uuid: world.agent(sick).uuids[0],
    model: "H100",
    line: "Xid 79",
  });
  // The others serve, nothing was released, and no machine took its place.
  await world.advance(() => false, HOUR_MS / 4);
  expect(world.serving()).toEqual(others);
  expect(await claimsOf(world)).toHaveLength(3);
  expect(told(world, "node.terminating")).toEqual([]);
  // Repaired: a person releases it.
  broken.delete(sick);
  world.agent(sick).active = [];
  expect((await order(world, sick, "uncordon", { force: true })).state).toBe("applied");
  await serving(lab);
  expect(world.node(sick).cordon).toEqual({ product: null, human: null });
});

test("no order reaches the next boot, even of an agent that forgot the last one", async () => {
  const lab = await openLab();
  const { world, carried, reboots } = lab;
  const [sick = ""] = await serving(lab);
  const say = world.say;
  world.say = async (id) => {
    await say(id);
    carried.clear();
  };
  world.xid(sick, 79);
  await world.advance(() => world.node(sick).phase.kind === "repairing", HOUR_MS);
  await serving(lab);
  expect(reboots.get(sick)).toBe(1);
});

test("a fault that the reboot cures costs one reboot and no person", async () => {
  const lab = await openLab();
  const { world, reboots } = lab;
  const [sick = ""] = await serving(lab);
  world.xid(sick, 79);
  await world.advance(() => world.node(sick).phase.kind === "repairing", HOUR_MS);
  await serving(lab);
  expect([...reboots]).toEqual([[sick, 1]]);
  expect(world.node(sick).lastSession?.how).toBe("recovered");
});

test.each([
  ["an agent without --allow-commands", YAML, [] as string[], "without --allow-commands"],
  ["an empty ladder", `${YAML}    repair: { ladder: [] }\n`, ["reboot"], "RMA record"],
])("%s is held without a reboot", async (_what, yaml, capabilities, why) => {
  const lab = await openLab({}, yaml);
  lab.capabilities.splice(0, 9, ...capabilities);
  const { world, reboots } = lab;
  const [sick = ""] = await serving(lab);
  world.xid(sick, 79);
  expect(await world.advance(() => world.node(sick).phase.kind === "held", HOUR_MS)).toBe(true);
  expect(reboots.size).toBe(0);
  expect(
    told(world, "node.held")
      .map(({ message }) => message)
      .join(),
  ).toContain(why);
});

test("an agent that refuses the order is believed: no reboot is counted, and it is held", async () => {
  const lab = await openLab();
  const { world, refusing, reboots } = lab;
  const [sick = ""] = await serving(lab);
  refusing.add(sick);
  world.xid(sick, 79);
  expect(await world.advance(() => world.node(sick).phase.kind === "held", HOUR_MS)).toBe(true);
  expect(reboots.size).toBe(0);
  const { phase, rebootedAt } = world.node(sick);
  const because = phase.kind === "held" ? phase.rma?.because.join("; ") : "";
  expect(because).toContain("its agent did not reboot it: systemctl is not installed");
  expect(rebootedAt).toBeNull();
});

test("a freeze holds the order back, however long, and a person's uncordon ends it", async () => {
  const lab = await openLab();
  const { world, reboots } = lab;
  const [sick = ""] = await serving(lab);
  const say = world.say;
  // Its reports do not arrive between the decision and the freeze.
  world.say = async (id) => {
    if (id !== sick || world.node(id).phase.kind !== "repairing") await say(id);
  };
  world.xid(sick, 79);
  await world.advance(() => world.node(sick).phase.kind === "repairing", HOUR_MS);
  await freeze(world);
  world.say = say;
  await world.advance(() => false, HOUR_MS);
  expect(world.node(sick).phase.kind).toBe("repairing");
  expect((await order(world, sick, "uncordon", { force: true })).state).toBe("applied");
  await world.advance(() => false, HOUR_MS / 10);
  expect(reboots.size).toBe(0);
});

test("only a person's smaller size releases a machine, which is claimed again later", async () => {
  const lab = await openLab();
  const { world } = lab;
  const nodes = await serving(lab);
  const [pool] = world.config.pools;
  if (pool === undefined) throw new Error("no pool");
  pool.scaling = { ...pool.scaling, minNodes: 1, maxNodes: 2 };
  await world.advance(() => false, HOUR_MS / 4);
  expect(world.serving()).toEqual(nodes);
  pool.scaling = { ...pool.scaling, maxNodes: 4 };
  await resize(world, 2);
  await world.advance(() => world.nodes().length === 2, HOUR_MS);
  expect(await claimsOf(world)).toHaveLength(2);
  await resize(world, 4);
  await serving(lab, 4);
  expect((await claimsOf(world)).map((claim) => claim[0])).toEqual(["a", "b", "c", "d"]);
});

test("a pool that wants more than there are says so, and keeps what it has", async () => {
  const lab = await openLab();
  const { world } = lab;
  lab.hosts.splice(2);
  await serving(lab, 2);
  await world.advance(() => false, HOUR_MS / 4);
  const waits = sayPlan(world.reconciler.lastPlan()).waits.map(({ message }) => message);
  expect(waits.join()).toContain("all 2 hosts of hosts.yaml are claimed");
});

/** A whole story with deaths at these points; what is wrong at its end. */
async function tell(crashes: string[]): Promise<{ points: number; wrong: string[] }> {
  const injector = new CrashInjector(crashes);
  const lab = await openLab({ prepare: injector }, YAML.replace("min_nodes: 3", "min_nodes: 2"));
  const { world, reboots, broken } = lab;
  let sick = "";
  await survive(world, injector, () => world.serving().length === 2);
  sick = world.serving()[0] ?? "";
  broken.add(sick);
  world.xid(sick, 79);
  await survive(world, injector, () => world.node(sick).phase.kind === "held");
  const claims = await claimsOf(world);
  const wrong: string[] = [];
  const check = (what: string, holds: boolean): void => void (holds || wrong.push(what));
  check(`claims ${claims.join()}`, claims.length === 2);
  check(`${reboots.get(sick)} reboots`, reboots.get(sick) === 1 && reboots.size === 1);
  check(`${world.serving().length} serve`, world.serving().length === 1);
  check("something was ended", told(world, "node.terminating").length === 0);
  check(world.reconciler.failure() ?? "", world.reconciler.failure() === null);
  return { points: injector.count, wrong };
}

/** Until `done`, over any number of deaths. */
async function survive(world: World, injector: CrashInjector, done: () => boolean): Promise<void> {
  for (let life = 0; life < 5; life++) {
    try {
      if (life > 0 || world.store === null) await world.start();
      if (await world.advance(done, 6 * HOUR_MS)) return;
      throw new Error("the story does not end");
    } catch (error) {
      if (!(error instanceof Crash) && !injector.dead) throw error;
      await world.crash();
      injector.revive();
      await world.clock.pass(1_000);
    }
  }
  throw new Error("it dies for ever");
}

test("a death at any point claims no machine twice and reboots none twice", async () => {
  const whole = await tell([]);
  expect(whole.wrong).toEqual([]);
  expect(whole.points).toBeGreaterThan(40);
  const found: string[] = [];
  for (let point = 1; point <= whole.points; point += 1) {
    for (const side of ["b", "a"]) {
      const { wrong } = await tell([`${point}${side}`]);
      found.push(...wrong.map((one) => `${point}${side}: ${one}`));
      await closeWorlds();
    }
  }
  expect(found).toEqual([]);
}, 240_000);
