/** Streams of pages: what is sent to whom, how often pages are made, and when streams end. */
import { afterEach, expect, test } from "bun:test";
import { html } from "hono/html";
import { openWorldApp } from "../../../test/world/app.ts";
import { logIn } from "../../../test/world/browser.ts";
import { closeWorlds, fleet } from "../../../test/world/story.ts";
import type { Page } from "../page/page.ts";
import { openApp } from "./app.ts";
import { Live } from "./live.ts";
import { LiveStream } from "./live-stream.ts";

afterEach(closeWorlds);

/** A reader without a page yet. */
const READER = { have: "", at: 0, owner: "o", shown: "s", isAllowed: () => true };

type Told = { name: string; id: string | null; data: Record<string, unknown> };

/** What has arrived on a stream so far. */
function readInto(body: ReadableStream | null): { told: Told[]; isOver(): boolean; leave(): void } {
  const told: Told[] = [];
  let over = false;
  const reader = (body as ReadableStream<Uint8Array>).getReader();
  const decoder = new TextDecoder();
  let text = "";
  void (async () => {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      text += decoder.decode(value, { stream: true });
      const whole = text.split("\n\n");
      text = whole.pop() ?? "";
      for (const one of whole) {
        const [, id = null] = /^id: (.*)$/m.exec(one) ?? [];
        const [, name = ""] = /^event: (.*)$/m.exec(one) ?? [];
        const [, data = "{}"] = /^data: (.*)$/m.exec(one) ?? [];
        told.push({ name, id, data: JSON.parse(data) as Told["data"] });
      }
    }
    over = true;
  })();
  return { told, isOver: () => over, leave: () => void reader.cancel() };
}

async function open() {
  const world = await fleet(1);
  const a = openWorldApp(world);
  const state = { word: "one", made: 0, cost: 0 };
  const live = new Live(a.ports);
  const pageOf = (): Page => {
    state.made++;
    const body = html`<p>${state.word}</p>`;
    const block = { id: "a", heading: "A", kind: "text", body } as const;
    return { title: "T", nav: "/fleet", blocks: [block] };
  };
  const app = openApp(a.ports, {
    live,
    pages: [
      { path: "/fleet/word", role: "viewer", build: pageOf },
      { path: "/fleet/still", role: "viewer", live: false, build: pageOf },
      { path: "/fleet/high", role: "admin", build: pageOf },
    ],
  });
  const watch = async (cookie: string, path: string, have = "", more = {}) => {
    const headers = { Cookie: cookie, ...more };
    const query = `path=${encodeURIComponent(path)}&have=${have}`;
    const answer = await app.request(`/live?${query}`, { headers }, { remote: "10.0.0.1" });
    return answer;
  };
  const cookieOf = async (token = "root"): Promise<string> => {
    const { cookies } = await logIn(app, world, token);
    return [...cookies].map(([name, value]) => `${name}=${value}`).join("; ");
  };
  const tick = async (times = 1): Promise<void> => {
    for (let i = 0; i < times; i++) {
      await world.clock.pass(2_000);
      await Bun.sleep(5);
    }
  };
  return { world, a, app, state, live, watch, cookieOf, tick, pageOf };
}

test("C24: streams of one page share one page a tick, and hear only of changes", async () => {
  const { state, watch, cookieOf, tick } = await open();
  const cookie = await cookieOf();
  const streams = [];
  for (let i = 0; i < 5; i++) {
    const answer = await watch(cookie, "/fleet/word");
    expect(answer.headers.get("Content-Type")).toBe("text/event-stream");
    streams.push(readInto(answer.body));
  }
  await Bun.sleep(5);
  expect(state.made).toBe(1);
  await tick();
  expect(state.made).toBe(2);
  state.word = "two";
  await tick();
  expect(state.made).toBe(3);
  for (const { told } of streams) {
    expect(told.map(({ name }) => name)).toEqual(["page", "beat", "patch"]);
    expect(JSON.stringify(told[2]?.data)).toContain("<p>two</p>");
    expect(told[2]?.id).toBe(`${told[2]?.data["version"]}`);
  }
  const version = `${streams[0]?.told[2]?.id}`;
  const again = readInto(
    (await watch(cookie, "/fleet/word", "", { "Last-Event-ID": version })).body,
  );
  await Bun.sleep(5);
  expect(again.told.map(({ name }) => name)).toEqual(["beat"]);
  for (const { leave } of [...streams, again]) leave();
  await tick(2);
  const { made } = state;
  await tick(3);
  expect(state.made).toBe(made);
});

test("C24: a reader whose page is newer than the stream's is not shown the older one", async () => {
  const { app, state, watch, cookieOf } = await open();
  const cookie = await cookieOf();
  const first = readInto((await watch(cookie, "/fleet/word")).body);
  await Bun.sleep(5);
  state.word = "two";
  const headers = { Cookie: cookie };
  const page = await (await app.request("/fleet/word", { headers }, { remote: "10.0.0.1" })).text();
  const [, have = "", at = ""] = /data-version="([^"]+)" data-now="([^"]+)"/.exec(page) ?? [];
  expect(page).toContain("<p>two</p>");
  const next = readInto((await watch(cookie, "/fleet/word", `${have}&at=${at}`)).body);
  await Bun.sleep(5);
  expect(next.told.map(({ name }) => name)).toEqual(["beat"]);
  expect(first.told.map(({ name }) => name)).toEqual(["page", "beat", "patch"]);
  // Who has an older page shares the one that was made.
  const { made } = state;
  for (let i = 0; i < 20; i++) {
    const late = readInto((await watch(cookie, "/fleet/word", `old&at=${Number(at) - 1}`)).body);
    await Bun.sleep(1);
    expect(late.told.map(({ name }) => name)).toEqual(["page", "beat"]);
    expect(JSON.stringify(late.told[0]?.data)).toContain("<p>two</p>");
  }
  expect(state.made - made).toBeLessThanOrEqual(1);
});

test("C24: a stream says each 15 s that the page is current", async () => {
  const { watch, cookieOf, tick } = await open();
  const { told } = readInto((await watch(await cookieOf(), "/fleet/word")).body);
  await tick(16);
  const beats = told.filter(({ name }) => name === "beat").length;
  expect(beats).toBeGreaterThanOrEqual(3);
  expect(beats).toBeLessThanOrEqual(5);
});

test("C31: a stream needs the role of its page, and ends with its credential", async () => {
  const { a, watch, cookieOf, tick, live } = await open();
  const { body } = await a.call("POST", "/v1/tokens", { role: "viewer", label: "v" });
  const viewer = await cookieOf(`${body["token"]}`);
  expect((await watch(viewer, "/fleet/high")).status).toBe(403);
  expect((await watch("", "/fleet/word")).status).toBe(303);
  for (const path of ["/fleet/none", "/fleet/still", "/v1/nodes", ""]) {
    expect([path, (await watch(viewer, path)).status]).toEqual([path, 404]);
  }
  const stream = readInto((await watch(viewer, "/fleet/word")).body);
  await tick();
  await a.call("DELETE", `/v1/tokens/${body["id"]}`);
  await tick();
  expect(stream.told.at(-1)).toMatchObject({ name: "bye", data: { reload: true } });
  expect([stream.isOver(), live.streams]).toEqual([true, 0]);
});

test("C24: streams end when another control plane leads", async () => {
  const { watch, cookieOf, live } = await open();
  const cookie = await cookieOf();
  const stream = readInto((await watch(cookie, "/fleet/word")).body);
  live.end();
  await Bun.sleep(5);
  expect([stream.told.at(-1)?.name, stream.isOver()]).toEqual(["bye", true]);
  expect((await watch(cookie, "/fleet/word")).status).toBe(503);
});

test("C24: a page that fails ends its streams, and no others", async () => {
  const { state, watch, cookieOf, tick, a, live, pageOf } = await open();
  const cookie = await cookieOf();
  const good = readInto((await watch(cookie, "/fleet/word")).body);
  let bad = false;
  const build = (): Page => {
    if (bad) throw new Error("no");
    return pageOf();
  };
  const failing = readInto(await live.open({ ...READER, key: "k", build }));
  expect(a.ports.log).toBeFunction();
  await tick();
  bad = true;
  await tick();
  expect([failing.isOver(), good.isOver()]).toEqual([true, false]);
  state.word = "later";
  await tick();
  expect(good.told.at(-1)?.name).toBe("patch");
});

/** Live pages in a time that passes only as a test says, of which each takes 20 ms to make. */
async function openTimed() {
  const { a, pageOf, world } = await open();
  const state = { now: 0 };
  const clock = { ...world.clock, wallMs: () => state.now, monoMs: () => state.now };
  const timers: (() => void)[] = [];
  const after = (_ms: number, work: () => void) => {
    timers.push(work);
    return () => void timers.splice(timers.indexOf(work), 1);
  };
  const live = new Live({ clock: { ...clock, after }, log: a.ports.log });
  const made = new Map<string, number>();
  const build = (key: string) => (): Page => {
    state.now += 20;
    made.set(key, (made.get(key) ?? 0) + 1);
    return pageOf();
  };
  const openOne = (key: string, owner = "o") =>
    live.open({ ...READER, key, owner, build: build(key) });
  const tick = async (): Promise<void> => {
    state.now += 2_000;
    timers.shift()?.();
    for (let turn = 0; turn < 400 && timers.length === 0; turn++) await Bun.sleep(0);
  };
  return { live, made, openOne, tick, state, pageOf, timers };
}

test("C24: the number of streams is bounded, and so is the work of a tick", async () => {
  const { made, openOne, tick } = await openTimed();
  for (let i = 0; i < 500; i++) readInto(await openOne(`g${i}`, `o${i % 5}`));
  expect(await openOne("one more page", "o9")).toBeNull();
  for (let i = 0; i < 1_500; i++) expect(await openOne("g0", `o${i % 10}`)).not.toBeNull();
  expect(await openOne("g0", "o9")).toBeNull();
  made.clear();
  for (let i = 0; i < 200; i++) await tick();
  const counts = [...made.values()];
  expect(made.size).toBe(500);
  expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1);
  expect(counts.reduce((sum, one) => sum + one, 0)).toBeLessThanOrEqual(200 * 4);
}, 60_000);

test("C24: one credential takes a quarter of the streams and a fifth of the pages", async () => {
  const { openOne } = await openTimed();
  for (let i = 0; i < 100; i++) expect(await openOne(`g${i}`)).not.toBeNull();
  expect(await openOne("one more page")).toBeNull();
  expect(await openOne("one more page", "another")).not.toBeNull();
  for (let i = 0; i < 400; i++) expect(await openOne("g0")).not.toBeNull();
  expect([await openOne("g0"), await openOne("g0", "another")]).toEqual([null, expect.anything()]);
});

test("C24: streams that wait for their page count", async () => {
  const { live } = await openTimed();
  const build = () => new Promise<Page>(() => undefined);
  for (let i = 0; i < 500; i++) void live.open({ ...READER, key: "slow", build });
  expect(live.streams).toBe(500);
  expect(await live.open({ ...READER, key: "slow", build })).toBeNull();
});

test("C24: readers that show the same are asked about once a tick", async () => {
  const { live, tick, pageOf } = await openTimed();
  let asked = 0;
  const isAllowed = () => ++asked > 0;
  for (let i = 0; i < 200; i++) {
    const shown = i < 150 ? "one" : "other";
    await live.open({ ...READER, key: `k${i % 3}`, shown, build: pageOf, isAllowed });
  }
  await tick();
  expect([asked, live.streams]).toEqual([2, 200]);
});

test("C24: a slow page stops no other, and is not called current", async () => {
  const { live, tick, pageOf, state, timers } = await openTimed();
  const good = readInto(await live.open({ ...READER, key: "good", build: pageOf }));
  let isSlow = false;
  const build = () => (isSlow ? new Promise<Page>(() => undefined) : pageOf());
  const slow = readInto(await live.open({ ...READER, key: "slow", build }));
  isSlow = true;
  const beats = (stream: typeof good): number =>
    stream.told.filter(({ name }) => name === "beat").length;
  for (let i = 0; i < 40; i++) {
    await tick();
    // The timer that bounds a tick, while a page is late.
    state.now += 50;
    if (timers.length > 1) timers.shift()?.();
    await Bun.sleep(1);
  }
  expect(beats(good)).toBeGreaterThanOrEqual(5);
  expect(beats(slow)).toBeLessThanOrEqual(2);
  expect([good.isOver(), slow.isOver()]).toEqual([false, false]);
});

test("C24: a stream that nothing reads is dropped at the second beat", async () => {
  const { live, openOne, tick } = await openTimed();
  const read = readInto(await openOne("g0"));
  expect(await openOne("g0")).not.toBeNull();
  expect(live.streams).toBe(2);
  for (let i = 0; i < 20; i++) await tick();
  expect([live.streams, read.isOver()]).toEqual([1, false]);
});

test("C24: a stream ends whose page was being made when another one began to lead", async () => {
  const { live, pageOf } = await openTimed();
  const page = Promise.withResolvers<Page>();
  const opening = live.open({ ...READER, key: "k", build: () => page.promise });
  live.end();
  page.resolve(pageOf());
  const stream = readInto(await opening);
  await Bun.sleep(5);
  expect([stream.told.at(-1)?.name, stream.isOver()]).toEqual(["bye", true]);
});

test("C24: a HEAD opens no stream", async () => {
  const { app, cookieOf, live } = await open();
  const headers = { Cookie: await cookieOf() };
  const answer = await app.request("/live?path=/fleet/word", { method: "HEAD", headers });
  expect([answer.status, live.streams]).toEqual([200, 0]);
});

test("C32: a stream of an internal page ends when its network is internal no more", async () => {
  const { world, app, cookieOf, tick } = await open();
  const headers = { Cookie: await cookieOf() };
  const answer = await app.request("/live?path=/audit", { headers }, { remote: "10.0.0.1" });
  const stream = readInto(answer.body);
  await tick();
  expect(stream.isOver()).toBe(false);
  world.reconciler.activeConfig().server.console.networks = [];
  await tick();
  expect([stream.told.at(-1)?.name, stream.isOver()]).toEqual(["bye", true]);
});

test("C24: a reader that takes nothing is dropped at a bound, and costs no more than that", () => {
  const stream = new LiveStream();
  const chunk = new Uint8Array(100_000);
  expect([stream.send(chunk), stream.send(chunk), stream.send(chunk)]).toEqual([true, true, false]);
  expect(stream.isOpen).toBe(false);
  const large = new LiveStream();
  expect(large.send(new Uint8Array(1_000_000))).toBe(true);
  expect(large.send(chunk)).toBe(false);
});

test("C24: a reader that stops reading is dropped, over a real socket", async () => {
  const streams: LiveStream[] = [];
  const server = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    fetch() {
      const stream = new LiveStream();
      streams.push(stream);
      return new Response(stream.body(), { headers: { "Content-Type": "text/event-stream" } });
    },
  });
  const socket = await Bun.connect({
    hostname: "127.0.0.1",
    port: server.port ?? 0,
    socket: { data: (own) => void own.pause() },
  });
  try {
    socket.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    for (let i = 0; i < 100 && streams.length === 0; i++) await Bun.sleep(10);
    const chunk = new Uint8Array(64 * 1_024);
    let sent = 0;
    // The buffers of both sockets take some megabytes first.
    while (sent < 1_000 && streams[0]?.send(chunk) === true) {
      sent++;
      await Bun.sleep(1);
    }
    expect(sent).toBeLessThan(1_000);
    expect(streams[0]?.isOpen).toBe(false);
  } finally {
    socket.terminate();
    await server.stop(true);
  }
}, 20_000);
