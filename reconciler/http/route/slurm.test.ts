/** Slurm's programs over HTTP on the real application: told twice, late, and about others' nodes. */
import { afterEach, expect, test } from "bun:test";
import { openWorldApp, type WorldApp } from "../../../test/world/app.ts";
import { closeWorlds, open } from "../../../test/world/story.ts";
import { BASE, type World } from "../../../test/world/world.ts";

afterEach(closeWorlds);

const YAML = `${BASE}
pools:
  - name: cloud
    provider: fake
    instance_type: h100-8x
    scaling: { min_nodes: 0, max_nodes: 4 }
    slurm: { nodes: "c[0-3]", power_save: true }
  - name: train
    provider: fake
    instance_type: h100-8x
    scaling: { min_nodes: 1, max_nodes: 4 }
    slurm: { nodes: "n[0-3]" }
`;

async function begin(): Promise<{ world: World; http: WorldApp }> {
  const world = await open(YAML);
  await world.until(() => world.serving().length === 1, 60);
  return { world, http: openWorldApp(world) };
}

const desired = (world: World, name: string): number | undefined =>
  [...world.reconciler.fleet().pools.values()].find((pool) => pool.name === name)?.desired;

test("S38: a resume buys in the named slots, and its repeat changes nothing", async () => {
  const { world, http } = await begin();
  const body = { nodes: "c[1,3]", jobs: ["17"] };
  const first = await http.call("POST", "/v1/slurm/resume", body);
  expect([first.status, first.body] as unknown[]).toEqual([
    200,
    { taken: [{ pool: "cloud", nodes: ["c1", "c3"] }], unknown: [], refused: [] },
  ]);
  expect((await http.call("POST", "/v1/slurm/resume", body)).status).toBe(200);
  expect(desired(world, "cloud")).toBe(2);
  const size = world.events.filter((one) => one.pool === "cloud" && one.kind === "pool.size");
  expect(size.at(-1)?.message).toContain("for job 17");
  await world.until(() => world.serving().length === 3, 60);
  const cloud = world.nodes().filter((node) => node.pool === "cloud");
  expect(cloud.map(({ slot }) => slot).sort()).toEqual([1, 3]);
  const tags = [...world.cloud.world().instances.values()].map(({ instance }) => instance.tags);
  expect(tags.flatMap((one) => one["navarch-slurm-node"] ?? []).sort()).toEqual(["c1", "c3", "n0"]);
});

test("S38: a resume that arrives again after the suspend, under its key, buys nothing", async () => {
  const { world, http } = await begin();
  const resume = (nodes: string) =>
    http.call("POST", "/v1/slurm/resume", { nodes }, undefined, { "Idempotency-Key": "run-1" });
  await resume("c0");
  await http.call("POST", "/v1/slurm/suspend", { nodes: "c0" });
  expect((await resume("c0")).status).toBe(200);
  expect(desired(world, "cloud")).toBe(0);
  expect((await resume("c1")).status).toBe(409);
});

test("S38: Slurm ends no machine of a pool that it does not size", async () => {
  const { world, http } = await begin();
  const refused = await http.call("POST", "/v1/slurm/suspend", { nodes: "n0" });
  expect(refused.status).toBe(409);
  expect(JSON.stringify(refused.body)).toContain("slurm.power_save");
  expect(desired(world, "train")).toBe(1);
  expect((await http.call("POST", "/v1/slurm/resume", { nodes: "x1" })).status).toBe(404);
  expect((await http.call("POST", "/v1/slurm/resume", { nodes: "c[" })).status).toBe(400);
  const size = await http.call("PUT", "/v1/pools/cloud/size", { nodes: 2 });
  expect([size.status, size.text]).toEqual([409, expect.stringContaining("power saving sizes")]);
});

test("S38: a token of the role slurm may tell of power saving, and nothing else", async () => {
  const { http } = await begin();
  const made = await http.call("POST", "/v1/tokens", { role: "slurm", label: "slurmctld" });
  const token = String(made.body["token"]);
  const body = { nodes: "c1" };
  for (const verb of ["resume", "suspend", "resume-fail"]) {
    expect((await http.call("POST", `/v1/slurm/${verb}`, body, token)).status).toBe(200);
  }
  const others = [
    ["GET", "/v1/nodes"],
    ["GET", "/v1/slurm"],
    ["GET", "/v1/tokens"],
    ["PUT", "/v1/pools/cloud/size"],
    ["POST", "/v1/nodes/n0/terminate"],
    ["POST", "/v1/agent/report"],
  ] as const;
  for (const [method, path] of others) {
    const { status } = await http.call(method, path, method === "GET" ? undefined : {}, token);
    expect(`${path} ${status}`).toBe(`${path} 403`);
  }
  const viewer = await http.call("POST", "/v1/tokens", { role: "viewer", label: "v" });
  const looks = String(viewer.body["token"]);
  expect((await http.call("POST", "/v1/slurm/resume", body, looks)).status).toBe(403);
});
