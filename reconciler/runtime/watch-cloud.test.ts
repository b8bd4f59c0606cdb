import { expect, test } from "bun:test";
import { VirtualClock } from "../../simulator/engine/clock.ts";
import type { ListAnswer, Provider } from "../core/provider.ts";
import { CloudWatch } from "./watch-cloud.ts";

/** Listings begun within a minute, while a change is in flight. */
async function listings(type: Provider["type"], tookMs: number): Promise<number> {
  const clock = new VirtualClock();
  let begun = 0;
  const list = (): Promise<ListAnswer> => {
    begun += 1;
    const { promise, resolve } = Promise.withResolvers<ListAnswer>();
    clock.after(tookMs, () => resolve({ kind: "ok", instances: [] }));
    return promise;
  };
  const provider = { name: "p", type, list } as unknown as Provider;
  const watch = new CloudWatch([provider], clock, () => undefined);
  for (let ms = 0; ms < 60_000; ms += 50) {
    watch.look(new Set(["p"]));
    await clock.pass(50);
  }
  return begun;
}

test("CloudWatch lists a cluster's virtual machines each second, and large ones less often", async () => {
  expect(await listings("aws", 100)).toBe(6);
  expect(await listings("kwok", 50)).toBeGreaterThan(50);
  // A tenth of the time, however long a listing takes.
  expect(await listings("kwok", 2_000)).toBe(3);
});
