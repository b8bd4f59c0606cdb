import { expect, test } from "bun:test";
import type { InstanceId } from "../../schema/id.ts";
import { aroundProvider } from "./around.ts";
import { openMemoryCloud } from "./fake/memory.ts";

test("aroundProvider() keeps every method and value, and is given every call", async () => {
  const cloud = openMemoryCloud({
    clock: { wallMs: () => 0, after: () => undefined },
    random: () => 0.5,
    fleetId: "f",
    terms: { pricePerHour: 31 },
  });
  const ops: string[] = [];
  const around = aroundProvider(cloud, ({ op }, call) => {
    ops.push(op);
    return call();
  });
  expect(around).toMatchObject({
    name: cloud.name,
    type: cloud.type,
    class: cloud.class,
    settleMs: cloud.settleMs,
    bringsAgent: true,
    canReboot: true,
  });
  expect(around.trouble()).toBeNull();
  const fence = { nodeId: "n", fence: 1, sessionId: null };
  const id = "none" as InstanceId;
  expect(await around.reboot(id, fence)).toEqual({ kind: "not_found" });
  expect(await around.terminate(id, fence)).toEqual({ kind: "not_found" });
  expect(await around.list()).toEqual({ kind: "ok", instances: [] });
  expect(await around.offers([])).toEqual({ kind: "ok", offers: [] });
  expect(await around.hostKeys(id)).toEqual({ kind: "unsupported" });
  expect(await around.quota([])).toEqual({ kind: "unsupported" });
  expect(await around.inspect([])).toEqual([]);
  expect(ops).toEqual(["reboot", "terminate", "list", "offers", "host_keys", "quota"]);
});
