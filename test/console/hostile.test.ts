/**
 * Every page and every JSON route over a fleet whose nodes, pods, cloud, jobs and builds are
 * hostile: their text stays text; a reader is offered nothing that would be refused; a stranger
 * gets nothing.
 */
import { afterAll, afterEach, beforeEach, expect, test } from "bun:test";
import { createHmac } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SIGNATURE } from "../../reconciler/http/route/pipeline.ts";
import { openWorldApp, type WorldApp } from "../world/app.ts";
import { type Answer, type Browser, logIn } from "../world/browser.ts";
import { closeWorlds, fleet, lie } from "../world/story.ts";
import type { World } from "../world/world.ts";
import {
  EVIL,
  hostileCluster,
  hostilePipeline,
  hostilePools,
  reportHostile,
  spoil,
  strayInstance,
} from "./hostile.ts";

const folder = mkdtempSync(join(tmpdir(), "navarch-hostile-"));
const SLURM = `    slurm: { partition: compute, nodes: "n[0-2]" }
slurm: { enabled: true, poll_interval: 5s }
`;
const SECRET = "a shared secret of a build server";

let world: World;
let a: WorldApp;
let nodes: string[];

/** Opened for each test: an order of the one is none of the other. */
beforeEach(async () => {
  world = await fleet(3, SLURM, { slurm: { nodes: 3, slurmdLagMs: 1_000 } });
  world.tolerant = true;
  a = openWorldApp(world, undefined, hostilePools());
  a.ports.console = hostileCluster;
  nodes = world.nodes().map(({ id }) => id);
  const [sick = ""] = nodes;
  // Or the sick machine would be replaced before all of it is told.
  await a.call("PUT", "/v1/safety/freeze", { reason: EVIL, for: "24h" });
  expect(await reportHostile(a, world, sick)).toContain("findings/0/finding/message");
  await reportHostile(a, world, "stray-1");
  const { slurm } = world;
  if (slurm === null) throw new Error("no Slurm");
  await world.until(() => world.nodes().some((node) => node.slurm !== null), 60);
  slurm.slurm.update("n1", { state: "drain", reason: EVIL }, EVIL);
  lie(world, (instances) => {
    const [one] = instances;
    return one === undefined ? [] : [...instances.map(spoil), strayInstance(one)];
  });
  await world.live(60);
  await a.call("POST", `/v1/nodes/${nodes[1]}/cordon`, { reason: EVIL });
  await a.call("PUT", "/v1/pools/p/hold", { reason: EVIL });
  await sendPipelines();
  await world.live(10);
}, 60_000);
afterEach(closeWorlds);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function sendPipelines(): Promise<void> {
  const path = join(folder, "secret");
  writeFileSync(path, SECRET);
  world.reconciler.activeConfig().server.console.pipelineSecretFile = path;
  for (let serial = 0; serial < 20; serial++) {
    const body = JSON.stringify(hostilePipeline(world, serial));
    const mac = createHmac("sha256", SECRET).update(body).digest("hex");
    const headers = { [SIGNATURE]: `sha256=${mac}`, "Content-Type": "application/json" };
    const answer = await a.app.request("/api/pipelines", { method: "POST", headers, body });
    expect(answer.status).toBe(202);
  }
}

/** Controls but line ends and tabs, and marks that turn the direction of text. */
const HIDDEN = /(?![\n\t])[\p{Cc}\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]/u;
const TAGS = new Set(
  (
    "html head meta title link script body a header nav ul li div span form input button p main " +
    "h1 h2 h3 section table thead tbody tr th td footer time code pre details summary dl dt dd " +
    "label select option br meter b strong ol em small svg canvas textarea fieldset legend"
  ).split(" "),
);
const ATTRIBUTES = new Set(
  (
    "href class id role name value type content rel src lang charset method action tabindex scope " +
    "datetime hidden selected checked required maxlength min max placeholder defer autocomplete " +
    "rows cols for open title disabled colspan autofocus spellcheck"
  ).split(" "),
);
const SIZE_MAX = 1_024 * 1_024;

type Found = { links: string[]; forms: { method: string; action: string; query: string }[] };

/** What a parser of HTML finds in a page; fails for anything that the product never writes. */
async function readPage(path: string, { text, headers }: Answer): Promise<Found> {
  const found: Found = { links: [], forms: [] };
  const odd: string[] = [];
  const hidden = HIDDEN.exec(text);
  if (hidden !== null) odd.push(`control in ${JSON.stringify(around(text, hidden.index))}`);
  if (text.length > SIZE_MAX) odd.push(`${text.length} characters`);
  const fields: string[][] = [];
  const rewriter = new HTMLRewriter().on("*", {
    element(element) {
      const { tagName } = element;
      if (!TAGS.has(tagName)) odd.push(`<${tagName}>`);
      for (const [name = "", value = ""] of element.attributes) {
        const isOurs = ATTRIBUTES.has(name) || /^(?:aria|data)-[a-z-]+$/.test(name);
        if (!isOurs) odd.push(`${tagName} ${name}=${value.slice(0, 60)}`);
      }
      const src = element.getAttribute("src");
      if (src !== null && !src.startsWith("/asset/")) odd.push(`src=${src}`);
      const href = element.getAttribute("href")?.replaceAll("&amp;", "&");
      if (href !== undefined && !/^(?:\/(?!\/)|#)/.test(href))
        odd.push(`href=${href.slice(0, 60)}`);
      if (tagName === "a" && href?.startsWith("/") === true) found.links.push(href);
      if (tagName === "form") {
        const action = element.getAttribute("action")?.replaceAll("&amp;", "&") ?? path;
        found.forms.push({ method: element.getAttribute("method") ?? "get", action, query: "" });
        fields.push([]);
      }
    },
  });
  await rewriter.transform(new Response(text)).text();
  expect([path, odd.slice(0, 5)]).toEqual([path, []]);
  expect(text).not.toContain("<img");
  expect(headers.get("content-security-policy")).toContain("default-src 'none'");
  return found;
}

const around = (text: string, at: number): string => text.slice(Math.max(0, at - 60), at + 20);

type Walk = { pages: Map<string, number>; refused: string[]; posts: string[] };

/** Follows every link and every form that only asks, from `/` on. */
async function walk(browser: Browser, remote: string): Promise<Walk> {
  const pages = new Map<string, number>();
  const refused: string[] = [];
  const posts: string[] = [];
  const queue = ["/"];
  const shapes = new Map<string, number>();
  const seen = new Set(queue);
  while (queue.length > 0) {
    const path = queue.shift() ?? "";
    let answer = await browser.get(path, remote);
    if (answer.status === 303) answer = await browser.get(answer.to ?? "", remote);
    pages.set(path, answer.text.length);
    if (answer.status >= 400) refused.push(`${answer.status} ${path}`);
    const isPage = answer.headers.get("content-type")?.startsWith("text/html") === true;
    if (!isPage) continue;
    const { links, forms } = await readPage(path, answer);
    for (const { method, action } of forms) {
      if (method.toLowerCase() === "post") posts.push(action);
      else links.push(action);
    }
    for (const link of links) {
      const to = link.replace(/#.*$/, "");
      if (to === "" || seen.has(to)) continue;
      seen.add(to);
      // Pages of objects of one kind are alike: a dozen of each is looked at.
      const shape = to.replace(/web-\d+|gpu-\d+|before=[^&]*|after=[^&]*/g, "*");
      const count = (shapes.get(shape) ?? 0) + 1;
      shapes.set(shape, count);
      if (count <= 12) queue.push(to);
    }
  }
  return { pages, refused, posts };
}

const INSIDE = "10.0.0.1";
const OUTSIDE = "203.0.113.9";

async function browserOf(role: string): Promise<Browser> {
  if (role === "admin") return logIn(a.app, world);
  const { body } = await a.call("POST", "/v1/tokens", { role, label: "t" });
  return logIn(a.app, world, `${body["token"]}`);
}

test.each([
  ["viewer", INSIDE],
  ["viewer", OUTSIDE],
  ["operator", INSIDE],
  ["admin", OUTSIDE],
  ["admin", INSIDE],
])(
  "C24, C31: pages of a %s at %s: hostile text is text, and no link is refused",
  async (role, at) => {
    const { pages, refused, posts } = await walk(await browserOf(role), at);
    expect(refused).toEqual([]);
    expect(pages.size).toBeGreaterThan(10);
    if (role === "viewer") expect(new Set(posts)).toEqual(new Set(["/logout"]));
    if (role !== "viewer") expect(posts.length).toBeGreaterThan(20);
    if (at === OUTSIDE) {
      const inside = [...pages.keys()].filter((path) => /^\/(?:deployment|audit)/.test(path));
      expect(inside).toEqual([]);
    }
  },
  120_000,
);

const PARAMS: Readonly<Record<string, () => string>> = {
  id: () => nodes[0] ?? "",
  node: () => nodes[0] ?? "",
  pool: () => "p",
  ns: () => "kai-ml",
  namespace: () => "kai-ml",
  pod: () => "web-1",
  name: () => "web-1",
  kind: () => "helmrelease",
};

/** Each path of the application with names that exist, and how it is asked. */
function routes(): { method: string; path: string }[] {
  const all = a.app.routes.flatMap(({ method, path }) => {
    // The answer of a watch ends after minutes.
    if (method === "ALL" || path.includes("*") || path.endsWith("/watch")) return [];
    const filled = path.replace(/:(\w+)(?:\{[^}]*\})?\??/g, (_, name: string) => {
      return PARAMS[name]?.() ?? "none";
    });
    return [`${method} ${filled}`];
  });
  return [...new Set(all)].map((one) => {
    const [method = "", path = ""] = one.split(" ");
    return { method, path };
  });
}

async function send(method: string, path: string, token: string | null): Promise<Answer> {
  const headers: Record<string, string> = { "Content-Type": "application/json" };
  if (token !== null) headers["Authorization"] = `Bearer ${token}`;
  const init = { method, headers, ...(method === "GET" ? {} : { body: "{}" }) };
  const pending = Promise.resolve(a.app.request(path, init, { remote: INSIDE }));
  let done = false;
  void pending.then(() => (done = true));
  for (let i = 0; i < 10 && !done; i++) await world.turn();
  const { status, headers: given, ...answer } = await readAll(await pending);
  return { status, headers: given, to: given.get("Location"), ...answer };
}

async function readAll(answer: Response) {
  const { status, headers } = answer;
  return { status, headers, text: await answer.text() };
}

test("C31: each JSON answer is JSON, no answer has a secret, and no reader gets a fault", async () => {
  const minted = await a.call("POST", "/v1/tokens", { role: "viewer", label: EVIL });
  const join = await a.call("POST", "/v1/join-tokens", { pool: "p", uses: 2, label: "j" });
  const viewer = `${minted.body["token"]}`;
  const secrets = [SECRET, viewer, `${join.body["token"]}`].filter((one) => one !== "undefined");
  expect(secrets.length).toBe(3);
  const seen = new Set<string>();
  for (const token of ["root", viewer]) {
    for (const { method, path } of routes().filter((one) => one.method === "GET")) {
      const { status, text, headers } = await send(method, path, token);
      const type = headers.get("content-type") ?? "";
      expect([path, status >= 500 && status !== 503]).toEqual([path, false]);
      for (const secret of secrets) expect([path, text.includes(secret)]).toEqual([path, false]);
      if (/^application\/json(?:;|$)/.test(type)) JSON.parse(text);
      if (type.startsWith("text/html")) await readPage(path, { status, text, headers, to: null });
      else if (text.includes("<img")) seen.add(path);
    }
  }
  // What is hostile was there to be shown.
  const shown = ["/v1/nodes", "/v1/events", "/api/admin/kubernetes/pods", "/api/pipelines"];
  expect(shown.filter((path) => !seen.has(path))).toEqual([]);
}, 120_000);

/** Answered without a token: nothing in them is of a node, a pod or a person. */
const PUBLIC = new RegExp(
  "^/(?:healthz|readyz|ca\\.pem|login|login/once|logout|asset/.*|install\\.sh|releases/.*|" +
    "NavarchProject/.*|(?:api/)?v1/agent/join)$",
);

test("C31: a stranger is sent to the log-in or refused, and learns no name", async () => {
  world.reconciler.activeConfig().server.auth.metricsAuth = true;
  const names = [...nodes, "stray-1", "web-1", "gpu-1", "kai-ml", "fleet-p", "<img"];
  const open: string[] = [];
  for (const { method, path } of routes()) {
    const { status, text, to } = await send(method, path, null);
    // So many failures at once would be told to slow down.
    world.clock.sleepThrough(60_000);
    const leaks = names.filter((name) => text.includes(name) && !path.includes(name));
    expect([method, path, leaks]).toEqual([method, path, []]);
    const isSent = status === 303 && to?.startsWith("/login") === true;
    if (status !== 401 && status !== 403 && !isSent) open.push(`${method} ${path} ${status}`);
  }
  expect(open.filter((one) => !PUBLIC.test(one.split(" ")[1] ?? ""))).toEqual([]);
}, 120_000);
