/**
 * The commands beside a client that another project's generator made of `/openapi.json`: both ask
 * one control plane, and say the same of it.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { ok } from "@oazapfts/runtime";
import { openWorldApp } from "../world/app.ts";
import { poolYaml, World } from "../world/world.ts";
import * as client from "./generated/navarch.ts";
import { json, navarch } from "./spawn.ts";

let world: World;
let server: ReturnType<typeof Bun.serve>;
let env: Record<string, string>;
const as = (token: string) => ({ headers: { Authorization: `Bearer ${token}` } });
const ROOT = as("root");

beforeAll(async () => {
  world = await World.open(poolYaml(2, ""));
  await world.until(() => world.serving().length === 2, 600);
  const { app } = openWorldApp(world);
  server = Bun.serve({ port: 0, hostname: "127.0.0.1", fetch: (request) => app.fetch(request) });
  client.defaults.baseUrl = `http://127.0.0.1:${server.port}`;
  env = { NAVARCH_SERVER: client.defaults.baseUrl, NAVARCH_AUTH_TOKEN: "root" };
});
afterAll(async () => {
  await server.stop(true);
  await world.close();
});

/** What a command prints as JSON. */
async function print(...args: string[]): Promise<unknown> {
  const { code, out, err } = await navarch([...args, "-o", "json"], env);
  expect(err).toBe("");
  expect(code).toBe(0);
  return json(out);
}

test("list and get print what the generated client reads", async () => {
  const { nodes } = await ok(client.getNodes({}, ROOT));
  expect(nodes).toHaveLength(2);
  expect(await print("list")).toEqual(nodes);
  const one = await ok(client.getNodesById(nodes[0]?.node_id ?? "", ROOT));
  expect(await print("get", one.node_id)).toEqual(one);
});

test("a body and a query of the generated client are taken as they are typed", async () => {
  const { token = "" } = await ok(client.postTokens({ role: "viewer", label: "wall" }, ROOT));
  expect(token).not.toBe("");
  const listed = await ok(client.getNodes({ pool: "nothing" }, as(token)));
  expect(listed).toEqual({ nodes: [], next: null });
  const refused = await client.postTokens({ role: "viewer" }, as(token));
  expect(refused.status as number).toBe(403);
  const tokens = (await print("token", "list")) as { label: string }[];
  expect(tokens.map(({ label }) => label)).toContain("wall");
});

test("a viewer reads /openapi.json, a stranger does not", async () => {
  const at = `${client.defaults.baseUrl}/openapi.json`;
  const read = await fetch(at, ROOT);
  expect([read.status, ((await read.json()) as { openapi: string }).openapi]).toEqual([
    200,
    "3.1.0",
  ]);
  expect((await fetch(at)).status).toBe(401);
});

test("/docs shows each route with its role and what it reads", async () => {
  const page = await (await fetch(`${client.defaults.baseUrl}/docs`, ROOT)).text();
  expect(page).toContain("<code>/v1/nodes/{id}/drain</code>");
  expect(page).toContain("body <code>force</code>: boolean");
  expect(page).toContain("query <code>cursor</code>: string");
  expect(page).not.toMatch(/(?:src|href)="https?:/);
});
