import { afterEach, expect, test } from "bun:test";
import { createHmac } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { VirtualClock } from "../../simulator/clock.ts";
import { openLibsqlStore } from "../store/libsql.ts";
import { emptyChange, type Store } from "../store/store.ts";
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

async function open(answer: (n: number) => number): Promise<{
  store: Store;
  clock: VirtualClock;
  got: Got[];
  said: string[];
  notifier: Notifier;
}> {
  const said: string[] = [];
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
    secret: "key",
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
