/** C11, C33: what the console reads of the audit, as list and as file, and that nothing is missing. */
import { afterEach, expect, test } from "bun:test";
import type { AuditRecord } from "../../../schema/audit.ts";
import { openWorldApp, type WorldApp } from "../../../test/world/app.ts";
import { closeWorlds, fleet } from "../../../test/world/story.ts";
import { WINDOW_MS } from "../../security/audit/audit.ts";

afterEach(closeWorlds);

const EXPORT = "/v1/audit/export";

async function viewerOf(a: WorldApp): Promise<string> {
  const { body } = await a.call("POST", "/v1/tokens", { role: "viewer", label: "v" });
  return `${body["token"]}`;
}

test("C11: the export has every matching row once, as JSON lines, however many pages", async () => {
  const a = openWorldApp(await fleet(1));
  const { audit } = a.admission;
  await a.call("POST", "/v1/nodes/n-0/drain", {});
  const [row] = (await audit.page({ ...ANY, limit: 1 })).rows;
  if (row === undefined) throw new Error("the call has no row");
  const { id: _, mark: __, ...draft } = row;
  for (let i = 0; i < 1_100; i++) await audit.done({ ...draft, target: `n-${i}` });
  const { status, text, headers } = await a.call("GET", `${EXPORT}?verb=drain`);
  expect(status).toBe(200);
  expect(headers.get("Content-Disposition")).toContain("navarch-audit.jsonl");
  const rows = text
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as AuditRecord);
  expect(rows).toHaveLength(1_101);
  expect(new Set(rows.map(({ id }) => id)).size).toBe(1_101);
  expect(rows[0]).toMatchObject({ name: "n-1099", verb: "drain" });
  expect((await a.call("GET", `${EXPORT}?verb=cordon`)).text).toBe("");
}, 30_000);

const ANY = {
  ...{ who: null, since: null, until: null, before: null, verb: null, kind: null, object: null },
  ...{ refused: null, code: null },
};

test("C11: the export as CSV quotes, and starts no cell as a formula does", async () => {
  const a = openWorldApp(await fleet(1));
  const draft = { at: 0, refused: false, who: "=HYPERLINK(1)", role: "admin", method: "POST" };
  const call = { path: '/v1/a,"b"', target: "@x", code: "ok", status: 200, remote: "10.0.0.1" };
  const act = { request: "r", verb: "cordon", kind: "node", namespace: null, detail: "a\nb" };
  await a.admission.audit.done({ ...draft, ...call, ...act });
  const { text, headers } = await a.call("GET", `${EXPORT}?format=csv&verb=cordon`);
  expect(headers.get("Content-Type")).toStartWith("text/csv");
  const [head, ...rest] = text.split("\r\n");
  expect(head).toBe("id,ts,actor,role,ip,verb,kind,namespace,name,result,detail,requestId");
  expect(rest.join("\r\n")).toMatch(
    /^\d+,1970-[^,]+,'=HYPERLINK\(1\),admin,10\.0\.0\.1,cordon,node,,'@x,ok,"POST \/v1\/a,""b"": 200; a\nb",r\r\n$/,
  );
});

test("C11: the export is the administrator's, and refuses what it does not know", async () => {
  const a = openWorldApp(await fleet(1));
  const viewer = await viewerOf(a);
  expect((await a.call("GET", EXPORT, undefined, viewer)).status).toBe(403);
  expect((await a.call("GET", EXPORT, undefined, null)).status).toBe(401);
  expect((await a.call("GET", `${EXPORT}?format=xml`)).text).toContain("expected jsonl or csv");
  expect((await a.call("GET", `${EXPORT}?actr=x`)).status).toBe(400);
});

test("C11: result narrows to one outcome, or to what was refused", async () => {
  const a = openWorldApp(await fleet(1));
  const viewer = await viewerOf(a);
  await a.call("POST", "/v1/nodes/none/drain", {});
  await a.call("POST", "/v1/nodes/none/drain", {}, viewer);
  const results = async (result: string): Promise<string[]> => {
    const { text } = await a.call("GET", `${EXPORT}?result=${result}`);
    const lines = text.split("\n").filter((line) => line !== "");
    return lines.map((line) => (JSON.parse(line) as AuditRecord).result);
  };
  expect(await results("ok")).toEqual(["ok"]);
  expect(await results("not_found")).toEqual(["not_found"]);
  expect(await results("refused")).toEqual(["permission_denied"]);
  expect(await results("conflict")).toEqual([]);
});

/** Accepted reports are the product's own traffic; `test/identity` has their refusals. */
const UNAUDITED = ["POST /v1/agent/report"];

type Call = { method: string; path: string };

/** Every route and page of the application, with a name in place of each parameter. */
function callsOf(a: WorldApp): Call[] {
  const known = new Set<string>();
  return a.app.routes.flatMap(({ method, path }) => {
    const key = `${method} ${path}`;
    if (method === "ALL" || path.includes("*") || known.has(key)) return [];
    known.add(key);
    return [{ method, path: path.replace(/:\w+(?:\{[^}]*\})?\??/g, "none") }];
  });
}

const isRead = ({ method }: Call): boolean => ["GET", "HEAD", "OPTIONS"].includes(method);

/** How many calls of this path and outcome the rows stand for. */
async function countRows(a: WorldApp, { method, path }: Call): Promise<number> {
  const rows = await a.admission.audit.read({ ...ANY, limit: 100_000 });
  const isReport = path.endsWith("/agent/report");
  return rows
    .filter((row) => {
      // A report on a stream and one by POST are the same act.
      if (isReport && row.method === "REPORT") return true;
      return row.method === method && (row.path === path || row.who === "anonymous");
    })
    .reduce((sum, row) => sum + row.count, 0);
}

async function send(a: WorldApp, { method, path }: Call, token: string | null): Promise<number> {
  const headers: Record<string, string> = { "Content-Type": "application/json" };
  if (token !== null) headers["Authorization"] = `Bearer ${token}`;
  const init = { method, headers, ...(method === "GET" ? {} : { body: "{}" }) };
  const answer = await a.app.request(path, init, { remote: "127.0.0.1" });
  await answer.body?.cancel();
  return answer.status;
}

test("C33: every call that changes something has a row, whatever comes of it", async () => {
  const world = await fleet(1);
  const a = openWorldApp(world);
  const changing = callsOf(a).filter((call) => !isRead(call));
  expect(changing.length).toBeGreaterThan(60);
  for (const call of changing) {
    const { method, path } = call;
    if (UNAUDITED.some((one) => `${method} ${path.replace(/^\/api/, "")}` === one)) continue;
    const before = await countRows(a, call);
    const pending = send(a, call, "root");
    await world.turn();
    const status = await pending;
    expect([method, path, status, await countRows(a, call)]).toEqual([
      ...[method, path, status],
      before + 1,
    ]);
  }
}, 60_000);

test("C33: no route changes a row of the audit, or removes one", async () => {
  const { app } = openWorldApp(await fleet(1));
  const about = app.routes.filter(({ method, path }) => /audit/.test(path) && method !== "ALL");
  expect(about.map(({ method }) => method)).toEqual(about.map(() => "GET"));
  expect(about.length).toBeGreaterThan(2);
});

test("C33: every call that is refused has a row, reads too", async () => {
  const world = await fleet(1);
  const a = openWorldApp(world);
  const { body } = await a.call("POST", "/v1/tokens", { role: "viewer", label: "v" });
  const denied: string[] = [];
  for (const token of [null, `${body["token"]}`]) {
    for (const call of callsOf(a)) {
      const { method, path } = call;
      // A minute has room for some refusals, and an address for some failed log-ins.
      await world.clock.pass(WINDOW_MS);
      const before = await countRows(a, call);
      const status = await send(a, call, token);
      if (status !== 401 && status !== 403) continue;
      denied.push(`${method} ${path} ${status}`);
      expect([method, path, status, await countRows(a, call)]).toEqual([
        ...[method, path, status],
        before + 1,
      ]);
    }
  }
  expect(denied.filter((one) => one.endsWith("401")).length).toBeGreaterThan(120);
  expect(denied.filter((one) => one.endsWith("403")).length).toBeGreaterThan(50);
}, 60_000);

test("by and actor find all that a person did, however her tokens are called", async () => {
  const a = openWorldApp(await fleet(1));
  const make = async (label: string): Promise<{ id: string; token: string }> => {
    const { body } = await a.call("POST", "/v1/tokens", { role: "operator", label });
    return { id: `${body["id"]}`, token: `${body["token"]}` };
  };
  const labels = ["alice", "Alice (laptop)", "ci of alice@example.com", "malice", "bob"];
  const tokens = await Promise.all(labels.map(make));
  for (const { token } of tokens) {
    await a.call("POST", "/v1/nodes/n-0/cordon", { reason: "look" }, token);
  }
  // One of hers was revoked, and one is known by its rows alone, as after the loss of the database.
  await a.call("DELETE", `/v1/tokens/${tokens[0]?.id}`);
  const [row] = (await a.admission.audit.page({ ...ANY, limit: 1 })).rows;
  if (row === undefined) throw new Error("no row");
  const { id: _, mark: __, ...draft } = row;
  await a.admission.audit.done({ ...draft, who: "token:alice-old-0123456789-_" });
  const hers = tokens.slice(0, 3).map(({ id }) => `token:${id}`);
  const authors = async (by: string) => {
    const { body } = await a.call("GET", `/v1/audit?by=${encodeURIComponent(by)}`);
    const rows = body["audit"] as unknown as { who: string }[];
    return { rows: [...new Set(rows.map(({ who }) => who))].sort(), said: body["authors"] };
  };
  expect((await authors("alice")).rows).toEqual([...hers, "token:alice-old-0123456789-_"].sort());
  expect((await authors("ALICE")).rows).toHaveLength(4);
  expect((await authors("token:alice")).rows).toHaveLength(4);
  expect((await authors("alice laptop")).rows).toEqual([hers[1] ?? ""]);
  // The name of one author is that author alone.
  expect((await authors(tokens[0]?.id ?? "")).rows).toEqual([hers[0] ?? ""]);
  expect((await authors("admin")).rows).toEqual(["admin"]);
  expect(await authors("carol")).toMatchObject({ rows: [], said: [] });
  const { text } = await a.call("GET", `${EXPORT}?actor=alice&verb=cordon`);
  expect(text.trimEnd().split("\n")).toHaveLength(3);
});

test("the answer says when there are older rows than it has", async () => {
  const a = openWorldApp(await fleet(1));
  for (const n of [1, 2]) await a.call("POST", "/v1/nodes/n-0/cordon", { reason: `look ${n}` });
  const older = async (limit: number) =>
    (await a.call("GET", `/v1/audit?limit=${limit}&verb=cordon`)).body["older"];
  expect([await older(1), await older(2)] as unknown[]).toEqual([true, false]);
});
