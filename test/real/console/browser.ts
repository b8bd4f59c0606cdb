/**
 * Debian's Chromium, driven by playwright-core, before a control plane on a test clock. Installs
 * the browser itself where it may. It reaches no other host.
 *
 * Adapter: processes, network, the environment.
 */
import axe from "axe-core";
import { type Browser, type BrowserContext, chromium, type Page } from "playwright-core";
import { Front, listen } from "../../../reconciler/http/route/listen.ts";
import type { AnyPage } from "../../../reconciler/http/route/page.ts";
import { openWorldApp, type WorldApp } from "../../world/app.ts";
import type { World } from "../../world/world.ts";

const PACKAGES = ["chromium", "fonts-dejavu-core"];

/** The browser's path; `null` if it is not here and cannot be installed. */
export function findChromium(): string | null {
  const find = (): string | null => process.env["CHROMIUM"] ?? Bun.which("chromium");
  const found = find();
  if (found !== null || process.getuid?.() !== 0 || Bun.which("apt-get") === null) return found;
  const install = ["apt-get", "install", "-y", "--no-install-recommends", ...PACKAGES];
  for (const command of [install, ["apt-get", "update"], install]) {
    Bun.spawnSync(command, { stdout: "ignore", stderr: "inherit" });
    if (find() !== null) break;
  }
  return find();
}

const ARGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--disable-dev-shm-usage",
  // Any other host is an error that the page would tell.
  "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
];

export function openChromium(path: string): Promise<Browser> {
  return chromium.launch({ executablePath: path, headless: true, args: ARGS });
}

export type Plane = WorldApp & { world: World; url: string; front: Front; close(): Promise<void> };

/** A control plane of `world` behind a real socket. */
export function servePlane(world: World, pages: readonly AnyPage[] = []): Plane {
  const a = openWorldApp(world);
  const front = new Front(a.ports, null, { pages });
  const server = listen(() => front, world.config, { host: "127.0.0.1", port: 0 }, null);
  const close = async (): Promise<void> => {
    front.end();
    await server.stop(true);
  };
  return { ...a, world, url: `http://127.0.0.1:${server.port}`, front, close };
}

export type Reader = {
  page: Page;
  context: BrowserContext;
  /** What went wrong in the page: errors, violations of its policy, requests to other hosts. */
  problems: string[];
};

export type Setting = {
  width?: number;
  dark?: boolean;
  script?: boolean;
  still?: boolean;
};

/** A reader with a window of its own. */
export async function openReader(
  browser: Browser,
  url: string,
  { width = 1280, dark = false, script = true, still = false }: Setting = {},
): Promise<Reader> {
  const context = await browser.newContext({
    baseURL: url,
    viewport: { width, height: 900 },
    colorScheme: dark ? "dark" : "light",
    javaScriptEnabled: script,
    reducedMotion: still ? "reduce" : "no-preference",
  });
  const problems: string[] = [];
  const page = await context.newPage();
  page.on("console", (message) => {
    if (message.type() === "error") problems.push(message.text());
  });
  page.on("pageerror", (error) => problems.push(String(error)));
  page.on("request", (request) => {
    if (!request.url().startsWith(url)) problems.push(`request to ${request.url()}`);
  });
  return { page, context, problems };
}

/** Logs in as a person does. */
export async function logIn({ page }: Reader, token = "root", next = "/"): Promise<void> {
  await page.goto(`/login?next=${encodeURIComponent(next)}`);
  await page.fill('input[name="token"]', token);
  await page.click("button");
  await page.waitForURL((url) => url.pathname !== "/login");
}

/** Problems of accessibility that axe-core calls serious or worse: rule, then elements. */
export async function findBarriers({ page }: Reader): Promise<string[]> {
  await page.evaluate(axe.source);
  return page.evaluate(async () => {
    type Found = { id: string; impact: string; nodes: { html: string; failureSummary: string }[] };
    type Axe = { run(): Promise<{ violations: Found[] }> };
    const { violations } = await (globalThis as unknown as { axe: Axe }).axe.run();
    return violations
      .filter(({ impact }) => impact === "serious" || impact === "critical")
      .map(({ id, nodes }) => `${id}: ${nodes.map((one) => one.html).join(" | ")}`);
  });
}

/** How far the page is wider than its window, in pixels: 0 if nothing scrolls sideways. */
export function overflowOf({ page }: Reader): Promise<number> {
  return page.evaluate(() => {
    const { document } = globalThis as unknown as {
      document: { documentElement: { scrollWidth: number; clientWidth: number } };
    };
    const { scrollWidth, clientWidth } = document.documentElement;
    return scrollWidth - clientWidth;
  });
}
