/**
 * The least role that each route answers, for every route and page of the table: a route whose
 * check is lost, or that is added without one, differs from `role.json`. `UPDATE=1` rewrites it.
 */
import { afterEach, expect, test } from "bun:test";
import { join } from "node:path";
import { nodeToken } from "../../reconciler/security/auth.ts";
import { fakePools } from "../world/agent-pools.ts";
import { V1_ALIAS } from "../../reconciler/http/route/route.ts";
import { PAGES, withPages } from "../../reconciler/http/route/table.ts";
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
  const all = withPages(PAGES);
  const rows = all.flatMap(({ at }) => [at, at.replace(" /v1/", ` ${V1_ALIAS}/`)]);
  const forms = new Set<string>(all.flatMap(({ at, access }) => (access === "page" ? [at] : [])));
  // Each call comes from an address of its own, so that no limit of failures answers for the role.
  let calls = 0;
  const inside = () => ({ remote: `10.${++calls >> 8}.${calls & 255}.1` });
  for (const route of [...new Set(rows)].sort()) {
    const [method = "", path = ""] = route.split(" ");
    const allowed: string[] = [];
    for (const [role, token] of callers) {
      const form = forms.has(route) ? { "Content-Type": "application/x-www-form-urlencoded" } : {};
      const headers = { ...form, ...(token === null ? {} : { Authorization: `Bearer ${token}` }) };
      // A body that no route of the API takes: it is refused behind the check of the role.
      const text = forms.has(route) ? "reason=tried" : '["no route takes this"]';
      const body = method === "GET" ? {} : { body: text };
      const init = { method, headers, ...body };
      const asked = a.app.request(path.replace(/:\w+/g, "x"), init, inside());
      const passed = w.clock.pass(20_000).then(() => asked);
      const answer = await Promise.race([asked, passed]);
      await answer.body?.cancel();
      const isLogIn = answer.status === 303 && answer.headers.get("Location")?.startsWith("/login");
      if (![401, 403].includes(answer.status) && !isLogIn) allowed.push(role);
    }
    table[route] = allowed.join(" ");
  }
  if (process.env["UPDATE"] === "1") {
    await Bun.write(FILE, `${JSON.stringify(table, null, 1)}\n`);
  }
  expect(table).toEqual((await Bun.file(FILE).json()) as Record<string, string>);
  expect(table["POST /v1/admin/backup"]).toBe("admin");
}, 60_000);
