/** The pages of the fleet over a control plane in virtual time, as a browser reads them. */
import { afterEach, expect, test } from "bun:test";
import { openWorldApp, type WorldApp } from "../../../test/world/app.ts";
import { type Browser, logIn } from "../../../test/world/browser.ts";
import { closeWorlds, fleet, threshold, WIDE_BUDGETS } from "../../../test/world/story.ts";
import type { World } from "../../../test/world/world.ts";

afterEach(closeWorlds);

type Opened = { w: World; a: WorldApp; b: Browser };

async function openFleet(size = 3, extra = threshold(1) + WIDE_BUDGETS): Promise<Opened> {
  const w = await fleet(size, extra);
  const a = openWorldApp(w);
  return { w, a, b: await logIn(a.app, w) };
}

/** What a person reads: text without tags, spaces as one. */
export function readable(page: string): string {
  return page
    .replace(/<(script|style)[^]*?<\/\1>/g, "")
    .replace(/<[^>]+>/g, " ")
    .replace(/&#39;/g, "'")
    .replace(/&amp;/g, "&")
    .replace(/\s+/g, " ");
}

const rowIds = (page: string, of: string): string[] =>
  [...page.matchAll(new RegExp(`<tr[^>]* id="${of}-([^"]+)"`, "g"))].map(([, id = ""]) => id);

test("C27: the fleet is one row a node, the sick one first, with its GPUs and its repair", async () => {
  const { w, b } = await openFleet();
  const before = await b.get("/fleet");
  expect(before.status).toBe(200);
  expect(rowIds(before.text, "node")).toHaveLength(3);
  expect(readable(before.text)).toContain("Nothing: the fleet repairs itself");
  const sick = w.serving().at(-1) ?? "";
  w.xid(sick, 79, 2);
  await w.report();
  await w.turn();
  const after = await b.get("/fleet");
  expect(rowIds(after.text, "node")[0]).toBe(sick);
  const row = new RegExp(`<tr[^>]* id="node-${sick}"[^]*?</tr`).exec(after.text)?.[0] ?? "";
  expect(readable(row)).toContain("in repair");
  expect(readable(row)).toContain("XID 79");
  expect(readable(row)).toContain("GPU 2 unhealthy");
});

test("C27: a node's page shows verdict, GPUs, timeline to the replacement, and orders", async () => {
  const { w, b } = await openFleet();
  const [sick = ""] = w.serving();
  w.xid(sick, 79);
  await w.report();
  await w.turn();
  const during = readable((await b.get(`/fleet/node/${sick}`)).text);
  expect(during).toContain("Repair under way");
  expect(during).toContain("replacement serves next");
  await w.until(() => w.node(sick).phase.kind === "gone" && w.serving().length === 3, 600);
  const page = (await b.get(`/fleet/node/${sick}`)).text;
  const text = readable(page);
  const steps = ["node cordoned", "drain started", "machine terminating", "machine terminated"];
  for (const step of [...steps, "machine bought", "node in service"]) expect(text).toContain(step);
  const next = w.nodes().find(({ replaces }) => replaces === sick)?.id ?? "";
  expect(page).toContain(`/fleet/node/${next}`);
});

test("C27: a viewer sees no order, an operator those that would be accepted", async () => {
  const { w, a, b } = await openFleet();
  const made = await a.call("POST", "/v1/tokens", { role: "viewer" });
  const viewer = await logIn(a.app, w, String(made.body["token"]));
  const [id = ""] = w.serving();
  const orders = async (browser: Browser): Promise<string[]> => {
    const { text } = await browser.get(`/fleet/node/${id}`);
    return [...text.matchAll(new RegExp(`/fleet/node/${id}/(\\w+)"`, "g"))].map(([, o = ""]) => o);
  };
  expect(await orders(viewer)).toEqual([]);
  expect(await orders(b)).toEqual(["cordon", "drain", "terminate", "replace"]);
  for (const order of await orders(b)) {
    expect((await viewer.get(`/fleet/node/${id}/${order}`)).status).toBe(403);
    expect((await b.get(`/fleet/node/${id}/${order}`)).status).toBe(200);
  }
  expect((await viewer.get("/fleet/pool/p")).text).not.toContain("/hold");
});

test("C27: a drain is confirmed with its consequence, and cancelled by a person's undo", async () => {
  const { w, a, b } = await openFleet();
  const [id = ""] = w.serving();
  w.agent(id).processes = 1;
  await w.report();
  const page = await b.get(`/fleet/node/${id}/drain`);
  expect(readable(page.text)).toContain(`drain ${id} (`);
  expect(readable(page.text)).toContain("until a person uncordons it");
  const key = /name="key" value="([^"]+)"/.exec(page.text)?.[1] ?? "";
  const drained = await b.act(`/fleet/node/${id}/drain`, { reason: "fan", timeout: "1h", key });
  expect([drained.status, drained.to]).toEqual([303, `/fleet/node/${id}`]);
  // The same form again, as a second click sends it.
  await b.act(`/fleet/node/${id}/drain`, { reason: "fan", timeout: "1h", key });
  expect(await a.ports.store.commands({ node: id, limit: 10 })).toHaveLength(1);
  await w.turn();
  expect(w.node(id).phase.kind).toBe("draining");
  const during = await b.get(`/fleet/node/${id}`);
  expect(readable(during.text)).toContain("Cancel drain");
  expect(readable(during.text)).toContain("stays out of service until a person uncordons it next");
  const cancelled = await b.act(`/fleet/node/${id}/uncordon`, { reason: "not needed" });
  expect([cancelled.status, cancelled.to]).toEqual([303, `/fleet/node/${id}`]);
  const told = readable((await b.get(`/fleet/node/${id}`)).text);
  expect(told).toContain(`Cancel drain of ${id} is accepted.`);
  await w.turn();
  expect(w.node(id)).toMatchObject({ phase: { kind: "serving" }, cordon: { human: null } });
});

test("C27: a pool is held and released, and an empty reason does nothing", async () => {
  const { w, b } = await openFleet();
  const held = await b.act("/fleet/pool/p/hold", { reason: "new driver", for: "1h" });
  expect([held.status, held.to]).toEqual([303, "/fleet/pool/p"]);
  const text = readable((await b.get("/fleet")).text);
  expect(text).toContain("held by admin until");
  const none = await b.act("/fleet/pool/p/hold", { reason: "" });
  expect([none.status, none.text.includes("Nothing was done")]).toEqual([400, true]);
  await b.act("/fleet/pool/p/release", { reason: "done" });
  expect(w.reconciler.fleet().pools.values().next().value?.hold).toBeNull();
});
