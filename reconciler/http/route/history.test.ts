import { afterEach, expect, test } from "bun:test";
import type { RecordedPage } from "../../../schema/past.ts";
import { openWorldApp } from "../../../test/world/app.ts";
import { closeWorlds, fleet, threshold } from "../../../test/world/story.ts";

afterEach(closeWorlds);

test("GET /findings gives the record in pages, with what is known of the nodes", async () => {
  const world = await fleet(2, threshold(3, ", auto_replace: false"));
  const app = openWorldApp(world);
  const [one = "", other = ""] = world.serving();
  for (const code of [13, 31, 43]) world.xid(one, code);
  await world.live(5);
  world.xid(other, 79);
  await world.live(5);
  const codes: number[] = [];
  for (let after = ""; ;) {
    const { text } = await app.call("GET", `/v1/findings?limit=3${after}`);
    const page = JSON.parse(text) as RecordedPage;
    for (const row of page.findings) {
      codes.push(row.finding.code ?? 0);
      const node = page.nodes[row.node_id];
      expect(node).toMatchObject({ pool: "p", threshold: 3, known: true });
    }
    if (page.findings.length === 0) break;
    after = `&after=${page.next}`;
  }
  expect(codes).toEqual([13, 31, 43, 79]);
  const late = await app.call("GET", "/v1/findings?since=2999-01-01T00:00:00Z");
  expect(JSON.stringify(late.body)).toBe('{"findings":[],"nodes":{},"next":null}');
});

test("GET /findings refuses what makes no sense, and those who may not look", async () => {
  const app = openWorldApp(await fleet(1));
  for (const query of ["since=soon", "after=x", "limit=0", "limit=1.5", "after=-1"]) {
    const answer = await app.call("GET", `/v1/findings?${query}`);
    expect([query, answer.status]).toEqual([query, 400]);
  }
  expect((await app.call("GET", "/v1/findings", undefined, null)).status).toBe(401);
});
