import { expect, test } from "bun:test";
import { VirtualClock } from "../../../simulator/engine/clock.ts";
import { MemoryClient, MemoryDatabase } from "../../../simulator/engine/sql.ts";
import { Authority, nodeToken } from "../auth.ts";
import { openLibsqlStore } from "../../store/libsql.ts";
import { actOfCall as actOf } from "../../http/route/table.ts";
import { openAdmission } from "./admission.ts";

test("openAdmission() rotates credentials daily", async () => {
  const period = 86_400_000;
  const database = MemoryDatabase.empty();
  const clients = { writer: new MemoryClient(database), reader: new MemoryClient(database) };
  const store = await openLibsqlStore({ url: "memory:", now: 1, clients });
  const clock = new VirtualClock();
  const given = { admins: [], shared: [], credentials: [], anonymous: false };
  const authority = new Authority({ secret: "s", ...given });
  const admission = openAdmission({ store, authority, clock, log: () => undefined, actOf });
  const node = "n-1" as never;
  const principal = { role: "node", name: "n", node, shared: false, rotation: 0 } as const;
  await clock.pass(period / 1_000);
  expect(await admission.keys.heard(principal)).toBeNull();
  await clock.pass(period);
  expect(await admission.keys.heard(principal)).toBe(nodeToken("s", node, 1));
  expect(await admission.joins.list()).toEqual([]);
});
