/** Safety, Money, Events and Audit as a browser's requests see them, and the actions of Safety. */
import { sayFreezeEffect } from "../../../schema/safety.ts";
import { afterEach, expect, test } from "bun:test";
import { ANY_ROW } from "../../../schema/audit.ts";
import { openWorldApp, type WorldApp } from "../../../test/world/app.ts";
import { type Browser, logIn, openBrowser } from "../../../test/world/browser.ts";
import { closeWorlds, fleet } from "../../../test/world/story.ts";

afterEach(closeWorlds);

async function open(): Promise<{
  a: WorldApp;
  admin: Browser;
  as(role: string): Promise<Browser>;
}> {
  const world = await fleet(2);
  const a = openWorldApp(world);
  const as = async (role: string): Promise<Browser> => {
    const { body } = await a.call("POST", "/v1/tokens", { role, label: role });
    return logIn(a.app, world, `${body["token"]}`);
  };
  return { a, admin: await logIn(a.app, world), as };
}

test("a fleet is frozen and unfrozen by forms that name consequence and reason", async () => {
  const { a, as } = await open();
  const operator = await as("operator");
  const asked = await operator.get("/safety/freeze");
  expect(asked.text).toContain(sayFreezeEffect(false));
  const none = await operator.act("/safety/freeze", { reason: " " });
  expect([none.status, none.text.includes("Nothing was done")]).toEqual([400, true]);
  const done = await operator.act("/safety/freeze", { reason: "drill <1>", for: "2h" });
  expect([done.status, done.to]).toEqual([303, "/safety"]);
  const page = (await operator.get("/safety")).text;
  const again = (await operator.get("/safety/freeze")).text;
  expect(again).toContain("The fleet is frozen already");
  expect(again).toContain("drill &lt;1&gt;");
  for (const text of ["The fleet is frozen.", "drill &lt;1&gt;", 'href="/safety/unfreeze"']) {
    expect(page).toContain(text);
  }
  expect(`${(await a.call("GET", "/v1/safety")).body["frozen"]?.["why"]}`).toBe("drill <1>");
  await operator.act("/safety/unfreeze", { reason: "" });
  expect((await operator.get("/safety")).text).toContain("Automation runs");
  const rows = await a.admission.audit.read({ ...ANY_ROW, limit: 50 });
  const acts = rows.map(({ verb, kind, code }) => `${verb} ${kind} ${code}`);
  expect(acts.slice(0, 3)).toEqual([
    "unfreeze fleet ok",
    "freeze fleet ok",
    "freeze fleet invalid_argument",
  ]);
});

test("a viewer sees the pages without actions, and is refused each action and the audit", async () => {
  const { a, as } = await open();
  const viewer = await as("viewer");
  for (const path of ["/safety", "/money", "/events"]) {
    const { status, text } = await viewer.get(path);
    expect([path, status]).toEqual([path, 200]);
    expect(text).not.toContain('class="button" href="/safety/');
    expect(text).not.toContain(">Audit<");
  }
  for (const path of [
    "/safety/freeze",
    "/safety/rule/x@1/trust",
    "/safety/gpu/G/forgive",
    "/audit",
  ]) {
    expect([path, (await viewer.get(path)).status]).toEqual([path, 403]);
  }
  const [row] = await a.admission.audit.read({ ...ANY_ROW, limit: 1 });
  expect(row).toMatchObject({ path: "/audit", code: "permission_denied", role: "viewer" });
});

test("what is not there is refused on the same page, and says what to do", async () => {
  const { admin } = await open();
  const rule = await admin.act("/safety/rule/none@1/trust", { reason: "x" });
  expect([rule.status, rule.text.includes("no rule none@1 is suspended")]).toEqual([404, true]);
  const gpu = await admin.act("/safety/gpu/GPU-9/forgive", { reason: "x" });
  expect([gpu.status, gpu.text.includes("no GPU GPU-9 is quarantined")]).toEqual([404, true]);
  for (const path of ["/money?month=2026", "/events?kind=x", "/events?since=soon"]) {
    expect([path, (await admin.get(path)).status]).toEqual([path, 400]);
  }
  for (const path of ["/events?before=x", "/audit?since=x", "/audit?cursor=x"]) {
    expect([path, (await admin.get(path)).status]).toEqual([path, 400]);
  }
});

test("events: pages go back without a gap, and the filter is in the URL", async () => {
  const { a, admin } = await open();
  for (let i = 0; i < 70; i++) {
    await a.call("PUT", "/v1/safety/freeze", { reason: `drill ${i}` });
    await a.call("DELETE", "/v1/safety/freeze", {});
  }
  const seen: string[] = [];
  let path: string | null = "/events?q=DRILL&since=24h";
  while (path !== null) {
    const { text } = await admin.get(path);
    seen.push(...[...text.matchAll(/id="event-(\d+)"/g)].map(([, id = ""]) => id));
    path = /rel="next" href="([^"]+)"/.exec(text)?.[1]?.replaceAll("&amp;", "&") ?? null;
  }
  expect(seen).toHaveLength(140);
  expect(seen.map(Number)).toEqual([...seen].map(Number).sort((x, y) => y - x));
  const one = (await admin.get("/events?kind=safety.frozen&q=drill%2069")).text;
  expect([...one.matchAll(/id="event-/g)]).toHaveLength(1);
}, 30_000);

test("C11: the audit page narrows by each filter, and links the same rows as a file", async () => {
  const { admin } = await open();
  await admin.act("/safety/freeze", { reason: "drill" });
  await admin.get("/safety/rule/x/trust");
  const rows = async (query: string): Promise<number> => {
    const { status, text } = await admin.get(`/audit?${query}`);
    expect([query, status]).toEqual([query, 200]);
    return [...text.matchAll(/id="audit-\d+"/g)].length;
  };
  expect(await rows("verb=freeze")).toBe(1);
  expect(await rows("verb=freeze&result=refused")).toBe(0);
  expect(await rows("verb=freeze&actor=admin&since=24h&result=ok")).toBe(1);
  expect(await rows("verb=freeze&actor=other")).toBe(0);
  expect(await rows("object=none")).toBe(0);
  const { text } = await admin.get("/audit?verb=freeze");
  expect(text).toContain('href="/api/v1/audit/export?verb=freeze&amp;format=csv"');
  const file = await admin.get("/api/v1/audit/export?verb=freeze");
  expect([file.status, file.text.split("\n").length]).toEqual([200, 2]);
});

test("money: what runs has its price, and the chart its figures as a table", async () => {
  const { admin } = await open();
  const { text } = await admin.get("/money");
  expect(text).toContain("2 instances");
  expect(text).toMatch(/<script src="\/asset\/chart-[\w-]+\.js" defer>/);
  const src = /\/asset\/chart-[\w-]+\.js/.exec(text)?.[0] ?? "";
  const asset = await admin.get(src);
  expect([asset.status, asset.text.includes("uPlot")]).toEqual([200, true]);
  expect((await admin.get("/money?month=1999-01")).status).toBe(400);
});

test("C33: a stranger's form does nothing, and is no act of anybody in the audit", async () => {
  const { a } = await open();
  const world = await fleet(1);
  const stranger = openBrowser(a.app, world);
  const { status } = await stranger.post("/safety/freeze", { reason: "x" });
  expect([401, 403]).toContain(status);
  const [row] = await a.admission.audit.read({ ...ANY_ROW, limit: 1 });
  expect(row).toMatchObject({ path: "/safety/freeze", who: "anonymous", refused: true });
});
