/**
 * The least role that each route answers, for every route that the application has: a route whose
 * check is lost, or that is added without one, differs from `role.json`. `UPDATE=1` rewrites it.
 */
import { afterEach, expect, test } from "bun:test";
import { join } from "node:path";
import { nodeToken } from "../../reconciler/security/auth.ts";
import { fakePools } from "../world/agent-pools.ts";
import { openWorldApp } from "../world/app.ts";
import { poolYaml, World } from "../world/world.ts";

let world: World | null = null;
afterEach(async () => {
  await world?.close();
  world = null;
});

const FILE = join(import.meta.dir, "role.json");

test("every route answers the roles of the table, and no other", async () => {
  world = await World.open(poolYaml(1, ""), { store: "memory" });
  const w = world;
  await w.until(() => w.serving().length === 1, 120);
  const a = openWorldApp(w, undefined, fakePools(["p/p"], 1_000));
  const tokenOf = async (role: string): Promise<string> =>
    `${(await a.call("POST", "/v1/tokens", { role, label: role })).body["token"]}`;
  const callers: [role: string, token: string | null][] = [
    ["anonymous", null],
    ["node", nodeToken("s", w.serving()[0] ?? "")],
    ["slurm", await tokenOf("slurm")],
    ["viewer", await tokenOf("viewer")],
    ["operator", await tokenOf("operator")],
    ["admin", "root"],
  ];
  const table: Record<string, string> = {};
  const routes = new Set(
    a.app.routes
      .filter(({ method, path }) => method !== "ALL" && !path.includes("*"))
      .map(({ method, path }) => `${method} ${path}`),
  );
  // Each call comes from an address of its own, so that no limit of failures answers for the role.
  let calls = 0;
  const inside = () => ({ remote: `10.${++calls >> 8}.${calls & 255}.1` });
  for (const route of [...routes].sort()) {
    const [method = "", path = ""] = route.split(" ");
    const allowed: string[] = [];
    for (const [role, token] of callers) {
      const headers = token === null ? {} : { Authorization: `Bearer ${token}` };
      // A body that no route takes: it is refused behind the check of the role.
      const body = method === "GET" ? {} : { body: '["no route takes this"]' };
      const init = { method, headers, ...body };
      const asked = a.app.request(path.replace(/:\w+/g, "x"), init, inside());
      const passed = w.clock.pass(20_000).then(() => asked);
      const answer = await Promise.race([asked, passed]);
      await answer.body?.cancel();
      if (![401, 403].includes(answer.status)) allowed.push(role);
    }
    table[route] = allowed.join(" ");
  }
  if (process.env["UPDATE"] === "1") {
    await Bun.write(FILE, `${JSON.stringify(table, null, 1)}\n`);
  }
  expect(table).toEqual((await Bun.file(FILE).json()) as Record<string, string>);
  expect(table["POST /v1/admin/backup"]).toBe("admin");
}, 60_000);
