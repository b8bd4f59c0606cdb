/** Claims and AgentPools over HTTP on the real application, with pools in memory. */
import { afterEach, expect, test } from "bun:test";
import fc from "fast-check";
import { mutate, mutations } from "../../../test/fuzz/mutate.ts";
import { runs } from "../../../test/fuzz/runs.ts";
import { BEGAN, fakePools, QUIET, type FakePools } from "../../../test/world/agent-pools.ts";
import { openWorldApp, type WorldApp } from "../../../test/world/app.ts";
import { closeWorlds, open } from "../../../test/world/story.ts";
import { poolYaml, type World } from "../../../test/world/world.ts";
import { ANY_ROW } from "../../../schema/audit.ts";
import { noAgentPools } from "../../core/agentpool/none.ts";
import { openApp } from "./app.ts";

afterEach(closeWorlds);

const KEYS = ["default/t1", "team-a/gpu-pool", "team-b/gpu-pool"];

type Begun = { world: World; http: WorldApp; pools: FakePools };

async function begin(slots = 1): Promise<Begun> {
  const world = await open(poolYaml(1, ""));
  const pools = fakePools(KEYS, slots);
  return { world, http: openWorldApp(world, undefined, pools), pools };
}

const CLAIMS = "/v1/pools/default/t1/claims";

test("V43: a free slot is claimed with 201, a queued claim says its place and why", async () => {
  const { http } = await begin();
  const first = await http.call("POST", CLAIMS, { label: "job 7", ttl: "5m" });
  expect(first.status).toBe(201);
  expect(first.body).toMatchObject({
    ...{ namespace: "default", pool: "t1", label: "job 7", by: "admin", state: "running" },
    ...{ worker: "t1-aaaaa", slot: 0, position: null },
    expires_at: new Date(BEGAN + 300_000).toISOString(),
  } as never);
  expect(first.headers.get("Location")).toBe(`/v1/claims/${first.body["id"]}`);
  const second = await http.call("POST", CLAIMS, {});
  expect(second.status).toBe(202);
  expect(second.body).toMatchObject({ state: "queued", position: 1, worker: null } as never);
  expect(String(second.body["because"])).toContain("AtMax");
  const shown = await http.call("GET", `/v1/claims/${second.body["id"]}`);
  expect(shown.body).toEqual(second.body);
  const listed = await http.call("GET", CLAIMS);
  const claims = listed.body["claims"] as unknown as Record<string, unknown>[];
  expect(claims.map(({ state, position }) => [state, position])).toEqual([
    ["running", null],
    ["queued", 1],
  ]);
  const released = await http.call("DELETE", `/v1/claims/${first.body["id"]}`);
  expect([released.status, String(released.body["state"])]).toEqual([200, "released"]);
  expect((await http.call("DELETE", `/v1/claims/${first.body["id"]}`)).status).toBe(200);
  const now = await http.call("GET", `/v1/claims/${second.body["id"]}`);
  expect([now.body["state"], now.body["slot"]] as unknown[]).toEqual(["running", 0]);
});

test("V43: a claim that is repeated under its key takes no second slot", async () => {
  const { http, pools } = await begin(2);
  const key = { "Idempotency-Key": "run-17" };
  const ask = (body: unknown, path = CLAIMS) => http.call("POST", path, body, undefined, key);
  const first = await ask({ label: "a" });
  const again = await ask({ label: "a" });
  expect([first.status, again.status]).toEqual([201, 201]);
  expect(again.body).toEqual(first.body);
  expect(String(first.body["id"])).toBe("run-17");
  const byBody = await http.call("POST", CLAIMS, { label: "a", id: "run-17" });
  expect(byBody.body).toEqual(first.body);
  expect(pools.made.size).toBe(1);
  expect((await ask({ label: "b" })).status).toBe(409);
  expect((await ask({ label: "a" }, "/v1/pools/team-a/gpu-pool/claims")).status).toBe(409);
  expect((await ask({ label: "a", id: "other" })).status).toBe(400);
  await http.call("DELETE", "/v1/claims/run-17");
  const late = await ask({ label: "a" });
  expect([late.status, String(late.body["state"])]).toEqual([200, "released"]);
  expect(pools.made.size).toBe(1);
});

test("V43: a ttl is a duration or seconds, and a label has bounds", async () => {
  const { http } = await begin(50);
  const of = async (ttl: unknown) => {
    const { status, body } = await http.call("POST", CLAIMS, { ttl });
    const end = body["expires_at"];
    return status >= 400 ? status : Date.parse(String(end)) - BEGAN;
  };
  expect([await of("5m"), await of(90), await of(1.5)]).toEqual([300_000, 90_000, 1_500]);
  for (const bad of ["300", "1d", "", 0, -1, 0.5, "0s", "9000h", 1e300, null, true, {}]) {
    expect([bad, await of(bad)]).toEqual([bad, 400]);
  }
  const label = async (text: string) => (await http.call("POST", CLAIMS, { label: text })).status;
  expect(await label("x".repeat(256))).toBe(201);
  for (const bad of ["x".repeat(257), "a\u0000", "a\nb"]) expect(await label(bad)).toBe(400);
  for (const id of ["", ".", "..", "a/b", "x".repeat(65)]) {
    expect((await http.call("POST", CLAIMS, { id })).status).toBe(400);
  }
  expect((await http.call("POST", CLAIMS, { lable: "x" })).status).toBe(400);
});

test("V43: an unknown pool is 404 with the nearest name", async () => {
  const { http } = await begin();
  const of = async (path: string) => {
    const { status, text } = await http.call("POST", `/v1/pools/${path}/claims`, {});
    return `${status} ${text}`;
  };
  expect(await of("default/t2")).toMatch(/^404 .*no AgentPool default\/t2 .*default\/t1/);
  expect(await of("default/gpu-pool")).toMatch(/^404 .*there is team-a\/gpu-pool/);
  expect((await http.call("GET", "/v1/claims/none")).status).toBe(404);
  expect((await http.call("DELETE", "/v1/claims/none")).status).toBe(404);
});

test("V43: viewers read, operators claim, and each change is in the audit", async () => {
  const { http, pools } = await begin();
  const tokenOf = async (role: string) => {
    const made = await http.call("POST", "/v1/tokens", { role, label: role });
    return String(made.body["token"]);
  };
  const [viewer, operator] = [await tokenOf("viewer"), await tokenOf("operator")];
  expect((await http.call("POST", CLAIMS, {}, viewer)).status).toBe(403);
  expect((await http.call("POST", CLAIMS, {}, null)).status).toBe(401);
  expect(pools.made.size).toBe(0);
  const made = await http.call("POST", CLAIMS, { id: "c1" }, operator);
  expect(made.status).toBe(201);
  expect((await http.call("GET", "/v1/claims/c1", undefined, viewer)).status).toBe(200);
  expect((await http.call("DELETE", "/v1/claims/c1", undefined, viewer)).status).toBe(403);
  expect((await http.call("DELETE", "/v1/claims/c1", undefined, operator)).status).toBe(200);
  const { rows } = await http.admission.audit.page({ ...ANY_ROW, refused: false, limit: 50 });
  const acts = rows.map(({ verb, kind, namespace, target, detail }) => {
    return `${verb} ${kind} ${namespace}/${target}${detail === null ? "" : `: ${detail}`}`;
  });
  expect(acts).toContain("claim agentpool default/t1: claim c1");
  expect(acts).toContain("release claim default/c1");
});

test("V43: pools of machines keep their routes beside those of AgentPools", async () => {
  const { http } = await begin();
  const machines = await http.call("GET", "/v1/pools/p/status");
  expect([machines.status, String(machines.body["name"])]).toEqual([200, "p"]);
  expect((await http.call("GET", "/v1/pools/p")).status).toBe(200);
  for (const path of ["/v1/pools/default/t1", "/v1/agentpools/default/t1", "/api/v1/agentpools"]) {
    expect([path, (await http.call("GET", path)).status]).toEqual([path, 200]);
  }
  const shown = await http.call("GET", "/v1/agentpools/default/t1");
  expect(shown.body).toMatchObject({
    ...{ namespace: "default", name: "t1", min: 1, max: 5, size: 1, idle: 1, queued: 0 },
    ...{ blockers: [], reason: null, workers: { Idle: 1 } },
    autoscaler: { effective_max_idle: 3, slots_per_agent: 1 },
  } as never);
});

test("V43: a pool that cannot grow says why", async () => {
  const { http, pools } = await begin();
  const [view] = pools.views;
  if (view === undefined) throw new Error("no pool");
  view.status = {
    ...QUIET,
    lastAllocationError: { reason: "QuotaExceeded", message: "pods: 10", at: BEGAN },
    conditions: [
      { type: "AtMax", status: "False", reason: "BelowMax", message: "1 of 5" },
      { type: "Gated", status: "True", reason: "Unknown", message: "waits for t1-aaaaa" },
      { type: "ScaleUpBlocked", status: "True", reason: "QuotaExceeded", message: "pods: 10" },
    ],
  };
  const { body } = await http.call("GET", "/v1/agentpools/default/t1");
  expect(body["blockers"] as unknown).toEqual([
    "Gated (Unknown): waits for t1-aaaaa",
    "ScaleUpBlocked (QuotaExceeded): pods: 10",
  ]);
  expect(body["reason"] as unknown).toBe("Gated");
});

test("V44: /rest/pool has the shape of Velda's API", async () => {
  const { http, pools } = await begin();
  const none = { lastAllocationError: "", lastAllocationErrorTime: null };
  const t1 = { name: "t1", namespace: "default", description: "", autoscalerStatus: none };
  const listed = await http.call("GET", "/rest/pool");
  const names = (listed.body["pools"] as unknown as { name: string }[]).map(({ name }) => name);
  expect(names).toEqual(["t1", "gpu-pool", "gpu-pool"]);
  expect((await http.call("GET", "/rest/pool/t1")).body).toEqual({ pool: t1 } as never);
  expect((await http.call("GET", "/rest/pool/default%2Ft1")).status).toBe(200);
  expect((await http.call("GET", "/rest/pool/gpu-pool")).status).toBe(409);
  expect((await http.call("GET", "/rest/pool/gpu-pool?namespace=team-b")).status).toBe(200);
  expect((await http.call("GET", "/rest/pool/t2")).status).toBe(404);
  expect((await http.call("GET", "/rest/pool", undefined, null)).status).toBe(401);
  const [view] = pools.views;
  if (view === undefined) throw new Error("no pool");
  const error = { reason: "Forbidden", message: "no", at: BEGAN } as const;
  view.status = { ...QUIET, lastAllocationError: error };
  expect((await http.call("GET", "/rest/pool/t1")).body).toMatchObject({
    pool: {
      autoscalerStatus: {
        lastAllocationError: "Forbidden: no",
        lastAllocationErrorTime: "2026-11-23T12:00:00.000Z",
      },
    },
  } as never);
});

test("V44: a watch tells the status now and after changes, and ends with the pool", async () => {
  const { world, http, pools } = await begin();
  const headers = { Authorization: "Bearer root" };
  const answer = await http.app.request("/rest/pool/t1/watch", { headers });
  const reader = answer.body?.pipeThrough(new TextDecoderStream()).getReader();
  if (reader === undefined) throw new Error("no body");
  const next = async (): Promise<unknown> => {
    const read = reader.read();
    for (let i = 0; i < 3; i++) await world.clock.pass(1_000);
    const { value, done } = await read;
    return done ? "end" : JSON.parse(value);
  };
  expect(await next()).toMatchObject({ result: { pool: "t1" } });
  const [view] = pools.views;
  if (view === undefined) throw new Error("no pool");
  const error = { reason: "Forbidden", message: "no", at: BEGAN } as const;
  view.status = { ...QUIET, lastAllocationError: error };
  expect(await next()).toMatchObject({
    result: { autoscalerStatus: { lastAllocationError: "Forbidden: no" } },
  });
  pools.views.splice(0, 1);
  expect(await next()).toBe("end");
});

test("a watch ends with its reader's token, and one reader has a part of the places", async () => {
  const { world, http, pools } = await begin();
  const { body } = await http.call("POST", "/v1/tokens", { role: "viewer", label: "v" });
  const watch = (token: string) =>
    http.app.request("/rest/pool/t1/watch", { headers: { Authorization: `Bearer ${token}` } });
  const viewer = String(body["token"]);
  const texts: Promise<string>[] = [];
  const statuses: number[] = [];
  for (let i = 0; i < 20; i++) {
    const answer = await watch(viewer);
    statuses.push(answer.status);
    if (answer.status === 200) texts.push(answer.text());
    await world.clock.pass(1);
  }
  expect(statuses).toEqual([...Array<number>(16).fill(200), ...Array<number>(4).fill(429)]);
  const other = await watch("root");
  expect(other.status).toBe(200);
  await http.call("DELETE", `/v1/tokens/${body["id"]}`);
  const [view] = pools.views;
  if (view === undefined) throw new Error("no pool");
  const error = { reason: "Forbidden", message: "after its end", at: BEGAN } as const;
  view.status = { ...QUIET, lastAllocationError: error };
  for (let i = 0; i < 3; i++) await world.clock.pass(1_000);
  for (const text of await Promise.all(texts)) expect(text).not.toContain("after its end");
  await other.body?.cancel();
});

test("V43: a control plane without AgentPools says so, and a standby asks again", async () => {
  const { http } = await begin();
  const cases = [
    ["conflict", 409],
    ["unavailable", 503],
  ] as const;
  for (const [code, status] of cases) {
    const app = openApp({ ...http.ports, agentPools: noAgentPools("none are served", code) });
    const headers = { Authorization: "Bearer root" };
    for (const [method, path] of [
      ["GET", "/v1/agentpools"],
      ["GET", "/v1/claims/x"],
      ["DELETE", "/v1/claims/x"],
      ["POST", CLAIMS],
      ["GET", "/rest/pool"],
    ] as const) {
      const answer = await app.request(path, { method, headers });
      expect([method, path, answer.status]).toEqual([method, path, status]);
      expect(await answer.text()).toContain("none are served");
    }
  }
});

test("V43: any body is answered, and makes at most one claim", async () => {
  const { http, pools } = await begin(1_000);
  const known = { label: "x", ttl: "5m", id: "c" };
  const property = fc.asyncProperty(mutations, async (all) => {
    const before = pools.made.size;
    const body = JSON.stringify(mutate(known, all)) ?? "x";
    const { status } = await http.call("POST", CLAIMS, body);
    expect([200, 201, 202, 400, 409, 413]).toContain(status);
    expect(pools.made.size - before).toBeLessThanOrEqual(status === 201 ? 1 : 0);
  });
  await fc.assert(property, runs(200));
});
