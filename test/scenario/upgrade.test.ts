/**
 * An upgrade of agents in a fleet in virtual time, on the production loop and store: who is told
 * when, that a node's start-up silence is no fault, that a bad release ends at the first node, and
 * that a dead control plane changes nothing.
 */
import { digestOf } from "../../reconciler/http/route/release-folder.ts";
import { afterEach, expect, test } from "bun:test";
import * as v from "valibot";
import { rowsOf, campaignOf, isAway } from "../../reconciler/core/upgrade/decide-upgrade.ts";
import { reportOf } from "../world/agent.ts";
import { poolYaml, type World } from "../world/world.ts";
import type { NodeId } from "../../schema/id.ts";
import type { UpgradingFact } from "../../schema/upgrade.ts";
import type { CommandResult, Report } from "../../schema/report.ts";
import { Report as ReportSchema } from "../../schema/report.ts";
import { openWorldApp } from "../world/app.ts";
import { closeWorlds, open, restart, threshold, told } from "../world/story.ts";

afterEach(closeWorlds);

type Soft = { version: string; from: string; awayUntil: number; results: CommandResult[] };

/** How long an agent takes to be somebody else: longer than a heartbeat may be missing. */
const RESTART_MS = 45_000;

/** Agents of that world are upgraded as they are told; `dies` are versions that never come back. */
function giveVersions(world: World, dies: readonly string[] = []): Map<string, Soft> {
  const all = new Map<string, Soft>();
  world.say = async (id) => {
    const now = world.clock.wallMs();
    const soft = all.get(id) ?? { version: "1.0.0", from: "1.0.0", awayUntil: 0, results: [] };
    all.set(id, soft);
    if (dies.includes(soft.version) || now < soft.awayUntil) return;
    const agent = world.agent(id);
    const plain = reportOf(id, agent, now);
    const inventory = plain.inventory ?? null;
    const report: Report = v.parse(ReportSchema, {
      ...plain,
      agent_version: soft.version,
      inventory: inventory && { ...inventory, capabilities: ["upgrade:linux-amd64"] },
      results: soft.results,
    });
    const pending = world.ingest.accept(report, id as NodeId);
    await world.clock.pass(5);
    const answer = await pending;
    world.said++;
    if (answer.kind !== "reply") return;
    soft.results = [];
    agent.registered = !answer.reply.want_inventory;
    for (const command of answer.reply.commands) {
      const to = command.parameters["version"] ?? "";
      soft.results.push(done(command.command_id));
      if (to === soft.version) continue;
      all.set(id, { version: to, from: soft.version, awayUntil: now + RESTART_MS, results: [] });
      agent.registered = false;
    }
  };
  return all;
}

function done(id: CommandResult["command_id"]): CommandResult {
  return { command_id: id, outcome: "succeeded", exit_code: 0, output: "" };
}

async function fleetOf(size: number, dies: readonly string[] = []) {
  const world = await open(poolYaml(size, threshold(1)));
  const agents = giveVersions(world, dies);
  await world.until(() => world.serving().length === size, 120);
  return { world, agents };
}

/** As if somebody had put another program there; it says so with its next inventory. */
function setVersion(world: World, agents: Map<string, Soft>, id: string, version: string): void {
  const soft = agents.get(id);
  if (soft === undefined) throw new Error(`no agent on ${id}`);
  soft.version = version;
  world.agent(id).registered = false;
}

/** As the route does it; the release is none that could be downloaded. */
async function order(world: World, to: string, percent: number, more: object = {}): Promise<void> {
  const { status } = await post(world, { to, max_unavailable: `${percent}%`, ...more });
  expect(status).toBe(202);
}

type Order = { to: string; max_unavailable?: string };

async function post(
  world: World,
  body: Order,
  listed = body.to,
): Promise<{ status: number; text: string }> {
  const app = openWorldApp(world);
  const files = new Map([
    ["navarch-node-linux-amd64", { sha256: "0".repeat(64), source: { text: "" } }],
  ]);
  const release = { version: body.to, sums: `${digestOf(`${listed}\n`)}  VERSION\n`, files };
  const releases = { find: async () => release, latest: async () => release };
  Object.assign(app.ports, { install: { releases } });
  return app.call("POST", "/v1/upgrade", body);
}

function rows(world: World): UpgradingFact[] {
  const { facts } = world.reconciler.fleet();
  const campaign = campaignOf(facts);
  return campaign === null ? [] : rowsOf(facts, campaign);
}
const stateOf = (world: World) => campaignOf(world.reconciler.fleet().facts)?.state;
const versionsOf = (world: World) => world.nodes().map((node) => node.agent?.version);

test("a release goes to one node, then to a share at a time, and nobody is missed", async () => {
  const { world } = await fleetOf(6);
  await order(world, "1.1.0", 34);
  let most = 0;
  let before = -1;
  await world.until(() => {
    const away = rows(world).filter(isAway).length;
    most = Math.max(most, away);
    if (rows(world).length > 1 && before < 0) before = rows(world).length;
    return stateOf(world) === "done";
  }, 900);
  expect(most).toBe(2);
  expect(versionsOf(world)).toEqual(Array(6).fill("1.1.0"));
  // 45 s of silence each, where 30 s make a fault.
  expect(told(world, "node.silent")).toEqual([]);
  expect(world.serving()).toHaveLength(6);
});

test("a release that never speaks stops at the first node; the others keep what they have", async () => {
  const { world, agents } = await fleetOf(5, ["1.1.0"]);
  await order(world, "1.1.0", 100);
  await world.until(() => stateOf(world) === "stopped", 600);
  expect(rows(world)).toHaveLength(1);
  const [row] = rows(world);
  expect(campaignOf(world.reconciler.fleet().facts)?.why).toContain("not back as 1.1.0 in time");
  expect(row?.step).toBe("returning");
  await world.live(300);
  // It goes on being told, and says so; its silence is a fault from the deadline on.
  expect(rows(world).map(({ step }) => step)).toEqual(["stranded"]);
  expect(versionsOf(world)).toEqual(Array(5).fill("1.0.0"));
  expect(told(world, "node.silent")).toHaveLength(1);
  // A person puts the old one back by hand.
  const soft = agents.get(row?.node ?? "");
  if (soft !== undefined) soft.version = "1.0.0";
  await world.until(() => stateOf(world) === "rolled back", 120);
  expect(world.serving()).toHaveLength(5);
});

test("a node that is worse than before stops it, and who has it goes back", async () => {
  const { world, agents } = await fleetOf(4);
  await order(world, "1.1.0", 50);
  await world.until(() => rows(world).length > 1, 600);
  const last = rows(world).find((one) => one.step === "told")?.node ?? "";
  await world.until(() => agents.get(last)?.version === "1.1.0", 60);
  world.xid(last, 48);
  await world.until(() => stateOf(world) === "rolled back", 900);
  expect(campaignOf(world.reconciler.fleet().facts)?.why).toContain("unhealthy after the upgrade");
  const live = world.nodes().filter((node) => node.phase.kind === "serving");
  expect(live.map((node) => node.agent?.version)).toEqual(live.map(() => "1.0.0"));
});

test("a control plane that dies at any time of it comes to the same end", async () => {
  const { world } = await fleetOf(3);
  await order(world, "1.1.0", 50);
  for (let i = 0; i < 12; i++) {
    await world.live(20);
    await restart(world);
  }
  await world.until(() => stateOf(world) === "done", 900);
  expect(versionsOf(world)).toEqual(Array(3).fill("1.1.0"));
  const orders = told(world, "command.issued").filter(({ node }) => node !== null);
  expect(orders).toHaveLength(3);
});

test("a cordoned node is left alone until it is given back, and a freeze holds everything", async () => {
  const { world } = await fleetOf(3);
  const app = openWorldApp(world);
  const [first = ""] = world.serving().sort();
  await app.call("POST", `/v1/nodes/${first}/cordon`, { reason: "mine" });
  await app.call("PUT", "/v1/safety/freeze", { reason: "exam" });
  await order(world, "1.1.0", 100);
  await world.live(60);
  expect(rows(world)).toEqual([]);
  await app.call("DELETE", "/v1/safety/freeze", {});
  await world.until(() => rows(world).filter((one) => one.step === "upgraded").length === 2, 600);
  await world.live(180);
  expect(stateOf(world)).toBe("running");
  expect(rows(world).map(({ node }) => node as string)).not.toContain(first);
  await app.call("POST", `/v1/nodes/${first}/uncordon`, { reason: "done" });
  await world.until(() => stateOf(world) === "done", 600);
  expect(versionsOf(world)).toEqual(Array(3).fill("1.1.0"));
});

test("a release whose list is another version's is not ordered", async () => {
  const { world } = await fleetOf(1);
  const answer = await post(world, { to: "1.1.0" }, "1.0.9");
  expect([answer.status, answer.text]).toEqual([
    412,
    expect.stringContaining("no checksum of its VERSION file: agents would refuse it"),
  ]);
});

test("a newer agent is left alone, and nobody can order it back", async () => {
  const { world, agents } = await fleetOf(3);
  const [newer = ""] = world.serving().sort();
  setVersion(world, agents, newer, "1.2.0");
  await world.live(30);
  const answer = await openWorldApp(world).call("POST", "/v1/upgrade", {
    to: "1.1.0",
    force: true,
  });
  expect([answer.status, answer.text]).toEqual([
    400,
    expect.stringContaining("force: a downgrade needs a person at the machine"),
  ]);
  await order(world, "1.1.0", 100);
  await world.until(() => stateOf(world) === "done", 1_800);
  expect(versionsOf(world).toSorted()).toEqual(["1.1.0", "1.1.0", "1.2.0"]);
  expect(rows(world).map(({ node }) => node as string)).not.toContain(newer);
});

test.each(["", "0dev", "1.2.3~rc1", "1.2.3.4"])(
  "an agent that says it is %j is left alone, and everything else goes on",
  async (version) => {
    const { world, agents } = await fleetOf(4);
    const [odd = "", sick = ""] = world.serving().sort();
    setVersion(world, agents, odd, version);
    await world.live(30);
    expect(world.node(odd as NodeId).agent?.version).toBe(version);
    await order(world, "1.1.0", 100);
    await world.live(5);
    world.xid(sick, 79);
    await world.until(() => world.node(sick as NodeId).phase.kind !== "serving", 120);
    await restart(world);
    await world.until(() => stateOf(world) === "done", 1_800);
    expect(world.node(odd as NodeId).phase.kind).toBe("serving");
    expect(rows(world).map(({ node }) => node)).not.toContain(odd);
    const { status, text } = await openWorldApp(world).call("GET", "/v1/upgrade");
    expect(status).toBe(200);
    expect(text).toContain(JSON.stringify(`the version ${JSON.stringify(version)} cannot be read`));
  },
);

test.each(["0dev", "1.2.3~rc1", "1.2.3.4", "v1.2.3"])(
  "a release that is called %j is not ordered, and the answer says what would be",
  async (to) => {
    const { world } = await fleetOf(1);
    const { status, text } = await post(world, { to });
    expect(status).toBe(400);
    expect(JSON.parse(text).error.message).toBe(
      `to: expected a version like 1.2.3 or 1.2.3-rc.1, at most 60 characters, found "${to}"`,
    );
    expect(stateOf(world)).toBeUndefined();
  },
);
