/** The console's shell as a browser's requests see it: log-in, roles, forms, headers, errors. */
import { afterEach, expect, test } from "bun:test";
import { html } from "hono/html";
import { ANY_ROW as ANY } from "../../../schema/audit.ts";
import { openWorldApp, type WorldApp } from "../../../test/world/app.ts";
import { csrfOf, logIn as logInTo, openBrowser } from "../../../test/world/browser.ts";
import { closeWorlds, fleet } from "../../../test/world/story.ts";
import { openApp } from "./app.ts";
import { LoginLinks } from "./link.ts";
import { nextOf } from "./login.ts";
import type { AnyPage } from "./page.ts";
import { isPage } from "./route.ts";
import { PAGES } from "./table.ts";

afterEach(closeWorlds);

const fleetPage = { path: "/fleet", role: "viewer", label: "Fleet" } as const;
const page = { title: "Audit", nav: "/audit", blocks: [] };

/** A page of each kind: for viewers, for administrators inside, and an action. */
const samplePages: readonly AnyPage[] = [
  {
    ...fleetPage,
    build: (asked) => ({
      title: `Fleet ${asked.query("q") ?? ""}`,
      nav: "/fleet",
      blocks: [
        { id: "a", heading: "A", kind: "text", body: html`<p>${asked.query("q") ?? "none"}</p>` },
        {
          id: "t",
          heading: "T",
          kind: "table",
          above: null,
          columns: [{ name: "Node" }, { name: "GPUs", align: "right" }],
          rows: [{ id: "r1", cells: [html`<b>n1</b>`, html`8`], tone: "bad" }],
          empty: "no nodes",
          below: null,
        },
      ],
    }),
  },
  {
    path: "/audit",
    role: "admin",
    label: "Audit",
    internal: true,
    build: () => page,
  },
  {
    path: "/fleet/node/:id/cordon",
    role: "operator",
    confirm: (asked) => ({
      title: `Cordon ${asked.param("id")}`,
      nav: "/fleet",
      body: html`<p>New pods stay off ${asked.param("id")}.</p>`,
      fields: html`<input name="reason">`,
      button: "Cordon",
      back: "/fleet",
    }),
    async run(asked, form, call) {
      const id = encodeURIComponent(asked.param("id"));
      await call("POST", `/v1/nodes/${id}/cordon`, { reason: form.get("reason") ?? "" });
      return { notice: `Cordoned ${asked.param("id")}`, to: "/fleet" };
    },
  },
];

async function open() {
  const world = await fleet(1);
  const a = openWorldApp(world);
  const node = `${(await a.call("GET", "/v1/nodes")).body["nodes"]?.[0]?.["node_id"]}`;
  const app = openApp(a.ports, { pages: samplePages });
  const stranger = (other = app) => openBrowser(other, world);
  const logIn = (token = "root") => logInTo(app, world, token);
  return { a, app, node, stranger, logIn, world };
}

async function tokenOf(a: WorldApp, role: string): Promise<{ id: string; token: string }> {
  const { body } = await a.call("POST", "/v1/tokens", { role, label: "t" });
  return { id: `${body["id"]}`, token: `${body["token"]}` };
}

test("C31: a token becomes a cookie that scripts and other sites cannot use", async () => {
  const opened = await open();
  const stranger = opened.stranger();
  const away = await stranger.get("/fleet?q=x%20y");
  expect([away.status, away.to]).toEqual([303, "/login?next=%2Ffleet%3Fq%3Dx%2520y"]);
  expect((await stranger.get("/login")).text).toContain('name="token"');
  const wrong = await stranger.post("/login", { token: "wrong" });
  expect([wrong.status, stranger.cookies.size]).toEqual([401, 0]);
  expect(wrong.text).toContain("token rejected");
  expect(wrong.text).not.toContain('value="wrong"');
  const right = await stranger.post("/login", { token: " root ", next: "/fleet?q=1" });
  expect([right.status, right.to]).toEqual([303, "/fleet?q=1"]);
  const [cookie = ""] = right.headers.getSetCookie();
  expect(cookie).toMatch(
    /^navarch_session=[\w.-]+; Max-Age=43200; Path=\/; HttpOnly; SameSite=Str/,
  );
  expect(cookie).not.toContain("Secure");
  const page = await stranger.get("/fleet");
  expect(page.status).toBe(200);
  expect(page.text).toContain('<a href="/fleet" aria-current="page">Fleet</a>');
  const out = await stranger.post("/logout", { csrf: csrfOf(page.text) });
  expect([out.status, stranger.cookies.size]).toEqual([303, 0]);
});

test.each([
  ["X-Forwarded-Proto", "https", true],
  ["X-Forwarded-Proto", "http, https", true],
  ["X-Forwarded-Proto", "https, http", false],
  ["Forwarded", "for=192.0.2.1;proto=https", true],
  ["Forwarded", 'proto="https"', true],
  ["Forwarded", "for=192.0.2.1;proto=http", false],
])("behind a proxy that says %s: %s the cookie is Secure: %p", async (name, value, expected) => {
  const { a } = await open();
  const headers = { [name]: value, "Content-Type": "application/x-www-form-urlencoded" };
  const answer = await a.app.request("/login", { method: "POST", headers, body: "token=root" });
  expect(answer.status).toBe(303);
  expect(answer.headers.getSetCookie()[0]?.includes("; Secure")).toBe(expected);
});

test("C31: under TLS the cookie is Secure", async () => {
  const { app } = await open();
  const answer = await app.request("https://c.example/login", {
    method: "POST",
    headers: { "Content-Type": "application/x-www-form-urlencoded" },
    body: "token=root",
  });
  expect(answer.headers.getSetCookie()[0]).toContain("; Secure");
});

test("C31: a session ends with its credential", async () => {
  const { a, stranger, logIn } = await open();
  const { id, token } = await tokenOf(a, "viewer");
  const viewer = await logIn(token);
  expect((await viewer.get("/fleet")).status).toBe(200);
  await a.call("DELETE", `/v1/tokens/${id}`);
  expect((await viewer.get("/fleet")).to).toContain("/login");
  const forged = stranger();
  const [name, until] = `${viewer.cookies.get("navarch_session")}`.split(".");
  for (const value of [`${name}.${until}.${"A".repeat(43)}`, "x", `${name}.9.`, "é".repeat(999)]) {
    forged.cookies.set("navarch_session", encodeURIComponent(value));
    expect((await forged.get("/fleet")).status).toBe(303);
  }
});

test("C31: a session ends when its token expires, and not before", async () => {
  const { a, world, logIn } = await open();
  const made = await a.call("POST", "/v1/tokens", {
    ...{ role: "viewer", label: "short", expires_in: "1h" },
  });
  const viewer = await logIn(String(made.body["token"]));
  expect((await viewer.get("/fleet")).status).toBe(200);
  await world.clock.pass(59 * 60_000);
  expect((await viewer.get("/fleet")).status).toBe(200);
  await world.clock.pass(2 * 60_000);
  expect((await viewer.get("/fleet")).to).toContain("/login");
});

test("C31: sessions survive another process with the same secret, and end after 12 hours", async () => {
  const { a, stranger, logIn } = await open();
  const browser = await logIn();
  const other = stranger(openApp(a.ports, { pages: samplePages }));
  for (const [name, value] of browser.cookies) other.cookies.set(name, value);
  expect((await other.get("/fleet")).status).toBe(200);
  const later = { ...a.ports.clock, wallMs: () => a.ports.clock.wallMs() + 12 * 3_600_000 };
  const tomorrow = stranger(openApp({ ...a.ports, clock: later }, { pages: samplePages }));
  for (const [name, value] of browser.cookies) tomorrow.cookies.set(name, value);
  expect((await tomorrow.get("/fleet")).status).toBe(303);
});

test("C31: credentials of programs cannot log in, nor read pages", async () => {
  const { a, app, node, stranger } = await open();
  const machine = a.authority.issueNode(node);
  const browser = stranger();
  const answer = await browser.post("/login", { token: machine });
  expect([answer.status, browser.cookies.size]).toEqual([403, 0]);
  const headers = { Authorization: `Bearer ${machine}` };
  expect((await app.request("/fleet", { headers })).status).toBe(403);
});

test("C31: failed log-ins are rate-limited and audited, without the token", async () => {
  const { a, stranger, logIn } = await open();
  const browser = stranger();
  const seen = new Set<number>();
  for (let i = 0; i < 70; i++) seen.add((await browser.post("/login", { token: "g" })).status);
  expect([...seen]).toEqual([401, 429]);
  const { rows } = await a.admission.audit.page({ ...ANY, limit: 10 });
  expect(rows.map(({ code, verb, kind }) => [code, verb, kind])).toEqual([
    ["rate_limited", "log_in", "session"],
    ["unauthenticated", "log_in", "session"],
  ]);
  expect(JSON.stringify(rows)).not.toContain("token=");
  await logIn();
  const [row] = (await a.admission.audit.page({ ...ANY, limit: 1 })).rows;
  expect(row).toMatchObject({ who: "admin", verb: "log_in", code: "ok", remote: "10.0.0.1" });
});

test("C31: `next` leads only to pages", () => {
  const away = ["//evil.example", "/\\evil.example", "https://evil.example/fleet", "/v1/nodes"];
  away.push("javascript:alert(1)", "/login?next=/fleet", "/logout", "/live?path=/", "", "fleet");
  away.push("/%2f/evil.example", "/\t/evil.example", "/.//evil.example", "/fleet/..//evil.example");
  for (const given of away) expect([given, nextOf(given)]).toEqual([given, "/"]);
  expect(nextOf(undefined)).toBe("/");
  expect(nextOf("/fleet?pool=a&page=2")).toBe("/fleet?pool=a&page=2");
});

test("C31: a form is accepted only with the token of its session", async () => {
  const { node, logIn } = await open();
  const browser = await logIn();
  const path = `/fleet/node/${node}/cordon`;
  const other = await logIn("both");
  const foreign = csrfOf((await other.get(path)).text);
  for (const form of [{}, { csrf: "" }, { csrf: foreign }]) {
    expect((await browser.post(path, { ...form, reason: "r" })).status).toBe(403);
  }
  expect((await browser.post("/logout", { csrf: foreign })).status).toBe(403);
  const csrf = csrfOf((await browser.get(path)).text);
  expect((await browser.post(path, { csrf, reason: "r" })).status).toBe(303);
});

test("C33: an action is one audit row, that of the call it makes; so is a denied one", async () => {
  const { a, node, logIn } = await open();
  const browser = await logIn();
  const path = `/fleet/node/${node}/cordon`;
  const csrf = csrfOf((await browser.get(path)).text);
  const before = (await a.admission.audit.page({ ...ANY, limit: 100 })).rows.length;
  const done = await browser.post(path, { csrf, reason: "loose cable" });
  expect([done.status, done.to]).toEqual([303, "/fleet"]);
  const shown = await browser.get("/fleet");
  expect(shown.text).toContain(`Cordoned ${node}`);
  expect((await browser.get("/fleet")).text).not.toContain("Cordoned");
  expect(a.ports.reconciler.fleet().nodes.get(node as never)?.cordon.human?.why).toContain(
    "loose cable",
  );
  const { rows } = await a.admission.audit.page({ ...ANY, limit: 100 });
  expect(rows.length).toBe(before + 1);
  expect(rows[0]).toMatchObject({ who: "admin", verb: "cordon", kind: "node", target: node });
  const { token } = await tokenOf(a, "viewer");
  const viewer = await logIn(token);
  expect((await viewer.get(path)).status).toBe(403);
  const page = await viewer.get("/fleet");
  const denied = await viewer.post(path, { csrf: csrfOf(page.text), reason: "x" });
  expect(denied.status).toBe(403);
  const [row] = (await a.admission.audit.page({ ...ANY, limit: 1 })).rows;
  expect(row).toMatchObject({ code: "permission_denied", method: "POST", path });
});

test("C33: an action that the API refuses says so on its own page, and does nothing", async () => {
  const { logIn } = await open();
  const browser = await logIn();
  const path = "/fleet/node/no-such/cordon";
  const csrf = csrfOf((await browser.get(path)).text);
  const answer = await browser.post(path, { csrf, reason: "r" });
  expect(answer.status).toBe(404);
  expect(answer.text).toContain("Nothing was done: ");
  expect(answer.text).toContain("no-such");
});

test("C24: a page is whole without scripts, and asks no other host for anything", async () => {
  const { logIn } = await open();
  const browser = await logIn();
  const { text, headers } = await browser.get("/fleet?q=%3Cscript%3Ealert(1)%3C%2Fscript%3E");
  expect(text).toContain("&lt;script&gt;alert(1)");
  expect(text).not.toContain("<script>alert");
  const policy = headers.get("Content-Security-Policy") ?? "";
  for (const part of ["default-src 'none'", "script-src 'self'", "frame-ancestors 'none'"]) {
    expect(policy).toContain(part);
  }
  expect(headers.get("Cache-Control")).toBe("no-store");
  expect(headers.get("X-Content-Type-Options")).toBe("nosniff");
  expect(text).not.toMatch(/(?:src|href|action)="(?!\/|#)/);
  const assets = [...text.matchAll(/(?:src|href)="(\/asset\/[^"]+)"/g)].map(
    ([, path]) => `${path}`,
  );
  expect(assets.length).toBe(3);
  for (const path of assets) {
    const asset = await browser.get(path);
    expect([path, asset.status]).toEqual([path, 200]);
    expect(asset.headers.get("Cache-Control")).toContain("immutable");
    expect(asset.text).not.toMatch(/https?:\/\/(?!www\.w3\.org\/2000\/svg)/);
  }
  expect((await browser.get("/asset/other.js")).status).toBe(404);
});

test("C30: headings, landmarks, a skip link, labels of cells, and the marked entry", async () => {
  const { logIn } = await open();
  const { text } = await (await logIn()).get("/fleet");
  expect(text).toMatch(/<a class="skip" href="#main">/);
  expect(text).toMatch(/<nav aria-label="Pages">/);
  expect(text).toMatch(/<section class="block" id="t" aria-labelledby="t-heading">/);
  expect(text).toMatch(/<tr[^>]* id="r1" class="bad"/);
  expect(text).toMatch(/data-label="GPUs" class="number"/);
});

test("C32: a page for internal networks is refused elsewhere, and not offered there", async () => {
  const { logIn } = await open();
  const browser = await logIn();
  expect((await browser.get("/audit", "192.168.1.1")).status).toBe(200);
  const outside = await browser.get("/audit", "203.0.113.9");
  expect(outside.status).toBe(403);
  expect(outside.text).toContain("203.0.113.9 is not in an internal network");
  expect((await browser.get("/fleet", "203.0.113.9")).text).not.toContain('href="/audit"');
  expect((await browser.get("/fleet")).text).toContain('href="/audit"');
});

test("a page that does not exist, or fails, is told in words", async () => {
  const { a, stranger } = await open();
  const app = openApp(a.ports, {
    pages: [
      {
        path: "/fleet/bad",
        role: "viewer",
        build: () => {
          throw new Error("secret detail");
        },
      },
    ],
  });
  const browser = stranger(app);
  await browser.post("/login", { token: "root" });
  const none = await browser.get("/fleet/none/at/all");
  expect([none.status, none.text.includes("Not found")]).toEqual([404, true]);
  const bad = await browser.get("/fleet/bad");
  expect([bad.status, bad.text.includes("secret detail")]).toEqual([500, false]);
});

test("every page's path is one that a standby asks of the leader", () => {
  const seen = PAGES.map(({ path }) => path);
  expect(seen.length).toBeGreaterThan(2);
  for (const path of seen) expect([path, isPage(path)]).toEqual([path, true]);
});

test("C31: a session reads the API, and changes nothing there", async () => {
  const { app, node, logIn, stranger } = await open();
  const browser = await logIn();
  expect((await browser.get("/v1/nodes")).status).toBe(200);
  expect((await browser.get("/api/admin/audit")).status).toBe(200);
  expect((await stranger().get("/v1/nodes")).status).toBe(401);
  expect((await browser.post(`/v1/nodes/${node}/cordon`, {})).status).toBe(401);
  const cookie = [...browser.cookies].map(([name, value]) => `${name}=${value}`).join("; ");
  // A token that is wrong is not made good by a cookie.
  const headers = { Cookie: cookie, Authorization: "Bearer wrong" };
  expect((await app.request("/v1/nodes", { headers })).status).toBe(401);
  expect((await app.request("/fleet", { headers })).status).toBe(303);
});

test("C31: a one-time link logs in once, as its maker, and opening it uses nothing", async () => {
  const { a, stranger } = await open();
  const { id, token } = await tokenOf(a, "viewer");
  const make = async (): Promise<string> => {
    const { status, body } = await a.call("POST", "/v1/console/links", {}, token);
    expect(status).toBe(201);
    return `${body["path"]}`;
  };
  const use = (browser: ReturnType<typeof stranger>, path: string) => {
    const code = new URLSearchParams(path.split("?")[1]).get("code") ?? "";
    return browser.post("/login/once", { code });
  };
  const path = await make();
  // The links are kept by the application that made them.
  const browser = stranger(a.app);
  for (let i = 0; i < 3; i++) expect((await browser.get(path)).text).toContain('name="code"');
  expect((await use(browser, path)).to).toBe("/");
  expect((await browser.get("/fleet")).text).toContain("viewer");
  const second = stranger(a.app);
  const again = await use(second, path);
  expect([again.status, second.cookies.size]).toEqual([401, 0]);
  expect(again.text).toContain("the link was used");
  const late = await make();
  await a.call("DELETE", `/v1/tokens/${id}`);
  expect((await use(second, late)).status).toBe(401);
  expect((await second.post("/login/once", { code: "" })).status).toBe(401);
  const { rows } = await a.admission.audit.page({ ...ANY, limit: 100 });
  expect(JSON.stringify(rows)).not.toContain(path.split("code=")[1] ?? "none");
  expect(rows.map(({ verb, kind }) => `${verb} ${kind}`)).toContain("create login_link");
});

test("C31: a one-time link ends after ten minutes, and the oldest of many makes way", () => {
  let now = 0;
  const after = () => () => undefined;
  const links = new LoginLinks({ wallMs: () => now, monoMs: () => now, after });
  const owner = { name: "admin", proof: "p" };
  links.add("a", owner);
  links.add("b", owner);
  now = 10 * 60_000 - 1;
  expect(links.take("a")?.name).toBe("admin");
  expect(links.take("a")).toBeNull();
  now++;
  expect(links.take("b")).toBeNull();
  for (let i = 0; i < 1_001; i++) links.add(`${i}`, owner);
  expect([links.take("0"), links.take("1000")?.name]).toEqual([null, "admin"]);
  // A viewer's do not end another person's.
  links.add("own", owner);
  for (let i = 0; i < 1_001; i++) links.add(`v${i}`, { name: "token:v", proof: "q" });
  expect(links.take("own")?.name).toBe("admin");
  expect([links.take("v0"), links.take("v1000")?.name]).toEqual([null, "token:v"]);
});
