import { expect, test } from "bun:test";
import fc from "fast-check";
import { VirtualClock } from "../../../simulator/engine/clock.ts";
import { inTime, pause } from "./time-limit.ts";

const ms = fc.integer({ min: 0, max: 1_000 });

test("inTime() has the answer of what ends in time, a rejection too, and else the other one", async () => {
  await fc.assert(
    fc.asyncProperty(ms, ms, fc.boolean(), async (limitMs, tookMs, fails) => {
      const clock = new VirtualClock();
      const work = async (): Promise<string> => {
        await pause(clock, tookMs);
        if (fails) throw new Error("planted");
        return "answer";
      };
      let lates = 0;
      const ended = inTime(clock, limitMs, work, () => {
        lates += 1;
        return "late";
      }).catch((error: Error) => error.message);
      await clock.pass(2_000);
      const isLate = tookMs >= limitMs;
      expect(await ended).toBe(isLate ? "late" : fails ? "planted" : "answer");
      // The limit of work that ended in time rings no more.
      expect(lates).toBe(isLate ? 1 : 0);
    }),
  );
});

test("inTime() gives up its limit where the work does not even begin", async () => {
  const clock = new VirtualClock();
  let lates = 0;
  const broken = (): Promise<never> => {
    throw new Error("not begun");
  };
  const ended = inTime(clock, 10, broken, () => (lates += 1));
  expect(await ended.catch((error: Error) => error.message)).toBe("not begun");
  await clock.pass(100);
  expect(lates).toBe(0);
});
