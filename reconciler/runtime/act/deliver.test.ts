import { afterEach, expect, test } from "bun:test";
import { createHmac } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { VirtualClock } from "../../../simulator/engine/clock.ts";
import { openLibsqlStore } from "../../store/libsql.ts";
import { emptyChange, type Store } from "../../core/store.ts";
import type { Webhook } from "../../server/notifier.ts";
import { expandEnv, Notifier } from "./deliver.ts";

type Got = {
  path: string;
  id: string | null;
  signature: string | null;
  header: string | null;
  body: string;
};
let folder = "";
let server: Bun.Server<undefined> | null = null;
afterEach(async () => {
  await server?.stop(true);
  server = null;
  rmSync(folder, { recursive: true, force: true });
});

async function open(
  answer: (n: number) => number,
  more: Partial<Webhook> & { secret?: string | null } = {},
): Promise<{
  store: Store;
  clock: VirtualClock;
  got: Got[];
  said: string[];
  notifier: Notifier;
}> {
  const said: string[] = [];
  const { secret = "key", ...own } = more;
  folder = mkdtempSync(join(tmpdir(), "navarch-hook-"));
  const got: Got[] = [];
  server = Bun.serve<undefined>({
    port: 0,
    async fetch(request) {
      const { headers } = request;
      got.push({
        path: new URL(request.url).pathname,
        id: headers.get("x-navarch-event-id"),
        signature: headers.get("x-navarch-signature"),
        header: headers.get("x-team"),
        body: await request.text(),
      });
      const where = { location: "/elsewhere" };
      return new Response("", { status: answer(got.length), headers: where });
    },
  });
  const base = `http://127.0.0.1:${server.port}`;
  const clock = new VirtualClock();
  const store = await openLibsqlStore({ url: `file:${join(folder, "n.db")}`, now: clock.wallMs() });
  const notifier = new Notifier({
    store,
    clock,
    log: (_level, message, fields) => said.push(`${message} ${JSON.stringify(fields)}`),
    secret,
    config: {
      type: "webhook",
      cordonUrl: `${base}/cordon`,
      uncordonUrl: null,
      drainUrl: `${base}/drain?token=hush`,
      drainStatusUrl: null,
      timeoutMs: 1_000,
      headers: { "X-Team": "gpu" },
      secretEnv: null,
      retry: { attempts: 3, initialMs: 1_000, maxMs: 60_000 },
      ...own,
    },
  });
  return { store, clock, got, said, notifier };
}
const row = (kind: string, node = "n1") => ({
  kind,
  node,
  body: JSON.stringify({ event: kind, node_id: node }),
  notBefore: 0,
});

test("a delivery carries its event id, the headers and a signature over the body", async () => {
  const { store, got, notifier } = await open(() => 204);
  await store.commit({ ...emptyChange(), deliveries: [row("cordon")] });
  await notifier.deliverDue();
  const [one] = got;
  expect(one).toMatchObject({ path: "/cordon", header: "gpu", id: "1" });
  expect(one?.signature).toBe(
    `sha256=${createHmac("sha256", "key")
      .update(one?.body ?? "")
      .digest("hex")}`,
  );
  await notifier.deliverDue();
  expect(got.length).toBe(1);
  await store.close();
});

test("what has piled up is read a hundred at a time, and delivered in one round", async () => {
  const { store, got, notifier } = await open(() => 204);
  const deliveries = Array.from({ length: 150 }, (_, i) => row("cordon", `n${i}`));
  await store.commit({ ...emptyChange(), deliveries });
  const read = store.deliveries.bind(store);
  const pages: number[] = [];
  store.deliveries = async (...asked) => {
    const page = await read(...asked);
    pages.push(page.length);
    return page;
  };
  await notifier.deliverDue();
  expect([pages, got.length]).toEqual([[100, 50, 0], 150]);
  await store.close();
});

test("a receiver that is down gets the same event again later, and later events of the node wait their turn", async () => {
  const { store, clock, got, notifier } = await open((n) => (n === 1 ? 500 : 200));
  await store.commit({
    ...emptyChange(),
    deliveries: [row("cordon"), row("drain"), row("cordon", "n2")],
  });
  await notifier.deliverDue();
  expect(got.map((g) => g.path + JSON.parse(g.body).node_id)).toEqual(["/cordonn1", "/cordonn2"]);
  await clock.pass(1_000);
  await notifier.deliverDue();
  expect(got.slice(2).map((g) => [g.path, g.id])).toEqual([
    ["/cordon", "1"],
    ["/drain", "2"],
  ]);
  await store.close();
});

test("after the configured tries a delivery is given up, so that it cannot block for ever", async () => {
  const { store, clock, got, notifier } = await open(() => 500);
  await store.commit({ ...emptyChange(), deliveries: [row("cordon")] });
  for (let i = 0; i < 6; i++) {
    await notifier.deliverDue();
    await clock.pass(60_000);
  }
  expect(got.length).toBe(3);
  expect(await store.deliveries(clock.wallMs(), 10)).toEqual([]);
  await store.close();
});

test("a receiver that points elsewhere is not followed, and its URL is not said", async () => {
  const { store, clock, got, said, notifier } = await open(() => 307);
  await store.commit({ ...emptyChange(), deliveries: [row("drain")] });
  for (let i = 0; i < 3; i++) {
    await notifier.deliverDue();
    await clock.pass(60_000);
  }
  expect(got.map((one) => one.path)).toEqual(["/drain", "/drain", "/drain"]);
  expect(said).toHaveLength(1);
  expect(said[0]).toContain("status 307");
  expect(said[0]).not.toContain("hush");
  await store.close();
});

test("expandEnv() fills names and tells the first that is not set", () => {
  expect(expandEnv("Bearer ${A}-${B}", { A: "1", B: "2" })).toEqual({
    ok: true,
    text: "Bearer 1-2",
  });
  expect(expandEnv("${A}${C}", { A: "1" })).toEqual({ ok: false, name: "C" });
});

test("an event that is sent nowhere any more is dropped, and holds nothing up", async () => {
  const { store, clock, got, notifier } = await open(() => 200);
  const deliveries = [row("uncordon"), row("cordon")];
  await store.commit({ ...emptyChange(), deliveries });
  await notifier.deliverDue();
  expect(got.map(({ path, id }) => [path, id])).toEqual([["/cordon", "2"]]);
  expect(await store.deliveries(clock.wallMs(), 10)).toEqual([]);
  await store.close();
});

test("without a secret nothing is signed", async () => {
  const { store, got, notifier } = await open(() => 200, { secret: null });
  await store.commit({ ...emptyChange(), deliveries: [row("cordon")] });
  await notifier.deliverDue();
  expect(got.map(({ signature }) => signature)).toEqual([null]);
  await store.close();
});

test("the rest after each try doubles", async () => {
  const { store, clock, got, notifier } = await open(() => 500, {
    retry: { attempts: 4, initialMs: 1_000, maxMs: 60_000 },
  });
  await store.commit({ ...emptyChange(), deliveries: [row("cordon")] });
  const tries: number[] = [];
  for (let at = 0; at <= 7_500; at += 500) {
    const before = got.length;
    await notifier.deliverDue();
    if (got.length > before) tries.push(at);
    await clock.pass(500);
  }
  expect(tries).toEqual([0, 1_000, 3_000, 7_000]);
  await store.close();
});

test("a receiver that is down is asked once a round, although no rest is configured", async () => {
  const { store, got, notifier } = await open(() => 500, {
    retry: { attempts: 3, initialMs: 0, maxMs: 0 },
  });
  const deliveries = [row("cordon"), row("drain"), row("cordon", "n2")];
  await store.commit({ ...emptyChange(), deliveries });
  const paths = () => got.splice(0).map(({ path, body }) => path + JSON.parse(body).node_id);
  await notifier.deliverDue();
  expect(paths()).toEqual(["/cordonn1", "/cordonn2"]);
  await notifier.deliverDue();
  expect(paths()).toEqual(["/cordonn1", "/cordonn2"]);
  // Given up, it makes way within the same round.
  await notifier.deliverDue();
  expect(paths()).toEqual(["/cordonn1", "/cordonn2", "/drainn1"]);
  await store.close();
});

test("reports a refused connection with its reason", async () => {
  const { store, said, notifier } = await open(() => 200, {
    cordonUrl: "http://127.0.0.1:1/",
    retry: { attempts: 1, initialMs: 1_000, maxMs: 60_000 },
  });
  await store.commit({ ...emptyChange(), deliveries: [row("cordon")] });
  await notifier.deliverDue();
  expect(said).toHaveLength(1);
  expect(said[0]).toStartWith('webhook given up {"kind":"cordon","node":"n1","problem":"');
  expect(said[0]).not.toContain('"problem":"Error');
  await store.close();
});

/** An outbox that says how often it was looked at. */
function watched(look: () => Promise<[]>) {
  const clock = new VirtualClock();
  const said: string[] = [];
  const notifier = new Notifier({
    store: { deliveries: look } as unknown as Store,
    clock,
    log: (level, message, fields) => said.push(`${level} ${message} ${JSON.stringify(fields)}`),
    secret: null,
    config: {} as Webhook,
  });
  return { clock, said, notifier };
}

test("the outbox is looked at each second, until the end", async () => {
  let looks = 0;
  const { clock, notifier, said } = watched(async () => (looks++, []));
  notifier.start();
  await clock.pass(999);
  expect(looks).toBe(0);
  await clock.pass(1);
  expect(looks).toBe(1);
  await clock.pass(1_000);
  expect(looks).toBe(2);
  notifier.stop();
  await clock.pass(10_000);
  expect(looks).toBe(2);
  expect(said).toEqual([]);
});

test("an outbox that cannot be read is said, and looked at again", async () => {
  let looks = 0;
  const { clock, notifier, said } = watched(() => Promise.reject(new Error(`down ${++looks}`)));
  notifier.start();
  await clock.pass(2_000);
  expect(said).toEqual([
    'warn the outbox cannot be read {"error":"Error: down 1"}',
    'warn the outbox cannot be read {"error":"Error: down 2"}',
  ]);
  notifier.stop();
});

test("a round that is under way at the end is the last one, and to end before the start is none", async () => {
  const { promise, resolve } = Promise.withResolvers<[]>();
  let looks = 0;
  const { clock, notifier } = watched(() => (looks++, promise));
  notifier.start();
  await clock.pass(1_000);
  notifier.stop();
  resolve([]);
  await clock.pass(5_000);
  expect([looks, clock.nextMs()]).toEqual([1, null]);
  expect(() => watched(async () => []).notifier.stop()).not.toThrow();
});
