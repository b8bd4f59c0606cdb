/** The console over real sockets: through a replica that does not lead, and from other sites. */
import { afterEach, expect, test } from "bun:test";
import { html } from "hono/html";
import { Forward } from "../../reconciler/http/route/forward.ts";
import { Front, listen } from "../../reconciler/http/route/listen.ts";
import type { AnyPage } from "../../reconciler/http/route/page.ts";
import type { Reconciler } from "../../reconciler/runtime/loop.ts";
import { Authority } from "../../reconciler/security/auth.ts";
import { openWorldApp } from "../world/app.ts";
import { csrfOf } from "../world/browser.ts";
import { closeWorlds, fleet } from "../world/story.ts";

const closing: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
  await closeWorlds();
});

const pageOf = (name: string): AnyPage => ({
  path: "/safety/sample",
  role: "viewer",
  label: "Sample",
  build: () => ({
    title: name,
    nav: "/safety/sample",
    blocks: [{ id: "a", heading: "A", kind: "text", body: html`<p>${name}</p>` }],
  }),
});

type Networks = { networks: string[]; trustedProxies: string[] };

async function open(more: { networks?: Networks; anonymous?: boolean } = {}) {
  const world = await fleet(1);
  const { ports: given } = openWorldApp(world);
  const active = world.reconciler.activeConfig();
  const { server } = active;
  const auth = { ...server.auth, allowAnonymous: more.anonymous === true };
  const own = { ...server, auth, console: more.networks ?? server.console };
  const config = { ...active, server: own };
  const activeConfig = { value: () => config };
  const reconciler: Reconciler = Object.create(world.reconciler, { activeConfig });
  const authority = new Authority({
    secret: "s",
    admins: ["root"],
    shared: [],
    credentials: [],
    anonymous: more.anonymous === true,
  });
  const ports = { ...given, authority, reconciler };
  const serve = (front: Front): string => {
    const server = listen(() => front, world.config, { host: "127.0.0.1", port: 0 }, null);
    closing.push(() => server.stop(true));
    return `http://127.0.0.1:${server.port}`;
  };
  const leaderUrl = serve(new Front(ports, null, { pages: [pageOf("the leader's")] }));
  let leads: string | null = leaderUrl;
  const sign = (text: string): string => authority.sign(text);
  const forward = new Forward({ clock: world.clock, leader: () => leads, peer: () => null, sign });
  const role = { forward, refresh: async () => undefined };
  const url = serve(new Front(ports, role, { pages: [pageOf("the standby's")] }));
  const ask = async (path: string, init: RequestInit = {}, base = url) => {
    const answer = await fetch(`${base}${path}`, { redirect: "manual", ...init });
    return { status: answer.status, headers: answer.headers, text: await answer.text() };
  };
  const post = (path: string, form: Record<string, string>, headers = {}) =>
    ask(path, { method: "POST", body: new URLSearchParams(form), headers });
  return { ask, post, leaderUrl, url, lose: () => (leads = null), ports };
}

test("C24: a standby shows the leader's page, or its own with a warning", async () => {
  const { ask, post, lose } = await open();
  const answer = await post("/login", { token: "root", next: "/safety/sample" });
  expect([answer.status, answer.headers.get("location")]).toEqual([303, "/safety/sample"]);
  const cookie = answer.headers.getSetCookie()[0]?.split(";")[0] ?? "";
  const page = await ask("/safety/sample", { headers: { cookie } });
  expect(page.text).toContain("<p>the leader&#39;s</p>");
  expect(page.headers.get("content-security-policy")).toContain("default-src 'none'");
  lose();
  const own = await ask("/safety/sample", { headers: { cookie } });
  expect(own.status).toBe(200);
  expect(own.text).toContain("<p>the standby&#39;s</p>");
  expect(own.text).toContain("The leader does not answer");
  const out = await ask("/logout", {
    method: "POST",
    headers: { cookie },
    body: new URLSearchParams({ csrf: csrfOf(page.text) }),
  });
  expect([out.status, out.headers.get("content-type")]).toEqual([503, "text/html; charset=utf-8"]);
  expect(out.text).toContain("Not available now");
});

test("C31: a form that another site posts is refused, also through a standby", async () => {
  const { post, url } = await open();
  const form = { token: "root" };
  const foreign: Record<string, string>[] = [
    { "sec-fetch-site": "cross-site" },
    { "sec-fetch-site": "same-site" },
    { origin: "https://evil.example" },
    { origin: "null" },
    { origin: "http://127.0.0.1:1" },
  ];
  for (const headers of foreign) {
    const answer = await post("/login", form, headers);
    expect([headers, answer.status]).toEqual([headers, 403]);
    expect(answer.text).toContain("posted by a page of");
  }
  for (const headers of [{ origin: url }, { "sec-fetch-site": "same-origin" }, {}]) {
    expect((await post("/login", form, headers)).status).toBe(303);
  }
});

test("C31: a form is short, and a longer one is not read", async () => {
  const { post } = await open();
  const answer = await post("/login", { token: "x".repeat(70_000) });
  expect(answer.status).toBe(413);
});

test("C31: a fleet without log-in is read at once, but not under another site's name", async () => {
  const { ask, post, leaderUrl } = await open({ anonymous: true });
  const page = await ask("/safety/sample", {}, leaderUrl);
  expect(page.status).toBe(200);
  expect(page.text).not.toContain("Log out");
  const rebound = await ask("/safety/sample", { headers: { host: "evil.example" } }, leaderUrl);
  expect([rebound.status, rebound.text.includes("the leader")]).toEqual([403, false]);
  const linked = { "sec-fetch-mode": "navigate", "sec-fetch-site": "cross-site" };
  expect((await ask("/safety/sample", { headers: linked }, leaderUrl)).status).toBe(200);
  expect((await post("/login", { token: "" })).status).toBe(401);
});

test("C32: the caller is whom a trusted proxy names, and no other header counts", async () => {
  const networks = { networks: ["192.0.2.0/24"], trustedProxies: ["127.0.0.0/8"] };
  const { ask } = await open({ networks });
  const read = async (forwarded: string | null) => {
    const headers = new Headers({ authorization: "Bearer root" });
    if (forwarded !== null) headers.set("x-forwarded-for", forwarded);
    return (await ask("/api/admin/audit", { headers })).status;
  };
  expect(await read("192.0.2.7")).toBe(200);
  expect(await read("192.0.2.7, 127.0.0.9")).toBe(200);
  expect(await read("192.0.2.7, 203.0.113.9")).toBe(403);
  expect(await read("junk")).toBe(403);
  expect(await read(null)).toBe(403);
  const plain = await open();
  const headers = { authorization: "Bearer root", "x-forwarded-for": "203.0.113.9" };
  expect((await plain.ask("/api/admin/audit", { headers })).status).toBe(200);
});
