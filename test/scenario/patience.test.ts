/**
 * A cloud that asks to be left alone is left alone, for as long as a stored rest can say; and a
 * rest that another clock has left behind keeps no pool from buying.
 */
import { waitMs } from "../../schema/millis.ts";
import { afterEach, expect, test } from "bun:test";
import type { CreateAnswer, TerminateAnswer } from "../../reconciler/core/provider.ts";
import { counts, closeWorlds, fleet, resize } from "../world/story.ts";

afterEach(closeWorlds);

const DAY_MS = 86_400_000;
const slow = (retryAfterMs: number) =>
  ({
    kind: "refused",
    class: "rate_limit",
    message: "slow down",
    retryAfterMs: waitMs(retryAfterMs),
  }) as const;

test("an ask that is told to wait for an hour is not repeated each second", async () => {
  const w = await fleet(1, "", { store: "memory" });
  let calls = 0;
  w.cloud.create = (): Promise<CreateAnswer> => Promise.resolve((calls++, slow(3_600_000)));
  await resize(w, 2);
  await w.live(300);
  expect(calls).toBe(1);
});

test("an end that is told to wait for a day is not asked for each second", async () => {
  const w = await fleet(2, "", { store: "memory" });
  let calls = 0;
  w.cloud.terminate = (): Promise<TerminateAnswer> => {
    calls++;
    return Promise.resolve({ ...slow(DAY_MS), class: "bad_request" });
  };
  await resize(w, 1);
  await w.live(300);
  expect(calls).toBe(1);
});

test("a place that backs off until next month, by a clock that was set back, is tried", async () => {
  const w = await fleet(1, "", { store: "memory" });
  const notBefore = w.clock.wallMs() + 30 * DAY_MS;
  const rest = { failures: 1, notBefore, class: "capacity", message: "none left" };
  await w.reconciler.change((draft) => {
    const at = w.clock.wallMs();
    draft.putFact({ kind: "rest", scope: "fake///h100-8x", ...rest, at, isOpen: false });
  });
  await resize(w, 2);
  await w.until(() => w.serving().length === 2, 60);
  expect(counts(w).asks).toBe(2);
});
