/**
 * The spine with real processes: compiled control plane, real database file, real agents. Kills,
 * pauses and faults; the oracle is the fake cloud's own journal, never what the product believes.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { injectXid } from "../fixture/cloud/inject.ts";
import type { NodeView } from "../../schema/api.ts";
import type { InstanceId } from "../../schema/id.ts";
import { buildStale, Plane, until } from "../fixture/plane/plane.ts";

const yaml = (size: number, threshold: number, more = "", pool = ""): string => `
server:
  address: 127.0.0.1:0
  heartbeat_interval: 500ms
  heartbeat_timeout: 2s
  sample_interval: 500ms
  health_check_interval: 1s
${more}
providers:
  fake: { gpu_count: 2, boot_delay: 300ms, terminate_delay: 500ms }
pools:
  - name: p
    provider: fake
    instance_type: h100-8x
    scaling: { min_nodes: ${size}, max_nodes: 6 }
    health: { unhealthy_threshold: ${threshold} }
${pool}`;

const planes: Plane[] = [];
beforeAll(() => buildStale(), 60_000);
afterAll(async () => {
  for (const plane of planes) await plane.destroy();
}, 60_000);

async function fleet(
  size: number,
  threshold: number,
  more = "",
): Promise<{ plane: Plane; nodes: NodeView[] }> {
  const plane = new Plane(yaml(size, threshold, more));
  planes.push(plane);
  await plane.start();
  return { plane, nodes: await plane.waitServing(size) };
}

/** Ends a story: nothing may be left over on the machine. */
async function end(plane: Plane): Promise<void> {
  planes.splice(planes.indexOf(plane), 1);
  expect(await plane.destroy()).toEqual([]);
}

function breakNode(plane: Plane, node: NodeView, xid: number): void {
  injectXid(plane.cloudDir, (node.instance_id ?? "") as InstanceId, {
    xid,
    message: `Xid ${xid} for a test`,
  });
}

describe("a fleet of real processes", () => {
  test("XID 79 with threshold 2 is replaced, in the promised order", async () => {
    const { plane, nodes } = await fleet(2, 2);
    const [sick] = nodes;
    if (sick === undefined) throw new Error("no node");
    breakNode(plane, sick, 79);
    const story = await until("replaced", 60_000, async () => {
      const kinds = (await plane.events(`&node=${sick.node_id}`)).map((event) => event.kind);
      return kinds.includes("node.replaced") ? kinds : null;
    });
    const steps = [
      "node.unhealthy",
      "node.cordoned",
      "node.draining",
      "node.drained",
      "node.terminated",
      "node.replaced",
    ];
    expect(story.filter((kind) => steps.includes(kind))).toEqual(steps);
    await plane.waitServing(2);
    const truth = plane.reality();
    expect([truth.live.length, truth.terminated.length]).toEqual([2, 1]);
    await end(plane);
  }, 120_000);

  test("XIDs 13, 31, 43 and 45 on every node cordon nothing", async () => {
    const { plane, nodes } = await fleet(2, 1);
    for (const node of nodes) for (const xid of [13, 31, 43, 45]) breakNode(plane, node, xid);
    await until("every finding is recorded", 20_000, async () => {
      const counts = await Promise.all(
        nodes.map(
          async (n) =>
            (await plane.get<NodeView>(`/nodes/${n.node_id}`)).health_events?.filter(
              (e) => e.kind === "xid",
            ).length,
        ),
      );
      return counts.every((count) => count === 4) ? true : null;
    });
    // Three more evaluations: what would condemn a node has had its chance.
    await Bun.sleep(3_500);
    expect((await plane.events()).filter((event) => event.kind === "node.cordoned")).toEqual([]);
    expect((await plane.serving()).length).toBe(2);
    await end(plane);
  }, 120_000);

  test("kill -9 at ten different moments of a replacement: nothing orphaned, nothing bought twice", async () => {
    // Ten machines of one slot fail in a minute: it is not to rest.
    const { plane, nodes } = await fleet(2, 1, "safety: { breaker: { enabled: false } }");
    let [sick] = nodes;
    for (let kills = 0; kills < 10; kills++) {
      if (sick === undefined) throw new Error("no node");
      breakNode(plane, sick, 79);
      // Ten moments spread over the four seconds that a replacement takes here.
      await Bun.sleep(60 + kills * 400);
      await plane.kill();
      await plane.start();
      const dead: NodeView = sick;
      await until(`round ${kills}: ${dead.node_id} is replaced`, 60_000, async () => {
        const serving = await plane.serving();
        return serving.length === 2 && !serving.some((n) => n.node_id === dead.node_id)
          ? true
          : null;
      });
      [sick] = await plane.serving();
    }
    const truth = plane.reality();
    const known = new Set((await plane.nodes()).map((node) => node.instance_id));
    expect(truth.overlaps).toEqual([]);
    expect(truth.doubles).toEqual([]);
    expect(truth.live.length).toBe(2);
    expect(truth.live.filter((instance) => !known.has(instance.id))).toEqual([]);
    expect(truth.terminated.length).toBe(10);
    await end(plane);
  }, 300_000);

  test("SIGSTOP for ten heartbeat timeouts, then SIGCONT: nobody is condemned", async () => {
    const { plane, nodes } = await fleet(3, 1);
    plane.signal("SIGSTOP");
    await Bun.sleep(20_000);
    plane.signal("SIGCONT");
    await until("it answers again", 10_000, async () =>
      (await plane.serving()).length >= 0 ? true : null,
    );
    await Bun.sleep(6_000);
    const bad = (await plane.events()).filter((e) =>
      [
        "node.silent",
        "node.suspect",
        "node.cordoned",
        "node.draining",
        "node.terminating",
      ].includes(e.kind),
    );
    expect(bad).toEqual([]);
    expect((await plane.serving()).map((n) => n.node_id).sort()).toEqual(
      nodes.map((n) => n.node_id).sort(),
    );
    expect(plane.reality().live.length).toBe(3);
    await end(plane);
  }, 120_000);

  test("findings made while the control plane is down arrive once each, in order", async () => {
    const { plane, nodes } = await fleet(1, 3);
    const [node] = nodes;
    if (node === undefined) throw new Error("no node");
    await plane.kill();
    const codes = Array.from({ length: 300 }, (_, i) => [13, 31, 43][i % 3] ?? 13);
    for (const code of codes) breakNode(plane, node, code);
    await Bun.sleep(3_000);
    await plane.start();
    const body = (await until("every finding is counted", 60_000, async () => {
      const page = await (await plane.fetch("/metrics", { token: null })).text();
      const sum = [13, 31, 43].map((x) =>
        Number(
          new RegExp(`^navarch_xid_errors_total\\{pool="p",xid="${x}"\\} (\\d+)$`, "m").exec(
            page,
          )?.[1] ?? 0,
        ),
      );
      return sum.reduce((a, b) => a + b, 0) >= 300 ? sum : null;
    })) as number[];
    expect(body).toEqual([100, 100, 100]);
    await end(plane);
  }, 120_000);

  test("SIGTERM ends the control plane cleanly and at once; its nodes live on", async () => {
    const { plane, nodes } = await fleet(1, 2);
    const begun = performance.now();
    expect(await plane.stop()).toBe(0);
    expect(performance.now() - begun).toBeLessThan(8_000);
    expect(plane.reality().live.map((one) => one.id as string)).toEqual([
      nodes[0]?.instance_id ?? "",
    ]);
    await plane.start();
    expect((await plane.waitServing(1)).map((node) => node.node_id)).toEqual([
      nodes[0]?.node_id ?? "",
    ]);
    await end(plane);
  }, 60_000);

  test("no token is 401, a node's credential cannot cordon, and no token is ever written down", async () => {
    const { plane, nodes } = await fleet(1, 2);
    const [node] = nodes;
    if (node === undefined) throw new Error("no node");
    expect((await plane.fetch("/api/v1/nodes", { token: null })).status).toBe(401);
    expect((await plane.fetch("/api/v1/nodes", { token: "wrong" })).status).toBe(401);
    for (const path of ["/healthz", "/readyz", "/metrics"])
      expect((await plane.fetch(path, { token: null })).status).toBe(200);
    const secret = readFileSync(
      join(plane.cloudDir, "instance", node.instance_id ?? "", "token"),
      "utf8",
    ).trim();
    const cordon = { method: "POST", body: "{}", token: secret };
    expect((await plane.fetch(`/api/v1/nodes/${node.node_id}/cordon`, cordon)).status).toBe(403);
    expect((await plane.fetch("/api/v1/nodes", { token: secret })).status).toBe(403);
    const other = JSON.stringify({
      version: 1,
      node_id: "another",
      boot_id: "b",
      stream: "s",
      agent_version: "x",
      simulated: true,
      sent_at: new Date().toISOString(),
      inventory: { hostname: "h", gpus: [] },
    });
    expect(
      (await plane.fetch("/v1/agent/report", { method: "POST", body: other, token: secret }))
        .status,
    ).toBe(403);
    const made = (await (
      await plane.fetch("/api/v1/tokens", {
        method: "POST",
        body: JSON.stringify({ role: "viewer", label: "t" }),
      })
    ).json()) as { token: string };
    expect((await plane.fetch("/api/v1/nodes", { token: made.token })).status).toBe(200);
    expect(
      (
        await plane.fetch(`/api/v1/nodes/${node.node_id}/cordon`, {
          method: "POST",
          body: "{}",
          token: made.token,
        })
      ).status,
    ).toBe(403);
    const metrics = await (await plane.fetch("/metrics", { token: null })).text();
    const texts = [metrics, plane.log(), ...agentLogs(plane)];
    for (const token of [secret, made.token, plane.adminToken])
      for (const text of texts) expect(text.includes(token)).toBe(false);
    await end(plane);
  }, 120_000);
});

/** Logs of every agent, and the database's bytes: where a secret must not be. */
function agentLogs(plane: Plane): string[] {
  const out: string[] = [readFileSync(join(plane.state, "navarch.db"), "latin1")];
  const root = join(plane.cloudDir, "instance");
  for (const id of readdirSync(root)) {
    for (const name of readdirSync(join(root, id))) {
      const path = join(root, id, name);
      if (name !== "token" && statSync(path).isFile()) out.push(readFileSync(path, "latin1"));
    }
  }
  return out;
}
