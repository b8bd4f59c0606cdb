/**
 * Holds live streams of one page open, each of a session of its own, and says what they received.
 * Takes its orders line by line from standard input. Adapter: network, files.
 */
import * as v from "valibot";
import { type ReaderLine, ReaderAsk, ReaderOrder, type Received } from "./order.ts";
import { Stream } from "./stream.ts";

/** Log-ins and streams that begin at once. */
const AT_ONCE = 16;

const order = v.parse(ReaderOrder, await Bun.file(process.argv[2] ?? "").json());

function say(line: ReaderLine): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

/** Does `work` for each, a few at a time, in their order. */
async function each<T, R>(list: readonly T[], work: (one: T) => Promise<R>): Promise<R[]> {
  const done: R[] = [];
  const left = list.entries();
  const lane = async (): Promise<void> => {
    for (const [at, one] of left) done[at] = await work(one);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, lane));
  return done;
}

/** The cookie of a new session. */
async function logIn(token: string): Promise<string> {
  const headers = { "Content-Type": "application/x-www-form-urlencoded" };
  const body = `${new URLSearchParams({ token })}`;
  const init = { method: "POST", headers, body, redirect: "manual" } as const;
  const answer = await fetch(`${order.url}/login`, init);
  const [cookie = ""] = answer.headers.getSetCookie()[0]?.split(";") ?? [];
  if (answer.status === 303 && cookie !== "") return cookie;
  throw new Error(`log-in answered ${answer.status}`);
}

/** The address of the stream that a browser opens after it has read the page. */
async function streamOf(cookie: string): Promise<URL> {
  const answer = await fetch(`${order.url}${order.path}`, { headers: { Cookie: cookie } });
  const text = await answer.text();
  const [, live = "", version = ""] = /data-live="([^"]+)" data-version="([^"]+)"/.exec(text) ?? [];
  if (live === "") throw new Error(`${order.path} is no live page: ${answer.status}`);
  return new URL(`${live.replaceAll("&amp;", "&")}&have=${version}`, order.url);
}

function receivedOf(streams: readonly Stream[]): Received {
  const events: Record<string, number> = {};
  for (const stream of streams) {
    for (const [name, times] of stream.events) events[name] = (events[name] ?? 0) + times;
  }
  const open = streams.filter(({ isOpen }) => isOpen).length;
  return {
    open,
    ended: streams.length - open,
    bytes: streams.reduce((sum, { bytes }) => sum + bytes, 0),
    leastBytes: Math.min(...streams.map(({ bytes }) => bytes)),
    leastEvents: Math.min(...streams.map(({ count }) => count)),
    events,
  };
}

const tokens = Array.from({ length: order.streams }, (_, at) => {
  return order.tokens[at % order.tokens.length] ?? "";
});
const cookies = await each(tokens, logIn);
let streams: Stream[] = [];

async function obey(ask: ReaderAsk): Promise<ReaderLine> {
  switch (ask) {
    case "open": {
      const startMs = performance.now();
      const url = await streamOf(cookies[0] ?? "");
      streams = cookies.map(() => new Stream());
      const pairs = streams.map((stream, at) => [stream, cookies[at] ?? ""] as const);
      await each(pairs, ([stream, cookie]) => stream.open(url, cookie));
      const firstEventMs = streams.flatMap(({ firstMs }) => firstMs ?? []);
      return { kind: "opened", ms: performance.now() - startMs, firstEventMs };
    }
    case "begin":
      for (const stream of streams) stream.begin();
      return { kind: "begun" };
    case "end":
      return { kind: "ended", received: receivedOf(streams) };
    case "close":
      for (const stream of streams) stream.close();
      streams = [];
      return { kind: "closed" };
  }
}

say({ kind: "ready" });
for await (const line of console) say(await obey(v.parse(ReaderAsk, line)));
