/**
 * The pages of the fleet as a person uses them, in a real browser before the compiled control
 * plane, with real agents on simulated GPUs: a broken node is seen, its repair is watched, a drain
 * is cancelled, a pool is held. By mouse, by keyboard, narrow, dark, and without JavaScript.
 */
import {
  afterAll,
  afterEach,
  beforeAll,
  describe,
  expect,
  setDefaultTimeout,
  test,
} from "bun:test";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Browser, Locator, Page } from "playwright-core";
import { buildStale, cleanEnv, NAVARCH, Plane, until } from "../../fixture/plane/plane.ts";
import {
  findBarriers,
  findChromium,
  openChromium,
  openReader,
  overflowOf,
  type Reader,
  type Setting,
} from "./browser.ts";
import { differenceOf, lookAt } from "./look.ts";

setDefaultTimeout(120_000);

const path = findChromium();
if (path === null) {
  const why = "SKIPPED: chromium is not here and cannot be installed: apt-get install chromium";
  if (process.env["CI"] === "true") throw new Error(why);
  console.error(why);
}

/** Pictures for a person; each run writes over those of the run before. */
const SHOTS = process.env["NAVARCH_SHOTS"] ?? join(tmpdir(), "navarch-shots");

/** Each of the stories breaks a machine: one after the other, they are to look like no storm. */
const yaml = `
server:
  address: 127.0.0.1:0
  heartbeat_interval: 500ms
  sample_interval: 500ms
  health_check_interval: 1s
simulation: { enabled: true }
safety: { breaker: { enabled: false } }
providers:
  fake: { gpu_count: 8, boot_delay: 1s, terminate_delay: 1s }
pools:
  - name: p
    provider: fake
    instance_type: h100-8x
    scaling: { min_nodes: 3, max_nodes: 6 }
    health: { unhealthy_threshold: 1 }
`;

/** How a person reads and presses. */
type Way = Setting & { name: string; keys?: boolean };

const WAYS: readonly Way[] = [
  { name: "by mouse" },
  { name: "by keyboard alone", keys: true },
  { name: "at 375 px", width: 375 },
  { name: "in dark mode", dark: true },
  { name: "without JavaScript", script: false },
];

const WAIT_MS = 30_000;
const TABS_MAX = 120;

/** What assistive software is given at each step and width; the same in every way. */
const heard = new Map<string, string>();

/** Steps whose page is the same in each run; what the others show depends on the repair's time. */
const SEEN_STEPS = ["log in", "fleet", "drain", "cancel", "hold"];
/** By width, theme and step. */
const seen = new Map<string, string[]>();
const LOOKS = join(import.meta.dir, "__snapshots__/looks.json");

/** A person at one window. */
class Person {
  readonly page: Page;
  loads = 0;
  private readonly browser: Browser;
  private readonly reader: Reader;
  private readonly way: Way;
  private shots = 0;

  constructor(browser: Browser, reader: Reader, way: Way) {
    this.browser = browser;
    this.reader = reader;
    this.page = reader.page;
    this.way = way;
    this.page.on("domcontentloaded", () => void this.loads++);
  }

  /** Follows a link, or presses a button. */
  async press(target: Locator): Promise<void> {
    await target.waitFor();
    if (this.way.keys !== true) return target.click();
    await this.focus(target);
    await this.page.keyboard.press("Enter");
  }

  async type(target: Locator, text: string): Promise<void> {
    if (this.way.keys !== true) return target.fill(text);
    await this.focus(target);
    await this.page.keyboard.type(text);
  }

  private async focus(target: Locator): Promise<void> {
    const focused = target.and(this.page.locator(":focus"));
    for (let tabs = 0; (await focused.count()) === 0; tabs++) {
      if (tabs > TABS_MAX) throw new Error(`not reached by Tab: ${target.toString()}`);
      await this.page.keyboard.press("Tab");
    }
  }

  /** Waits until `text` is to be read there; only who has no script reloads. */
  async see(where: Locator, text: RegExp): Promise<void> {
    const loads = this.loads;
    await until(`${where.toString()} says ${text}`, WAIT_MS, async () => {
      const shown = (await where.count()) === 0 ? "nothing" : await where.innerText();
      const read = shown.replace(/[●◐▲✖○]/g, "").replace(/\s+/g, " ");
      if (text.test(read)) return true;
      if (this.way.script === false) await this.page.reload();
      throw new Error(read);
    });
    if (this.way.script !== false) expect(this.loads).toBe(loads);
  }

  /** The page has no barrier, does not scroll sideways, and is heard as in the other ways. */
  async check(step: string, parts: readonly string[] = ["#main"]): Promise<void> {
    const { reader, page, way } = this;
    mkdirSync(SHOTS, { recursive: true });
    const file = `${way.name} ${++this.shots} ${step}.png`.replaceAll(" ", "-");
    await page.screenshot({ path: join(SHOTS, file), fullPage: true });
    // Names of people wrap there, each its own way.
    const wraps = step === "cancel" && way.width !== undefined;
    if (SEEN_STEPS.includes(step) && !wraps) {
      const look = await lookAt(this.browser, page);
      const key = `${way.width ?? 1_280} px, ${way.dark === true ? "dark" : "light"}: ${step}`;
      expect([key, differenceOf(look, seen.get(key) ?? look)]).toEqual([key, null]);
      seen.set(key, look);
    }
    if (way.script !== false) {
      expect([step, await findBarriers(reader)]).toEqual([step, []]);
      expect([step, await overflowOf(reader)]).toEqual([step, 0]);
    }
    for (const part of parts) {
      const text = steady(await page.locator(part).ariaSnapshot());
      // A card names the column of each cell.
      const key = `${way.width === undefined ? "" : "narrow, "}${step}: ${part}`;
      const known = heard.get(key) ?? text;
      heard.set(key, known);
      expect(text).toBe(known);
    }
  }

  async heading(text: string): Promise<void> {
    await this.page.locator(`h1:text-is("${text}")`).waitFor();
  }

  async reason(words: string): Promise<void> {
    await this.type(this.page.locator('input[name="reason"]'), words);
    await this.press(this.page.locator("#confirm button"));
  }
}

/** What differs from run to run is named instead. */
function steady(text: string): string {
  return text
    .replace(/\b[a-z0-9]+-p-\d+-\d+\b/g, "NODE")
    .replace(/\d{4}-\d\d-\d\d[ T][\d:.]+Z/g, "TIME")
    .replace(/\bin \d+ [smhd]\b|\b\d+ [smhd] ago\b/g, "TIME")
    .replace(/\bfor \d+ s\b/g, "for SPAN")
    .replace(/\bfake-\w+-\d+\b/g, "INSTANCE")
    .replace(/\btoken:[\w-]+/g, "token:ID")
    .replace(/\$\d+\.\d+/g, "$N");
}

describe.skipIf(path === null)("the pages of the fleet in Chromium", () => {
  let browser: Browser;
  let plane: Plane;
  let token = "";
  const readers: Reader[] = [];
  beforeAll(async () => {
    await buildStale();
    plane = new Plane(yaml);
    await plane.start();
    const body = JSON.stringify({ role: "operator", label: "olga" });
    const made = await plane.fetch("/api/v1/tokens", { method: "POST", body });
    token = ((await made.json()) as { token: string }).token;
    browser = await openChromium(path ?? "");
  }, 600_000);
  afterAll(async () => {
    await browser?.close();
    expect(await plane?.destroy()).toEqual([]);
  }, 60_000);

  afterEach(async () => {
    for (const { context } of readers.splice(0)) await context.close();
    await release();
  });

  async function hold(reason = "look first"): Promise<void> {
    const init = { method: "PUT", body: JSON.stringify({ reason }) };
    expect((await plane.fetch("/api/v1/pools/p/hold", init)).status).toBe(200);
  }

  async function release(): Promise<void> {
    const init = { method: "DELETE", body: JSON.stringify({ reason: "the test goes on" }) };
    await plane.fetch("/api/v1/pools/p/hold", init);
  }

  /** A person at a new window, and what goes wrong in it. */
  async function sit(way: Way): Promise<{ person: Person; page: Page; problems: string[] }> {
    const reader = await openReader(browser, plane.url, { ...way, still: true });
    readers.push(reader);
    const { page, problems } = reader;
    return { person: new Person(browser, reader, way), page, problems };
  }

  async function inject(node: string): Promise<void> {
    const words = ["simulate", "inject", `--node=${node}`, "--xid=79", "--gpu=2"];
    const child = Bun.spawn([NAVARCH, ...words, `--server=${plane.url}`], {
      env: cleanEnv({ NAVARCH_AUTH_TOKEN: plane.adminToken }),
      stdin: "ignore",
      stdout: "ignore",
      stderr: "pipe",
    });
    const error = await new Response(child.stderr).text();
    expect([await child.exited, error]).toEqual([0, ""]);
  }

  async function logIn(person: Person): Promise<void> {
    const { page } = person;
    await page.goto("/fleet");
    await person.heading("Navarch console");
    await person.check("log in");
    await person.type(page.locator('input[name="token"]'), token);
    await person.press(page.locator("#login button"));
    await person.heading("Fleet");
  }

  /** Breaks a node, and watches its repair to the replacement's service. */
  async function repair(person: Person, sick: string): Promise<void> {
    const { page } = person;
    const row = page.locator(`[id="node-${sick}"]`);
    // Held, the repair waits until the person is on the node's page.
    await hold();
    await inject(sick);
    await person.see(row, /repair waits[^]*XID 79[^]*GPU 2 unhealthy[^]*look first/);
    await person.press(row.locator(`a:text-is("${sick}")`));
    await person.heading(sick);
    const steps = page.locator("#repair");
    await person.see(steps, /node cordoned/);
    await release();
    await person.see(steps, /machine terminating/);
    await person.see(steps, /Last repair[^]*Replacement: [^]*node in service/);
    await person.check("repaired", []);
    const link = steps.locator('p a[href^="/fleet/node/"]');
    const next = await link.innerText();
    await person.press(link);
    await person.heading(next);
    await person.see(page.locator("#verdict"), /serving healthy/);
    await person.check("replacement", ["#verdict"]);
  }

  for (const way of WAYS) {
    test(`C27: ${way.name}: a node breaks and is replaced, a drain is cancelled, a pool is held`, async () => {
      const { person, page, problems } = await sit(way);
      await plane.waitServing(3);
      await logIn(person);
      await person.see(page.locator("#summary"), /serving\W+3\b/);
      await person.check("fleet", [".top", "#main"]);
      const ids = (await plane.serving()).map(({ node_id: id }) => id).sort();
      const [sick = "", other = ""] = ids;
      await repair(person, sick);

      await page.goto("/fleet");
      await person.press(page.locator(`[id="node-${other}"] a:text-is("${other}")`));
      await person.heading(other);
      await person.press(page.locator(".actions a", { hasText: "Drain" }));
      await person.heading(`Drain ${other}`);
      await person.check("drain");
      await person.reason("a loud fan");
      await person.heading(other);
      await person.see(page.locator("#main"), /Drain of \S+ is accepted/);
      await person.see(page.locator("#verdict .actions"), /Cancel drain/);
      await person.press(page.locator(".actions a", { hasText: "Cancel drain" }));
      await person.heading(`Cancel drain ${other}`);
      await person.check("cancel");
      await person.reason("the fan is quiet");
      await person.heading(other);
      await person.see(page.locator("#main"), /Cancel drain of \S+ is accepted/);
      await person.see(page.locator("#verdict"), /serving healthy/);

      await person.press(page.locator('#verdict a[href="/fleet/pool/p"]'));
      await person.press(page.locator(".actions a", { hasText: "Hold" }));
      await person.heading("Hold pool p");
      await person.check("hold");
      await person.reason("a new driver");
      await person.heading("Pool p");
      await person.see(page.locator("#main"), /Pool p is held/);
      await page.goto("/fleet");
      await person.see(page.locator("#needs"), /Pool p held by token:\S+ until/);
      await person.check("held", ["#needs", "#pools"]);
      await page.goto("/fleet/pool/p/release");
      await person.reason("the driver is in");
      await person.heading("Pool p");
      expect(problems).toEqual([]);
    });
  }

  test("C24: a page says when its control plane is gone, and is current when it is back", async () => {
    const { person, page } = await sit({ name: "broken stream" });
    await plane.waitServing(3);
    await logIn(person);
    await person.see(page.locator("#nodes"), /3 nodes/);
    await plane.kill();
    await person.see(page.locator("#live"), /^Not connected for \d+ s: what you see may be old/);
    await person.check("not connected", ["#live"]);
    await plane.start();
    await hold("while it was away");
    await person.see(page.locator("#needs"), /Pool p held by admin[^]*while it was away/);
    await page.locator("#live").waitFor({ state: "hidden" });
  });

  test("C30: each step is heard as it was last accepted", () => {
    // Nine parts of pages at both widths, and the warning.
    expect(heard.size).toBe(19);
    for (const [step, text] of heard) expect(text).toMatchSnapshot(step);
  });

  test("C30: each step looks as it was last accepted, wide, narrow and dark", () => {
    const looks = Object.fromEntries([...seen].sort(([one], [other]) => (one < other ? -1 : 1)));
    if (process.env["UPDATE"] === "1") writeFileSync(LOOKS, `${JSON.stringify(looks, null, 1)}\n`);
    const accepted = JSON.parse(readFileSync(LOOKS, "utf8")) as Record<string, string[]>;
    expect([...seen.keys()].sort()).toEqual(Object.keys(accepted).sort());
    const other = Object.entries(accepted).map(([key, look]) => {
      return [key, differenceOf(seen.get(key) ?? [], look)];
    });
    expect(other.filter(([, difference]) => difference !== null)).toEqual([]);
    // The measure tells pages and themes apart.
    const look = (key: string) => accepted[key] ?? [];
    for (const one of ["1280 px, dark: fleet", "1280 px, light: drain", "1280 px, light: log in"]) {
      expect(differenceOf(look("1280 px, light: fleet"), look(one))).not.toBeNull();
    }
  });
});
