/** The console in a real browser: log-in, keyboard, no script, narrow, dark, live, hostile text. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { html } from "hono/html";
import type { Browser } from "playwright-core";
import type { AnyPage } from "../../../reconciler/http/route/page.ts";
import { closeWorlds, fleet } from "../../world/story.ts";
import {
  findBarriers,
  findChromium,
  logIn,
  openChromium,
  openReader,
  overflowOf,
  type Plane,
  type Reader,
  servePlane,
  type Setting,
} from "./browser.ts";

const path = findChromium();
if (path === null) {
  const why = "SKIPPED: chromium is not here and cannot be installed: apt-get install chromium";
  if (process.env["CI"] === "true") throw new Error(why);
  console.error(why);
}

const HOSTILE = '<img src=x onerror="document.title=1">"\'</td>\u202egnp.exe\u0007\u0000end';

type Shared = { rows: { id: string; text: string }[]; word: string };

const samplePages = (shared: Shared): readonly AnyPage[] => [
  {
    path: "/safety/sample",
    role: "viewer",
    label: "Sample",
    build: () => ({
      title: `Sample ${HOSTILE}`,
      nav: "/safety/sample",
      blocks: [
        {
          id: "words",
          heading: HOSTILE,
          kind: "text",
          body: html`<p id="word">${shared.word}</p>`,
        },
        {
          id: "list",
          heading: "List",
          kind: "table",
          above: html`<form class="line" method="get"><label>Filter <input name="q"></label>
            <button>Apply</button></form>`,
          columns: [{ name: "Name" }, { name: "Text" }],
          rows: shared.rows.map(({ id, text }) => {
            const name = html`<a href="/safety/sample?id=${id}">${id}</a>`;
            const more = html`<details><summary>More</summary>${text}</details>`;
            return { id: `row-${id}`, cells: [name, more] };
          }),
          empty: "There are no rows.",
          below: null,
        },
      ],
    }),
  },
  {
    path: "/safety/sample/act",
    role: "operator",
    confirm: () => ({
      title: "Act",
      nav: "/safety/sample",
      body: html`<p>${HOSTILE} is acted upon.</p>`,
      fields: html`<label>Reason <input name="reason" required></label>`,
      button: "Act",
      back: "/safety/sample",
    }),
    run: async (_asked, form) => {
      return { notice: `Done because ${form.get("reason") ?? ""}`, to: "/safety/sample" };
    },
  },
];

const rowsOf = (...ids: string[]): Shared["rows"] => ids.map((id) => ({ id, text: HOSTILE }));

describe.skipIf(path === null)("in Chromium", () => {
  let browser: Browser;
  const planes: Plane[] = [];
  const readers: Reader[] = [];
  beforeAll(async () => {
    browser = await openChromium(path ?? "");
  });
  afterAll(() => browser.close());
  afterEach(async () => {
    for (const { context } of readers.splice(0)) await context.close();
    for (const plane of planes.splice(0)) await plane.close();
    await closeWorlds();
  });

  async function open(setting: Setting = {}) {
    const shared: Shared = { rows: rowsOf("a", "b", "c"), word: HOSTILE };
    const plane = servePlane(await fleet(2), samplePages(shared));
    planes.push(plane);
    const reader = await openReader(browser, plane.url, setting);
    readers.push(reader);
    return { shared, plane, reader, page: reader.page };
  }

  const PAGE = "/safety/sample";

  test("C31: a person logs in, acts, and logs out", async () => {
    const { reader, page } = await open();
    await page.goto(PAGE);
    expect(new URL(page.url()).pathname).toBe("/login");
    await page.fill('input[name="token"]', "wrong");
    await page.click("button");
    expect(await page.textContent('[role="alert"]')).toContain("Not logged in: token rejected");
    reader.problems.length = 0;
    await page.fill('input[name="token"]', "root");
    await page.click("button");
    await page.waitForURL(`**${PAGE}`);
    expect(await page.evaluate("document.cookie")).toBe("");
    await page.goto("/safety/sample/act");
    await page.fill('input[name="reason"]', "cable");
    await page.click("button.main");
    expect(await page.textContent(".notice")).toBe("Done because cable");
    await page.click("text=Log out");
    await page.goto(PAGE);
    expect(new URL(page.url()).pathname).toBe("/login");
    expect(reader.problems).toEqual([]);
  }, 60_000);

  test("C24: hostile text is text, in every place, and nothing violates the policy", async () => {
    const { reader, page } = await open();
    await logIn(reader, "root", PAGE);
    expect(await page.$$("#main img")).toEqual([]);
    expect(await page.title()).toStartWith("Sample <img");
    const shown = (await page.textContent("#word")) ?? "";
    expect(shown).toBe(
      '<img src=x onerror="document.title=1">"\'</td>\\u202egnp.exe\\u0007\\u0000end',
    );
    expect(await page.textContent("body")).not.toMatch(/[\u202e\u0000\u0007]/);
    expect(reader.problems).toEqual([]);
  }, 60_000);

  test("C24: without JavaScript pages are whole, and forms act", async () => {
    const { reader, page } = await open({ script: false });
    await logIn(reader, "root", PAGE);
    expect(await page.locator("tbody tr").count()).toBe(3);
    expect(await page.locator("#live").isVisible()).toBe(false);
    await page.goto("/safety/sample/act");
    await page.fill('input[name="reason"]', "r");
    await page.click("button.main");
    expect(await page.textContent(".notice")).toBe("Done because r");
    await page.goto("/fleet");
    expect(await page.textContent("h1")).toBe("Fleet");
  }, 60_000);

  for (const dark of [false, true]) {
    const theme = dark ? "dark" : "light";
    test(`C30: axe finds nothing serious, ${theme}, wide and at 375 px`, async () => {
      for (const width of [1280, 375]) {
        const { reader, page } = await open({ dark, width });
        await page.goto("/login");
        expect([width, "/login", await findBarriers(reader)]).toEqual([width, "/login", []]);
        await logIn(reader);
        for (const at of [PAGE, "/safety/sample/act", "/fleet", "/fleet/none"]) {
          await page.goto(at);
          expect([width, at, await findBarriers(reader)]).toEqual([width, at, []]);
          expect([width, at, await overflowOf(reader)]).toEqual([width, at, 0]);
        }
      }
    }, 120_000);
  }

  test("C30: at 375 px a row is a card whose values have their columns' names", async () => {
    const { reader, page } = await open({ width: 375 });
    await logIn(reader, "root", PAGE);
    const style = "getComputedStyle(document.querySelector('#row-a td')";
    expect(await page.evaluate(`${style}, '::before').content`)).toBe('"Text"');
    expect(await page.evaluate(`${style}).display`)).toBe("grid");
    expect(await page.getByRole("row").count()).toBe(4);
  }, 60_000);

  test("C30: by keyboard alone: skip link, visible focus, an entry, a form", async () => {
    const { page } = await open();
    await page.goto(PAGE);
    await page.keyboard.type("root");
    await page.keyboard.press("Enter");
    await page.waitForURL(`**${PAGE}`);
    await page.keyboard.press("Tab");
    const focused = () => page.evaluate("document.activeElement.textContent");
    expect(await focused()).toBe("Skip to the content");
    const outline = "getComputedStyle(document.activeElement).outlineStyle";
    expect(await page.evaluate(outline)).toBe("solid");
    await page.keyboard.press("Enter");
    await page.keyboard.press("Tab");
    expect(await page.evaluate("document.activeElement.name")).toBe("q");
    await page.keyboard.type("x");
    await page.keyboard.press("Enter");
    await page.waitForURL("**q=x*");
  }, 60_000);

  test("C24: rows change in place, and focus, scroll and open details stay", async () => {
    const { reader, page, plane, shared } = await open();
    await logIn(reader, "root", PAGE);
    await page.click("#row-b summary");
    await page.fill('input[name="q"]', "typed");
    await page.focus("#row-b a");
    await page.evaluate("document.getElementById('row-b').mine = true");
    await settle(plane);
    shared.word = "second";
    shared.rows = [...rowsOf("z", "b"), { id: "n", text: "new" }];
    await settle(plane);
    await page.waitForFunction("document.getElementById('word').textContent === 'second'");
    const ids = "[...document.querySelectorAll('#list-rows > tr')].map((one) => one.id).join()";
    expect(await page.evaluate(ids)).toBe("row-z,row-b,row-n");
    expect(await page.evaluate("document.getElementById('row-b').mine")).toBe(true);
    expect(await page.evaluate("document.activeElement.textContent")).toBe("b");
    expect(await page.evaluate("document.querySelector('#row-b details').open")).toBe(true);
    expect(await page.inputValue('input[name="q"]')).toBe("typed");
    shared.rows = [];
    await settle(plane);
    await page.waitForSelector(".empty");
    shared.rows = rowsOf("k");
    await settle(plane);
    await page.waitForSelector("#row-k");
    expect(reader.problems).toEqual([]);
  }, 60_000);

  test("C24: the page says when it is not connected, and is current again after", async () => {
    const { reader, page, plane, shared } = await open();
    await logIn(reader, "root", PAGE);
    await settle(plane);
    await reader.context.setOffline(true);
    plane.front.end();
    await page.waitForSelector("#live:not([hidden])", { timeout: 30_000 });
    expect(await page.textContent("#live")).toContain("Not connected for");
    shared.word = "after";
    await reader.context.setOffline(false);
    // The role of this process has ended: pages are refused, and the warning stays.
    expect(await page.locator("#live").isVisible()).toBe(true);
  }, 60_000);

  test("C31: a page that is open ends with the session's token", async () => {
    const { reader, page, plane } = await open();
    const { body } = await plane.call("POST", "/v1/tokens", { role: "viewer", label: "v" });
    await logIn(reader, `${body["token"]}`, PAGE);
    await settle(plane);
    await plane.call("DELETE", `/v1/tokens/${body["id"]}`);
    await settle(plane);
    await page.waitForURL("**/login?next=**");
  }, 60_000);

  /** Lets two ticks of the stream pass, once it is open. */
  async function settle(plane: Plane): Promise<void> {
    for (let i = 0; i < 100 && plane.front.live.streams === 0; i++) await Bun.sleep(20);
    for (let i = 0; i < 2; i++) {
      await plane.world.clock.pass(2_000);
      await Bun.sleep(20);
    }
  }
});
