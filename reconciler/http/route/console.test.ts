/** C11 as a caller sees it: shape, filters, pages, and who is turned away. */
import { afterEach, expect, test } from "bun:test";
import type { AuditRecord } from "../../../schema/audit.ts";
import { openWorldApp, type WorldApp } from "../../../test/world/app.ts";
import { closeWorlds, fleet } from "../../../test/world/story.ts";

afterEach(closeWorlds);

const PATH = "/api/admin/audit";

async function ask(a: WorldApp, query = "", token: string | null = "root", remote = "10.1.2.3") {
  const headers = token === null ? undefined : { Authorization: `Bearer ${token}` };
  const answer = await a.app.request(`${PATH}${query}`, headers && { headers }, { remote });
  const body: unknown = await answer.json();
  return { status: answer.status, body, link: answer.headers.get("Link") };
}

async function rows(a: WorldApp, query = ""): Promise<AuditRecord[]> {
  const { status, body } = await ask(a, query);
  expect(status).toBe(200);
  return body as AuditRecord[];
}

test("C11: changes and refusals are rows with actor, verb, object, result and detail", async () => {
  const a = openWorldApp(await fleet(1));
  const node = (await a.call("GET", "/v1/nodes")).body["nodes"]?.[0]?.["node_id"];
  await a.call("POST", `/v1/nodes/${node}/cordon`, { reason: "a loud fan" });
  await a.call("POST", "/v1/nodes/none/drain", {});
  const { body } = await a.call("POST", "/v1/tokens", { role: "viewer", label: "secret words" });
  const viewer = `${body["token"]}`;
  await a.call("POST", `/v1/nodes/${node}/terminate`, {}, viewer);
  await a.call("GET", "/v1/tokens", undefined, viewer);
  expect((await rows(a)).map((row) => Object.keys(row).join())).toContain(
    "id,ts,actor,role,ip,verb,kind,namespace,name,result,detail,requestId",
  );
  const [cordon] = await rows(a, "?verb=cordon&limit=1");
  expect(cordon).toMatchObject({ actor: "admin", kind: "node", name: node, result: "ok" });
  expect(cordon?.detail).toBe(`POST /v1/nodes/${node}/cordon: 200; reason: a loud fan`);
  expect(JSON.stringify(await rows(a))).not.toContain("secret words");
  const [refused] = await rows(a, `?object=node/${node}&verb=terminate`);
  expect(refused).toMatchObject({ role: "viewer", result: "permission_denied" });
  expect(refused?.detail).toContain("this needs operator");
  const [read] = await rows(a, "?verb=get");
  expect(read).toMatchObject({ kind: "token", result: "permission_denied" });
  const [unknown] = await rows(a, "?object=none");
  expect(unknown).toMatchObject({ verb: "drain", result: "not_found" });
  const actor = encodeURIComponent(`${refused?.actor}`);
  expect((await rows(a, `?actor=${actor}`)).map(({ verb }) => verb)).toEqual(["get", "terminate"]);
  expect(await rows(a, "?since=2999-01-01T00:00:00Z")).toEqual([]);
  const tokens = await rows(a, "?since=boot&kind=token");
  expect(new Set(tokens.map(({ kind }) => kind))).toEqual(new Set(["token"]));
  expect(await rows(a, "?kind=Pod")).toEqual([]);
  expect(await rows(a, "?until=1999-01-01T00:00:00Z")).toEqual([]);
});

test("C11: Link names the next page with the same filters, and the last page has none", async () => {
  const a = openWorldApp(await fleet(1));
  for (let i = 0; i < 5; i++) await a.call("POST", `/v1/nodes/n-${i}/drain`, {});
  const seen: string[] = [];
  let query: string | null = "?verb=drain&limit=2";
  for (let pages = 0; query !== null; pages++) {
    const { body, link } = await ask(a, query);
    seen.push(...(body as AuditRecord[]).map(({ name }) => `${name}`));
    query = /^<\/api\/admin\/audit(\?[^>]+)>; rel="next"$/.exec(link ?? "")?.[1] ?? null;
    expect(pages).toBeLessThan(4);
  }
  expect(seen).toEqual(["n-4", "n-3", "n-2", "n-1", "n-0"]);
});

test("C11: others than administrators on an internal network are refused, and told flatly", async () => {
  const a = openWorldApp(await fleet(1));
  const { body } = await a.call("POST", "/v1/tokens", { role: "operator", label: "o" });
  const operator = `${body["token"]}`;
  expect(await ask(a, "", null)).toMatchObject({
    status: 401,
    body: { error: "no token given", code: "unauthenticated" },
  });
  expect(await ask(a, "", operator)).toMatchObject({
    status: 403,
    body: { error: expect.stringContaining("this needs admin"), code: "permission_denied" },
  });
  for (const remote of ["8.8.8.8", "::ffff:8.8.8.8", "2001:db8::1", "172.32.0.1", ""]) {
    const answer = await ask(a, "", "root", remote);
    expect([remote, answer.status]).toEqual([remote, 403]);
  }
  for (const remote of ["127.0.0.1", "::1", "::ffff:172.16.0.1", "fd00::1", "fe80::1%eth0"]) {
    expect([remote, (await ask(a, "", "root", remote)).status]).toEqual([remote, 200]);
  }
  // The refusals are in the log themselves.
  const denied = await rows(a, "?object=none&verb=get").then(() => rows(a, "?verb=get"));
  expect(denied.map(({ ip }) => ip)).toContain("8.8.8.8");
});

test("C11: a query that makes no sense is refused with the key and what it expects", async () => {
  const a = openWorldApp(await fleet(1));
  const bad = ["limit=0", "limit=1001", "limit=x", "cursor=x", "cursor=0", "since=soon", "actr=x"];
  for (const query of bad) {
    const { status, body } = await ask(a, `?${query}`);
    expect([query, status]).toEqual([query, 400]);
    expect((body as { error: string }).error).toContain(query.split("=")[0] ?? "");
  }
  expect((await ask(a, "?limit=1000&cursor=1&actor=")).status).toBe(200);
  const none = await a.app.request(
    "/api/admin/none",
    {
      headers: { Authorization: "Bearer root" },
    },
    { remote: "127.0.0.1" },
  );
  expect(none.status).toBe(404);
});
