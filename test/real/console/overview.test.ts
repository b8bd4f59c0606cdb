/** Safety, Money, Events and Audit in a real browser: barriers, width, policy, the chart. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import type { Browser } from "playwright-core";
import { closeWorlds, fleet } from "../../world/story.ts";
import {
  findBarriers,
  findChromium,
  logIn,
  openChromium,
  openReader,
  overflowOf,
  servePlane,
  type Setting,
} from "./browser.ts";

const path = findChromium();
if (path === null) {
  const why = "SKIPPED: chromium is not here and cannot be installed: apt-get install chromium";
  if (process.env["CI"] === "true") throw new Error(why);
  console.error(why);
}

const PAGES = [
  ...["/safety", "/safety/freeze", "/money", "/events", "/events?kind=node.verified", "/audit"],
  ...["/docs", "/deployment", "/autoscaling"],
];
const SETTINGS: readonly [string, Setting][] = [
  ["wide", { width: 1_440 }],
  ["narrow and dark", { width: 375, dark: true }],
  ["without a script", { width: 1_440, script: false }],
];

describe.skipIf(path === null)("the overview pages in Chromium", () => {
  let browser: Browser;
  beforeAll(async () => {
    browser = await openChromium(path ?? "");
  }, 60_000);
  afterAll(async () => {
    await browser.close();
  });
  afterEach(closeWorlds);

  test.each(SETTINGS)(
    "C30: %s: nothing serious, nothing sideways",
    async (_name, setting) => {
      const world = await fleet(3);
      const plane = servePlane(world);
      await plane.call("PUT", "/v1/safety/freeze", { reason: '<b>drill</b> "1"\u202e' });
      const reader = await openReader(browser, plane.url, { ...setting, still: true });
      try {
        await logIn(reader, "root", "/safety");
        for (const at of PAGES) {
          await reader.page.goto(at);
          if (setting.script !== false) {
            expect([at, await findBarriers(reader)]).toEqual([at, []]);
            expect([at, await overflowOf(reader)]).toEqual([at, 0]);
          }
          const shown = await reader.page.locator("h1").innerText();
          expect([at, shown.length > 3]).toEqual([at, true]);
          const folder = process.env["NAVARCH_SHOTS"];
          if (folder === undefined) continue;
          const name = `${at.replaceAll(/\W+/g, "-")}-${_name.replaceAll(" ", "-")}.png`;
          await reader.page.screenshot({ path: `${folder}/${name}`, fullPage: true });
        }
        expect(reader.problems).toEqual([]);
      } finally {
        await reader.context.close();
        await plane.close();
      }
    },
    120_000,
  );

  test("C24: the chart is drawn by our own script, and its table has the same days", async () => {
    const plane = servePlane(await fleet(2));
    const reader = await openReader(browser, plane.url, { width: 1_440 });
    try {
      await logIn(reader, "root", "/money");
      await reader.page.goto("/money");
      await reader.page.locator(".chart canvas").waitFor({ timeout: 10_000 });
      expect(await reader.page.locator("#days-rows tr").count()).toBeGreaterThan(0);
      expect(reader.problems).toEqual([]);
    } finally {
      await reader.context.close();
      await plane.close();
    }
  }, 60_000);
});
