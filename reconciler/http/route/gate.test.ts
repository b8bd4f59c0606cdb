import { afterEach, expect, test } from "bun:test";
import { ANY_ROW } from "../../../schema/audit.ts";
import { openWorldApp } from "../../../test/world/app.ts";
import { poolYaml, World } from "../../../test/world/world.ts";

let world: World | null = null;
afterEach(async () => {
  await world?.close();
  world = null;
});

test("auditCall() gives a node's vain calls no rows of their own beside what was done", async () => {
  const w = await World.open(poolYaml(1, ""));
  world = w;
  const a = openWorldApp(w);
  const token = a.authority.issueNode("n-1");
  for (let turn = 0; turn < 50; turn++) {
    expect((await a.call("POST", `/v1/none-${turn}`, {}, token)).status).toBe(404);
    expect((await a.call("DELETE", "/v1/agent/report", undefined, token)).status).toBe(404);
  }
  expect((await a.call("POST", "/v1/none", {})).status).toBe(404);
  const rows = await a.admission.audit.read({ ...ANY_ROW, limit: 1_000 });
  expect(rows.map(({ who, refused, count }) => ({ who, refused, count }))).toEqual([
    { who: "admin", refused: false, count: 1 },
    { who: "node:n-1", refused: true, count: 50 },
    { who: "node:n-1", refused: true, count: 50 },
  ]);
});

test("auditCall() gives a viewer's links one row a minute, so that they push out nothing", async () => {
  const w = await World.open(poolYaml(1, ""));
  world = w;
  const a = openWorldApp(w);
  const made = await a.call("POST", "/v1/tokens", { role: "viewer", label: "ann" });
  const { id, token } = made.body as { id: string; token: string };
  for (let turn = 0; turn < 50; turn++) {
    expect((await a.call("POST", "/v1/console/links", {}, token)).status).toBe(201);
  }
  const rows = await a.admission.audit.read({ ...ANY_ROW, limit: 1_000 });
  expect(rows.map(({ who, refused, code, count }) => ({ who, refused, code, count }))).toEqual([
    { who: `token:${id}`, refused: false, code: "ok", count: 50 },
    { who: "admin", refused: false, code: "ok", count: 1 },
  ]);
});
