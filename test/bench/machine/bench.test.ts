/** The bench of bare machines runs tiny, so that it cannot rot: no budgets, seconds. */
import { beforeAll, describe, expect, test } from "bun:test";
import { buildStale } from "../../fixture/plane/plane.ts";
import { missesBed } from "../../real/machine/gate.ts";
import { runMachines } from "./run.ts";

const isMissing = await missesBed("the bench of bare machines");

describe.skipIf(isMissing)("the bench of bare machines", () => {
  beforeAll(() => buildStale(), 300_000);

  test("runs tiny", async () => {
    const outcome = await runMachines({ samples: 2, machines: 2, rounds: 2 }, () => undefined);
    expect(outcome.broken).toEqual([]);
    expect(outcome.figures.filter(({ measured }) => !Number.isFinite(measured))).toEqual([]);
    const failed = outcome.figures.find(({ name }) => name.endsWith("that failed"));
    expect(failed?.measured).toBe(0);
  }, 120_000);
});
