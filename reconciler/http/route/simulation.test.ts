/** Faults on purpose over HTTP, on the real application: who may, what is hurt, and what is not. */
import { afterEach, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openFakeFaults } from "../../provider/fake/machine-fault.ts";
import { openWorldApp } from "../../../test/world/app.ts";
import { configOf, poolYaml, World } from "../../../test/world/world.ts";

let opened: World[] = [];
const folder = mkdtempSync(join(tmpdir(), "navarch-simulation-"));
afterEach(async () => {
  for (const world of opened) await world.close();
  opened = [];
  rmSync(folder, { recursive: true, force: true });
});

const ON = "simulation: { enabled: true }\n";

async function setUp(more: string, providers = "") {
  const yaml = poolYaml(1).replace("providers: {", `providers: {${providers}`);
  const w = await World.open(`${more}${yaml}`);
  opened.push(w);
  await w.until(() => w.nodes().some(({ phase }) => phase.kind === "serving"), 120);
  const http = openWorldApp(w);
  const [node] = w.nodes();
  const { id, instance } = node ?? {};
  if (id === undefined || instance === undefined || instance === null) throw new Error("no node");
  const at = join(folder, "instance", instance.id);
  mkdirSync(at, { recursive: true });
  writeFileSync(join(at, "kmsg"), "");
  http.ports.simulation?.opened("fake", openFakeFaults(folder));
  const log = () => readFileSync(join(at, "kmsg"), "utf8");
  const call = async (method: string, path: string, body: unknown = {}, key = "") => {
    const headers = key === "" ? {} : { "Idempotency-Key": key };
    const { status, body: answer } = await http.call(method, path, body, "root", headers);
    const message = status < 400 ? "" : String(answer["error"]?.["message"]);
    return { status, answer, message };
  };
  return { w, http, id, log, call, faults: `/v1/nodes/${id}/faults` };
}

test("W56: while simulation is off everything that hurts is refused, and nothing is hurt", async () => {
  const { call, faults, log, w, http, id } = await setUp("");
  const refused = await call("POST", faults, { kind: "xid", code: 79 });
  expect(refused.status).toBe(409);
  expect(refused.message).toContain(`node ${id}: simulation is off: set simulation.enabled: true`);
  const provider = await call("PUT", "/v1/providers/fake/failure", { class: "outage" });
  expect([provider.status, provider.message]).toEqual([
    409,
    expect.stringContaining("simulation is off"),
  ] as never);
  expect(log()).toBe("");
  expect(http.ports.simulation?.failing("fake")).toBeNull();
  expect(w.events.filter(({ kind }) => kind.startsWith("simulation"))).toEqual([]);
  // What ends harm is allowed.
  expect((await call("DELETE", faults)).answer).toMatchObject({ cleared: 0 } as never);
  const view = await http.call("GET", "/v1/simulation");
  expect(view.body).toMatchObject({ enabled: false } as never);
  expect((await http.call("GET", "/v1/safety")).body["simulation"]).toBeUndefined();
  expect((await http.call("GET", "/metrics", undefined, null)).text).toContain(
    "navarch_simulation_enabled 0",
  );
});

test("W56: a fault enters in the machine, once for one key, and is recorded", async () => {
  const { call, faults, log, w, http, id } = await setUp(ON);
  const first = await call("POST", faults, { kind: "xid", code: 79, gpu: 1 }, "k:1");
  expect(first.answer).toMatchObject({ node_id: id, fault: { kind: "xid", gpu: 1 } } as never);
  const again = await call("POST", faults, { kind: "xid", code: 79, gpu: 1 }, "k:1");
  expect(again.answer).toEqual(first.answer);
  expect(log().match(/Xid \(PCI/g)).toHaveLength(1);
  const other = await call("POST", faults, { kind: "ecc" }, "k:1");
  expect([other.status, other.message]).toEqual([
    409,
    `Idempotency-Key k_1 was used for XID 79 on GPU 1 of node ${id}`,
  ]);
  const listed = await call("GET", faults, undefined);
  expect(listed.answer["faults"]).toHaveLength(1);
  expect(await call("DELETE", faults)).toMatchObject({ answer: { cleared: 1 } } as never);
  expect(
    w.events.filter(({ kind }) => kind === "simulation.fault").map((one) => one.message),
  ).toEqual(["XID 79 on GPU 1 is injected", "injected faults are cleared: XID 79 on GPU 1"]);
  expect(w.events.at(-1)?.actor).toBe("human:admin");
  const metrics = await http.call("GET", "/metrics", undefined, null);
  expect(metrics.text).toContain('navarch_simulation_faults_total{kind="xid"} 1');
  expect(metrics.text).toContain("navarch_simulation_enabled 1");
});

test("W56: what cannot be hurt says why, and who may not is told", async () => {
  const { call, faults, http, id } = await setUp(ON);
  const said = async (body: unknown, path = faults) => {
    const { status, message } = await call("POST", path, body);
    return `${status} ${message}`;
  };
  expect(await said({ kind: "melted" })).toStartWith("400 kind:");
  expect(await said({ kind: "xid", code: 0 })).toStartWith("400 code:");
  expect(await said({ kind: "xid", code: 79, gpus: 1 })).toStartWith("400 gpus:");
  expect(await said({ kind: "ecc", gpu: 2 })).toBe(`400 gpu: node ${id} has 2 GPUs, 0 to 1`);
  expect(await said({ kind: "ecc" }, `/v1/nodes/${id}x/faults`)).toBe(
    `404 no node ${id}x (did you mean "${id}"?)`,
  );
  const token = await http.call("POST", "/v1/tokens", { role: "viewer", label: "v" });
  const viewer = String(token.body["token"]);
  for (const [method, path] of [
    ["POST", faults],
    ["DELETE", faults],
    ["PUT", "/v1/providers/fake/failure"],
    ["DELETE", "/v1/providers/fake/failure"],
  ] as const) {
    expect((await http.call(method, path, {}, viewer)).status).toBe(403);
  }
  expect((await http.call("GET", faults, undefined, viewer)).status).toBe(200);
});

test("W56: a provider fails for a while, and says so where people look", async () => {
  const { call, w, http } = await setUp(ON);
  const path = "/v1/providers/fake/failure";
  const asked = { class: "capacity", for: "5m", calls: 3 };
  const set = await call("PUT", path, asked);
  expect(set.answer["failure"]).toMatchObject({ class: "capacity", calls_left: 3 } as never);
  expect((await http.call("GET", "/v1/safety")).body["simulation"]).toHaveLength(1);
  const shown = (await http.call("GET", "/v1/simulation")).body;
  expect(shown["providers"]?.[0]?.["failure"]).toMatchObject({ by: "admin" } as never);
  expect((await call("DELETE", path)).answer).toMatchObject({ was_failing: true } as never);
  expect((await call("DELETE", path)).answer).toMatchObject({ was_failing: false } as never);
  const said = async (body: unknown, name = "fake") => {
    const { status, message } = await call("PUT", `/v1/providers/${name}/failure`, body);
    return `${status} ${message}`;
  };
  expect(await said({ class: "outage" }, "fak")).toBe(
    '404 no provider fak is configured (did you mean "fake"?)',
  );
  expect(await said({ class: "outage", for: "25h" })).toContain("for: expected 1ms to 24h");
  expect(await said({ class: "outage", for: "0s" })).toContain("400 for:");
  expect(await said({ class: "outage", delay: "1s" })).toBe("400 delay: belongs to class slow");
  expect(await said({ class: "outage", calls: 0 })).toContain("400 calls:");
  await call("PUT", path, { class: "outage", for: "1m" });
  await w.clock.pass(61_000);
  expect(http.ports.simulation?.failing("fake")).toBeNull();
});

test("W56: real machines cannot be hurt: refused at load with the pool, and on the route", async () => {
  expect(() =>
    configOf(
      `${ON}providers: { cloud: { type: lambda, api_key_env: K }, fake: {} }\npools:\n` +
        "  - { name: q, provider: fake, instance_type: h100-8x, scaling: { min_nodes: 1, max_nodes: 2 } }\n" +
        "  - { name: p, provider: cloud, instance_type: h100-8x, scaling: { min_nodes: 1, max_nodes: 2 } }\n",
    ),
  ).toThrow("pool p has real machines, of provider cloud (type lambda)");
  const { call, http } = await setUp(ON, " aws: {},");
  const refused = await call("PUT", "/v1/providers/aws/failure", { class: "outage" });
  expect(refused.message).toContain("provider aws (type aws) is not simulated");
  expect(http.ports.simulation?.failing("aws")).toBeNull();
});
