/** Orders by the pages of the fleet, and what these pages say of them. */
import { afterEach, expect, test } from "bun:test";
import { ANY_ROW } from "../../../schema/audit.ts";
import { openWorldApp } from "../../../test/world/app.ts";
import { logIn } from "../../../test/world/browser.ts";
import { closeWorlds, fleet } from "../../../test/world/story.ts";

afterEach(closeWorlds);

async function open() {
  const world = await fleet(2);
  const a = openWorldApp(world);
  const [node = ""] = world.nodes().map(({ id }) => id);
  return { a, node, world, admin: await logIn(a.app, world) };
}

test("an order needs a reason, which is in the audit and on the next page", async () => {
  const { a, node, admin } = await open();
  for (const verb of ["cordon", "terminate"]) {
    const blank = await admin.act(`/fleet/node/${node}/${verb}`, { reason: " " });
    expect([blank.status, blank.text.includes("reason: say why")]).toEqual([400, true]);
  }
  expect((await a.call("GET", "/v1/commands")).body).toMatchObject({ commands: [] });
  const done = await admin.act(`/fleet/node/${node}/cordon`, { reason: "a <loud> fan" });
  expect(done.status).toBe(303);
  const rows = await a.admission.audit.read({ ...ANY_ROW, limit: 50 });
  expect(rows.map(({ verb, detail }) => `${verb} ${detail}`)).toContain(
    "cordon reason: a <loud> fan",
  );
  const { text } = await admin.get(`/fleet/node/${node}/drain`);
  expect(text).toMatch(/cordoned by [^<]*a &lt;loud&gt; fan/);
});

test("the fleet says since when a node is cordoned, not since when it serves", async () => {
  const { a, node, world, admin } = await open();
  await world.live(60);
  await admin.act(`/fleet/node/${node}/cordon`, { reason: "a fan" });
  const { body } = await a.call("GET", `/v1/nodes/${node}`);
  const at = `${body["cordons"]?.["human"]?.["at"]}`;
  expect(at).not.toBe(`${body["phase_since"]}`);
  await world.live(60);
  expect((await admin.get("/fleet")).text).toContain(`datetime="${at}"`);
});

test("a misspelt filter of the fleet is refused with the nearest name", async () => {
  const { admin } = await open();
  const wrong = await admin.get("/fleet?state=cordonned");
  expect([wrong.status, wrong.text.includes("cordoned&quot;?")]).toEqual([400, true]);
  expect((await admin.get("/fleet?health=fine")).status).toBe(400);
  for (const query of ["state=&health=", "state=cordoned&health=healthy"]) {
    expect([query, (await admin.get(`/fleet?${query}`)).status]).toEqual([query, 200]);
  }
});

test("without a cluster the deployment shows pipelines, and says why the rest is not there", async () => {
  const { admin } = await open();
  for (const path of ["/deployment", "/autoscaling"]) {
    const { status, text } = await admin.get(path);
    expect([path, status]).toEqual([path, 200]);
    expect(text).toContain("no Kubernetes cluster is attached");
  }
  expect((await admin.get("/deployment")).text).toContain("Pipelines");
});
