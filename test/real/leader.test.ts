/**
 * Leader and standby as real processes: two compiled control planes, one libSQL server, one fake
 * cloud with real agents that know only the address in front of both. The oracle is the cloud's own
 * journal.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { ROOT } from "../../build/product.ts";
import { injectXid } from "../fixture/cloud/inject.ts";
import type { NodeView } from "../../schema/api.ts";
import type { InstanceId } from "../../schema/id.ts";
import { Pair } from "../fixture/plane/pair.ts";
import { buildStale, type Plane, until } from "../fixture/plane/plane.ts";
import { whyNoSqld } from "../fixture/plane/sqld.ts";

const missing = whyNoSqld();
if (missing !== null) console.error(`SKIPPED: leader and standby: ${missing}`);
const IS_CI = process.env["CI"] === "true";

test("a libSQL server is here to test leadership with", () => {
  if (IS_CI) expect(missing).toBeNull();
});

test("the loop of many kills says what it does not understand", () => {
  const loop = [process.execPath, "run", "test/real/leader-loop.ts", "--kills", "none"];
  const { exitCode, stderr } = Bun.spawnSync(loop, { cwd: ROOT, stdout: "ignore" });
  expect([exitCode, stderr.toString().includes("--kills none: expected")]).toEqual([1, true]);
});

describe.skipIf(missing !== null)("two control planes on one server", () => {
  let pair: Pair;
  beforeAll(async () => {
    await buildStale();
    pair = await Pair.start(2);
    const { leader, standby } = await pair.roles();
    await leader.waitServing(2);
    await pair.waitReady(standby);
  }, 120_000);
  afterAll(async () => {
    expect(await pair.destroy()).toEqual([]);
  }, 30_000);

  function breakNode(plane: Plane, node: NodeView | undefined): string {
    if (node === undefined) throw new Error("no node");
    const fault = { xid: 79, message: "Xid 79 for a test" };
    injectXid(plane.cloudDir, (node.instance_id ?? "") as InstanceId, fault);
    return node.node_id;
  }

  /** An answer, or `null` if the connection ended: the frozen one may be killed by a failing test. */
  async function sendLate(url: string, init: RequestInit): Promise<Response | null> {
    try {
      return await fetch(url, init);
    } catch {
      return null;
    }
  }

  /** Two nodes serve, without this one, and the cloud has exactly those. */
  async function waitHealed(plane: Plane, dead: string): Promise<void> {
    await until(`${dead} is replaced`, 40_000, async () => {
      const serving = await plane.serving();
      const healed = serving.length === 2 && serving.every((node) => node.node_id !== dead);
      if (healed && plane.reality().live.length === 2) return true;
      const phases = (await plane.nodes()).map((node) => `${node.node_id} ${node.phase}`);
      const { waits } = await plane.get<{ waits: unknown }>("/plan");
      throw new Error(`${phases.join(", ")}; waits ${JSON.stringify(waits)}`);
    });
    const truth = plane.reality();
    expect([truth.doubles, truth.overlaps]).toEqual([[], []]);
  }

  test("a standby shows the fleet, and a change through it takes effect", async () => {
    const { leader, standby } = await pair.roles();
    const ids = (nodes: NodeView[]): string[] => nodes.map((node) => node.node_id).sort();
    await until("the copy shows what the leader knows", 10_000, async () => {
      const both = [ids(await standby.nodes()), ids(await leader.nodes())];
      return both[0]?.length === 2 && Bun.deepEquals(both[0], both[1]) ? true : null;
    });
    expect((await standby.fetch("/healthz", { token: null })).status).toBe(200);
    for (const path of ["/pools", "/events", "/instances", "/plan"]) {
      expect((await standby.fetch(`/api/v1${path}`)).status).toBe(200);
    }
    expect((await standby.fetch("/api/v1/nodes", { token: "wrong" })).status).toBe(401);
    const [node] = await standby.nodes();
    const cordon = { method: "POST", body: JSON.stringify({ reason: "a test" }) };
    const path = `/api/v1/nodes/${node?.node_id ?? ""}`;
    expect((await standby.fetch(`${path}/cordon`, cordon)).status).toBe(200);
    // Through the same replica it is seen at once; the leader has it anyway.
    for (const plane of [standby, leader]) {
      const view = (await (await plane.fetch(path)).json()) as NodeView;
      expect(view.cordons.human?.why).toBe("a test");
    }
    expect((await standby.fetch(`${path}/uncordon`, cordon)).status).toBe(200);
    // A token that the leader made a moment ago is good at the standby too.
    const body = JSON.stringify({ role: "viewer", label: "t" });
    const made = await standby.fetch("/api/v1/tokens", { method: "POST", body });
    const { token } = (await made.json()) as { token: string };
    expect((await standby.fetch("/api/v1/nodes", { token })).status).toBe(200);
    // What was passed on once is not passed on again.
    const looped = await fetch(`${standby.url}${path}/cordon`, {
      method: "POST",
      body: "{}",
      headers: { Authorization: `Bearer ${standby.adminToken}`, "navarch-forwarded": "1" },
    });
    expect([looped.status, looped.headers.get("retry-after")]).toEqual([503, "1"]);
  }, 30_000);

  test("a clean stop hands over without waiting for the lease, and agents find the next one", async () => {
    const { leader, standby } = await pair.roles();
    const begun = performance.now();
    const stopped = leader.stop();
    await pair.waitLeads(standby, 10_000);
    expect(performance.now() - begun).toBeLessThan(5_000);
    expect(await stopped).toBe(0);
    await leader.start();
    await pair.waitReady(leader);
    const since = Date.now();
    await until("every agent reports to the new leader", 15_000, async () => {
      const nodes = await standby.serving();
      const fresh = nodes.filter((node) => Date.parse(node.last_heartbeat ?? "") > since);
      return fresh.length === 2 ? true : null;
    });
  }, 60_000);

  test("a leader killed in the middle of a replacement: the other one ends it, once", async () => {
    const { leader, standby } = await pair.roles();
    const dead = breakNode(leader, (await leader.serving())[0]);
    await until("the replacement has begun", 20_000, async () => {
      const kinds = (await leader.events(`&node=${dead}`)).map((event) => event.kind);
      return kinds.includes("node.cordoned") ? true : null;
    });
    await leader.kill();
    expect(await pair.waitLeads(standby, 30_000)).toBeLessThan(15_000);
    await waitHealed(standby, dead);
    await leader.start();
    await pair.waitReady(leader);
  }, 90_000);

  test("a leader frozen past its lease does no harm when it wakes", async () => {
    const { leader, standby } = await pair.roles();
    const dead = breakNode(leader, (await leader.serving())[0]);
    await until("the fault is known", 20_000, async () => {
      const kinds = (await leader.events(`&node=${dead}`)).map((event) => event.kind);
      return kinds.includes("node.unhealthy") ? true : null;
    });
    leader.signal("SIGSTOP");
    // Waits in the frozen one's socket, and is the first thing that it finds.
    const put = { method: "PUT", body: JSON.stringify({ nodes: 3, reason: "late" }) };
    const late = sendLate(`${leader.url}/api/v1/pools/p/size`, {
      ...put,
      headers: {
        Authorization: `Bearer ${leader.adminToken}`,
        "Content-Type": "application/json",
      },
    });
    expect(await pair.waitLeads(standby, 30_000)).toBeLessThan(15_000);
    await waitHealed(standby, dead);
    const asks = standby
      .reality()
      .live.map((instance) => instance.id)
      .sort();
    leader.signal("SIGCONT");
    const answer = await late;
    await pair.waitReady(leader);
    expect(await pair.leads(leader)).toBe(false);
    expect(await pair.leads(standby)).toBe(true);
    const truth = standby.reality();
    expect([truth.doubles, truth.overlaps]).toEqual([[], []]);
    const { desired } = await standby.get<{ desired: number }>("/pools/p/status");
    // Refused as stale, or passed on to the one that leads: never written by the late one.
    if (answer?.status === 200) expect(desired).toBe(3);
    else {
      expect(answer?.status).toBe(503);
      expect(desired).toBe(2);
      expect(truth.live.map((instance) => instance.id).sort()).toEqual(asks);
    }
    expect(leader.log()).toContain("lost the leadership");
  }, 90_000);
});
