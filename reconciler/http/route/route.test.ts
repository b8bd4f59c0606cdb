import { afterEach, expect, test } from "bun:test";
import { nodeToken } from "../../security/auth.ts";
import { openWorldApp, type WorldApp } from "../../../test/world/app.ts";
import { poolYaml, World } from "../../../test/world/world.ts";

let world: World | null = null;
afterEach(async () => {
  await world?.close();
  world = null;
});

async function open(size = 2): Promise<{ w: World; a: WorldApp }> {
  const w = await World.open(
    poolYaml(size, "    health: { unhealthy_threshold: 1 }\n    labels: { team: red }\n"),
  );
  world = w;
  const a = openWorldApp(w);
  await w.until(() => w.serving().length === size, 120);
  return { w, a };
}

test("probes and metrics need no token, everything else does", async () => {
  const { a } = await open();
  for (const path of ["/healthz", "/readyz", "/metrics"])
    expect((await a.call("GET", path, undefined, null)).status).toBe(200);
  expect((await a.call("HEAD", "/healthz", undefined, null)).status).toBe(200);
  for (const path of [
    "/v1/nodes",
    "/api/v1/pools",
    "/v1/events",
    "/v1/plan",
    "/v1/config",
    "/v1/tokens",
    "/v1/version",
  ]) {
    const none = await a.call("GET", path, undefined, null);
    expect([none.status, String(none.body["error"]?.["code"])]).toEqual([401, "unauthenticated"]);
    expect(none.headers.get("WWW-Authenticate")).toContain("Bearer");
    expect((await a.call("GET", path, undefined, "wrong")).status).toBe(401);
    expect((await a.call("GET", path)).status).toBe(200);
  }
});

test("metrics that need a token are shown to who may look, and to no node", async () => {
  const w = await World.open(poolYaml(1).replace("server:", "server:\n  metrics_auth: true"));
  world = w;
  const a = openWorldApp(w);
  await w.until(() => w.serving().length === 1, 120);
  const [id = ""] = w.serving();
  const viewer = String((await a.call("POST", "/v1/tokens", { role: "viewer" })).body["token"]);
  const got: number[] = [];
  for (const token of [null, "wrong", nodeToken("s", id), viewer, "root"])
    got.push((await a.call("GET", "/metrics", undefined, token)).status);
  expect(got).toEqual([401, 401, 403, 200, 200]);
});

test("a token that is over before it is shown is not made", async () => {
  const { a } = await open(1);
  const make = async (expires_in: string): Promise<number> =>
    (await a.call("POST", "/v1/tokens", { role: "viewer", expires_in })).status;
  expect([await make("0"), await make("1ns"), await make("999ms")]).toEqual([400, 400, 400]);
  expect([await make("1s"), await make("24h")]).toEqual([201, 201]);
});

test("roles: a node may only report, a viewer only look, an operator not make tokens", async () => {
  const { w, a } = await open();
  const [id = ""] = w.serving();
  const token = async (role: string): Promise<string> =>
    String((await a.call("POST", "/v1/tokens", { role, label: "t" })).body["token"]);
  const who: Record<string, string> = {
    node: nodeToken("s", id),
    viewer: await token("viewer"),
    operator: await token("operator"),
    admin: "root",
  };
  const rights: [string, string, unknown, string[]][] = [
    ["GET", "/v1/nodes", undefined, ["viewer", "operator", "admin"]],
    ["PUT", "/v1/pools/p/size", { nodes: 2 }, ["operator", "admin"]],
    ["POST", `/v1/nodes/${id}/cordon`, {}, ["operator", "admin"]],
    ["GET", "/v1/tokens", undefined, ["admin"]],
    ["POST", "/v1/tokens", { role: "viewer" }, ["admin"]],
  ];
  for (const [method, path, body, may] of rights) {
    for (const [role, secret] of Object.entries(who)) {
      const { status } = await a.call(method, path, body, secret);
      expect(`${role} ${method} ${path} ${status < 300}`).toBe(
        `${role} ${method} ${path} ${may.includes(role)}`,
      );
      if (!may.includes(role)) expect(status).toBe(403);
    }
  }
});

test("one command and one instance are read by their ids", async () => {
  const { w, a } = await open();
  const [id = ""] = w.serving();
  const ordered = await a.call("POST", `/v1/nodes/${id}/cordon`, { reason: "look" });
  const command = String(ordered.body["command_id"]);
  const listed = await a.call("GET", `/v1/commands?node=${id}`);
  const one = await a.call("GET", `/v1/commands/${command}`);
  expect<unknown>(listed.body["commands"]).toEqual([one.body]);
  expect(one.body).toMatchObject({ command_id: command, type: "cordon", reason: "look" });
  const instances = (await a.call("GET", "/v1/instances")).body["instances"] as {
    node_id: string;
  }[];
  const instance = w.node(id).instance?.id ?? "";
  const found = instances.find((each) => each.node_id === id);
  for (const name of [instance, id]) {
    const { body } = await a.call("GET", `/v1/instances/${name}`);
    expect<unknown>(body).toEqual(found);
  }
  for (const path of ["/v1/commands/none", "/v1/commands/%00", "/v1/instances/none"]) {
    expect((await a.call("GET", path)).status).toBe(404);
  }
});

test("a revoked token is refused at once", async () => {
  const { a } = await open();
  const made = await a.call("POST", "/v1/tokens", { role: "viewer", label: "x" });
  const secret = String(made.body["token"]);
  expect((await a.call("GET", "/v1/nodes", undefined, secret)).status).toBe(200);
  expect((await a.call("DELETE", `/v1/tokens/${made.body["id"]}`)).status).toBe(200);
  expect((await a.call("GET", "/v1/nodes", undefined, secret)).status).toBe(401);
  expect((await a.call("GET", "/v1/tokens")).text).not.toContain(secret);
});

test("bad input is refused with its path, never a crash", async () => {
  const { w, a } = await open();
  const [id = ""] = w.serving();
  const cases: [string, string, unknown, number, string][] = [
    ["PUT", "/v1/pools/p/size", "{nope", 400, "not JSON"],
    ["PUT", "/v1/pools/p/size", { nodes: "3" }, 400, "nodes"],
    ["PUT", "/v1/pools/p/size", { nodes: 1.5 }, 400, "nodes"],
    ["PUT", "/v1/pools/p/size", { nodes: 2, why: 1 }, 400, "why"],
    ["PUT", "/v1/pools/p/size", { nodes: 99 }, 409, "outside"],
    ["PUT", "/v1/pools/q/size", { nodes: 2 }, 404, "no pool q"],
    ["GET", `/v1/nodes/${id.slice(0, -1)}9`, undefined, 404, "did you mean"],
    ["GET", "/v1/nodes?status=activ", undefined, 400, 'did you mean "active"'],
    ["POST", `/v1/nodes/${id}/drain`, { timeout: "30" }, 400, "no unit"],
    ["GET", "/v1/events?after=x", undefined, 400, "after"],
    ["POST", "/v1/agent/report", { version: 2 }, 400, "version"],
    ["POST", "/v1/agent/report", { __proto__: 1 }, 400, ""],
    ["GET", "/v1/nothing", undefined, 404, "no route"],
    ["POST", "/v1/agent/report", "x".repeat(300 * 1024), 413, "too large"],
  ];
  for (const [method, path, body, status, part] of cases) {
    const answer = await a.call(method, path, body);
    expect(`${path} ${answer.status}`).toBe(`${path} ${status}`);
    expect(String(answer.body["error"]?.["message"])).toContain(part);
  }
});

test("a path that is none is a page for a browser and JSON for a program", async () => {
  const { a } = await open();
  const ask = async (accept: string, path = "/nosuch") => {
    const answer = await a.app.request(path, { headers: { Accept: accept } });
    return [answer.status, answer.headers.get("Content-Type"), await answer.text()] as const;
  };
  const [status, type, page] = await ask("text/html,application/xhtml+xml,*/*;q=0.8");
  expect([status, type]).toEqual([404, "text/html; charset=utf-8"]);
  expect(page).toContain("no route GET /nosuch");
  expect(page).toContain("Back to the console");
  for (const accept of ["*/*", "application/json"]) {
    expect((await ask(accept)).slice(0, 2)).toEqual([404, "application/json"]);
  }
  expect((await ask("text/html", "/<script>alert(1)</script>"))[2]).not.toContain("<script>alert");
});

test("the policy in force says its file, or that it is built in", async () => {
  const { a } = await open();
  const { body } = await a.call("GET", "/v1/policy");
  expect<unknown>([body["name"], body["file"]]).toEqual(["builtin", null]);
});

test("orders follow the legality table: uncordon of what is not cordoned, cordon twice, uncordon of the sick", async () => {
  const { w, a } = await open();
  const [id = "", other = ""] = w.serving();
  expect((await a.call("POST", `/v1/nodes/${id}/uncordon`, {})).body["error"]?.["code"]).toBe(
    "not_cordoned" as never,
  );
  const cordon = await a.call("POST", `/v1/nodes/${id}/cordon`, { reason: "look" });
  expect([cordon.status, String(cordon.body["status"])]).toEqual([200, "applied"]);
  expect((await a.call("GET", `/v1/nodes/${id}`)).body["status"]).toBe(
    "NODE_STATUS_CORDONED" as never,
  );
  expect((await a.call("POST", `/v1/nodes/${id}/cordon`, {})).status).toBe(200);
  expect((await a.call("POST", `/v1/nodes/${id}/uncordon`, {})).status).toBe(200);
  expect((await a.call("GET", `/v1/nodes/${id}`)).body["status"]).toBe(
    "NODE_STATUS_ACTIVE" as never,
  );
  w.agent(other).processes = 3;
  w.xid(other, 79);
  await w.until(() => w.node(other).cordon.product !== null, 30);
  const refused = await a.call("POST", `/v1/nodes/${other}/uncordon`, {});
  expect(refused.status).toBe(409);
  expect(String(refused.body["error"]?.["message"])).toContain("XID 79");
});

test("drain moves the work off and waits for a person; uncordon cancels it", async () => {
  const { w, a } = await open();
  const [id = ""] = w.serving();
  w.agent(id).processes = 2;
  const steps = await a.call("POST", `/v1/nodes/${id}/drain`, { dry_run: true });
  expect(steps.text).toContain("2 left");
  expect(w.node(id).phase.kind).toBe("serving");
  expect((await a.call("POST", `/v1/nodes/${id}/drain`, { reason: "maintenance" })).status).toBe(
    200,
  );
  await w.live(4);
  expect((await a.call("GET", `/v1/nodes/${id}`)).body["status"]).toBe(
    "NODE_STATUS_DRAINING" as never,
  );
  w.agent(id).processes = 0;
  await w.until(() => w.story(id).includes("node.drained"), 30);
  await w.live(120);
  expect(w.cloud.reality().live.length).toBe(2);
  expect((await a.call("POST", `/v1/nodes/${id}/uncordon`, {})).status).toBe(200);
  await w.until(() => w.serving().includes(id), 30);
});

test("a dry run of a forced end shows no drain, which it would not wait for", async () => {
  const { w, a } = await open();
  const [id = ""] = w.serving();
  w.agent(id).processes = 2;
  const steps = async (type: string, force: boolean) => {
    const answer = await a.call("POST", `/v1/nodes/${id}/${type}`, { dry_run: true, force });
    expect(answer.body["pods"]).toBeUndefined();
    return (answer.body["plan"] as unknown as string[]).map((step) => step.split(" ")[0]);
  };
  expect(await steps("replace", false)).toEqual(["cordon", "drain", "terminate", "buy"]);
  expect(await steps("replace", true)).toEqual(["cordon", "terminate", "buy"]);
  expect(await steps("terminate", true)).toEqual(["cordon", "terminate"]);
  expect(await steps("drain", true)).toEqual(["cordon", "drain"]);
});

test("replace and terminate by order: drained first, the slot filled again", async () => {
  const { w, a } = await open();
  const [id = ""] = w.serving();
  expect((await a.call("POST", `/v1/nodes/${id}/replace`, { reason: "new image" })).status).toBe(
    200,
  );
  await w.until(() => w.story(id).includes("node.replaced"), 120);
  expect(w.story(id)).toContain("node.drained");
  expect(w.serving().length).toBe(2);
});

test("the same order with the same idempotency key is one order", async () => {
  const { w, a } = await open();
  const [id = ""] = w.serving();
  const key = { "Idempotency-Key": "k1" };
  const first = await a.call("POST", `/v1/nodes/${id}/cordon`, {}, "root", key);
  const again = await a.call("POST", `/v1/nodes/${id}/cordon`, {}, "root", key);
  expect([String(first.body["command_id"]), String(again.body["command_id"])]).toEqual([
    "k1",
    "k1",
  ]);
  const orders = await a.call("GET", `/v1/commands?node=${id}`);
  expect((orders.body["commands"] as unknown as unknown[]).length).toBe(1);
  // A forced order is another one: the answer to the first must not stand for it.
  const forced = await a.call("POST", `/v1/nodes/${id}/cordon`, { force: true }, "root", key);
  expect([forced.status, String(forced.text)]).toEqual([
    409,
    expect.stringContaining("was used for cordon"),
  ]);
});

test("pool size is remembered and acted on", async () => {
  const { w, a } = await open();
  const answer = await a.call("PUT", "/v1/pools/p/size", { nodes: 4, reason: "big run" });
  expect([answer.status, Number(answer.body["desired"])]).toEqual([200, 4]);
  await w.until(() => w.serving().length === 4, 60);
  await w.crash();
  await w.start();
  await w.live(20);
  expect(w.serving().length).toBe(4);
});

test("metrics: healthy + unhealthy = total in every scrape, and a node's series end with the node", async () => {
  const { w, a } = await open(3);
  const [sick = ""] = w.serving();
  w.xid(sick, 79);
  const sum = (page: string): void => {
    const value = (name: string): number =>
      Number(new RegExp(`^${name}\\{pool="p"\\} (\\d+)$`, "m").exec(page)?.[1]);
    expect(value("navarch_nodes_healthy") + value("navarch_nodes_unhealthy")).toBe(
      value("navarch_nodes_total"),
    );
  };
  for (let i = 0; i < 60; i++) {
    await w.live(2);
    sum((await a.call("GET", "/metrics")).text);
  }
  const page = (await a.call("GET", "/metrics", undefined, null)).text;
  expect(page).toContain('navarch_xid_errors_total{pool="p",xid="79"} 1');
  expect(page).toContain('navarch_xid_errors_total{pool="p",xid="13"} 0');
  expect(page).toContain('navarch_nodes_unhealthy{pool="p"} 0');
  expect(page).toContain('navarch_replacements_total{pool="p",outcome="replaced"} 1');
  for (const gauge of ["navarch_node_gpu_count", "navarch_node_health_status"]) {
    expect(
      page.split("\n").filter((line) => line.startsWith(gauge) && line.includes(sick)),
    ).toEqual([]);
  }
  for (const line of page.split("\n").filter((l) => l !== "" && !l.startsWith("#")))
    expect(line).toMatch(/^[a-z_]+(\{[^{}]*\})? -?[0-9.e+-]+$/i);
});

test("list filters by label, pool, status and health, and pages in a stable order", async () => {
  const { w, a } = await open(3);
  const ids = async (query: string): Promise<string[]> =>
    (
      (await a.call("GET", `/v1/nodes?${query}`)).body["nodes"] as unknown as { node_id: string }[]
    ).map((n) => n.node_id);
  expect((await ids("label=team=red")).length).toBe(3);
  expect((await ids("label=team=blue")).length).toBe(0);
  expect((await ids("pool=p&status=active&health=healthy")).length).toBe(3);
  const first = await a.call("GET", "/v1/nodes?limit=2");
  const rest = await ids(`limit=2&cursor=${first.body["next"]}`);
  const all = [
    ...(first.body["nodes"] as unknown as { node_id: string }[]).map((n) => n.node_id),
    ...rest,
  ];
  expect(all).toEqual(w.serving().sort());
});

test("explain tells the cause, the step and what is in the way", async () => {
  const { w, a } = await open(3);
  const [sick = ""] = w.serving();
  w.agent(sick).processes = 1;
  w.xid(sick, 79);
  await w.until(() => w.node(sick).phase.kind === "draining", 60);
  const answer = (await a.call("GET", `/v1/nodes/${sick}/explain`)).text;
  for (const part of ["draining", "XID 79", "1 left", "rule"]) expect(answer).toContain(part);
  expect((await a.call("GET", "/v1/pools/p/explain")).text).toContain("2 serving of 3");
});

test("an agent with the shared token is given its own credential, which then speaks for it only", async () => {
  const { w, a } = await open();
  const at = new Date(w.clock.wallMs()).toISOString();
  const report = {
    version: 1,
    node_id: "stray-1",
    boot_id: "b",
    stream: "s",
    agent_version: "x",
    simulated: false,
    sent_at: at,
    inventory: { hostname: "stray-1", gpus: [] },
  };
  const first = await a.call("POST", "/v1/agent/report", report, "both");
  expect(first.status).toBe(202);
  const own = String(first.body["credential"]);
  expect(own).toBe(a.authority.issueNode("stray-1"));
  expect((await a.call("POST", "/v1/agent/report", report, own)).status).toBe(202);
  expect(
    (await a.call("POST", "/v1/agent/report", { ...report, node_id: w.serving()[0] }, own)).status,
  ).toBe(403);
  await w.live(5);
  expect(w.nodes().find((n) => n.id === ("stray-1" as never))?.pool).toBeNull();
  expect(w.cloud.reality().live.length).toBe(2);
});

test("the id of a token begins with its label, as far as a name may have it", async () => {
  const { a } = await open();
  for (const [label, start] of [
    ["Alice <Smith>", /^alice-smith-./],
    ["x".repeat(128), /^x{24}-./],
    ["../\u202e", /^[^./-]/],
    ["", /^[^-]/],
  ] as const) {
    const { body } = await a.call("POST", "/v1/tokens", { role: "viewer", label });
    expect(`${body["id"]}`).toMatch(start);
    expect(`${body["id"]}`).toMatch(/^[\w-]+$/);
    const me = await a.call("GET", "/v1/whoami", undefined, `${body["token"]}`);
    expect(`${me.body["name"]}`).toBe(`token:${body["id"]}`);
    expect((await a.call("DELETE", `/v1/tokens/${body["id"]}`)).status).toBe(200);
  }
});

test("GET /v1/config hides programs and scripts from viewers alone", async () => {
  const { w, a } = await open(1);
  const [provider] = w.reconciler.activeConfig().providers;
  if (provider === undefined) throw new Error("no provider");
  provider.settings["start"] = "buy --as hunter2";
  for (const [role, shows] of [
    ["viewer", false],
    ["operator", true],
  ] as const) {
    const made = await a.call("POST", "/v1/tokens", { role, label: role });
    const { status, text } = await a.call("GET", "/v1/config", undefined, `${made.body["token"]}`);
    expect([role, status, text.includes("hunter2")]).toEqual([role, 200, shows]);
  }
});

test("status=cordoned finds every cordoned node, whatever else its status says", async () => {
  const { w, a } = await open();
  const [id = ""] = w.serving();
  await a.call("POST", `/v1/nodes/${id}/cordon`, { reason: "disk" });
  await a.call("POST", `/v1/nodes/${id}/drain`, { reason: "disk" });
  await w.until(() => w.node(id).phase.kind === "draining", 60);
  const found = async (status: string): Promise<string[]> => {
    const { text } = await a.call("GET", `/v1/nodes?status=${status}`);
    return (JSON.parse(text) as { nodes: { node_id: string }[] }).nodes.map((one) => one.node_id);
  };
  expect([await found("draining"), await found("cordoned")]).toEqual([[id], [id]]);
  expect(await found("active")).not.toContain(id);
});

test("an operator reads the audit; a viewer does not", async () => {
  const { a } = await open();
  for (const [role, status] of [
    ["operator", 200],
    ["viewer", 403],
  ] as const) {
    const { body } = await a.call("POST", "/v1/tokens", { role, label: role });
    for (const path of ["/v1/audit", "/v1/audit/export?format=jsonl"]) {
      expect((await a.call("GET", path, undefined, String(body["token"]))).status).toBe(status);
    }
  }
});
