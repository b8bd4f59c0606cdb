import { afterAll, expect, test } from "bun:test";
import type { QuarantineView } from "../../schema/quarantine.ts";
import { json, navarch } from "./spawn.ts";
import { openStub, TOKEN } from "./stub.ts";

const stub = openStub();
const env = { NAVARCH_SERVER: stub.url, NAVARCH_AUTH_TOKEN: TOKEN };
afterAll(() => stub.close());

const event: QuarantineView = {
  id: 7,
  source: "event",
  key: "41",
  node_id: null,
  pool: null,
  at: "2026-11-22T03:00:00.000Z",
  reason: "seq: beyond 2^53 - 1",
  bytes: 120,
};
const node: QuarantineView = { ...event, id: 8, source: "node", key: "gpu-2", node_id: "gpu-2" };

test("navarch doctor store says when every row can be read", async () => {
  stub.aside = [];
  const { code, out } = await navarch(["doctor", "store"], env);
  expect({ code, out: out.trim() }).toEqual({ code: 0, out: "Every stored row can be read." });
});

test("navarch doctor store only warns of a row on which nothing depends", async () => {
  stub.aside = [event];
  const { code, out } = await navarch(["doctor", "store"], env);
  expect(code).toBe(0);
  expect(out).toMatch(/warn +event 41 +set aside 2026-11-22T03:00:00.000Z as row 7: seq: beyond/);
  expect(out).toContain("GET /v1/store/quarantine?text=true (admin)");
});

test("navarch doctor store fails for a node's row, and says what is a person's to do", async () => {
  stub.aside = [event, node];
  const { code, out } = await navarch(["doctor", "store"], env);
  expect(code).toBe(1);
  expect(out).toMatch(/fail +node gpu-2 .* → see `navarch explain`: a held node is yours/);
  const names = await navarch(["doctor", "store", "-o", "name"], env);
  expect(names.out.trim().split("\n")).toEqual(["event 41", "node gpu-2"]);
  const data = await navarch(["doctor", "store", "-o", "json"], env);
  expect(json(data.out)).toEqual([event, node]);
});
