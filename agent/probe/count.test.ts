import { describe, expect, test } from "bun:test";
import { healthyCheck, openFakeNvml } from "../nvml/fake.ts";
import {
  HOUR_MS,
  lookWith,
  printConditions,
  remembering,
  roundAt,
} from "../../test/fixture/nvml/probe-round.ts";
import { countProbe } from "./count.ts";
import { EMPTY_MEMORY } from "./probe.ts";

const eight = healthyCheck(8);
const without = (index: number) => {
  const check = healthyCheck(8);
  return { ...check, count: 7, gpus: check.gpus.filter((gpu) => gpu.index !== index) };
};

describe("countProbe", () => {
  test("names the GPU that is no longer listed", () => {
    const out = countProbe.look(without(3), remembering(eight), roundAt(HOUR_MS));
    expect(printConditions(out.conditions)).toEqual(["lost/count fatal 3"]);
    expect(out.conditions[0]).toMatchObject({
      gpu: { uuid: eight.gpus[3]?.uuid },
      metrics: { expected: 8, present: 7 },
    });
  });

  test("tells of the node what it cannot tell of a GPU that it never saw", () => {
    const ctx = roundAt(HOUR_MS, { promised: [{ gpus: 8, from: "option" }] });
    const out = countProbe.look(without(3), EMPTY_MEMORY, ctx);
    expect(printConditions(out.conditions)).toEqual(["lost/count fatal node"]);
  });

  test("does not count what the driver was told to leave out", () => {
    const ctx = roundAt(HOUR_MS, { promised: [{ gpus: 8, from: "option" }] });
    const out = countProbe.look({ ...without(3), excluded: 1 }, EMPTY_MEMORY, ctx);
    expect(out.conditions).toEqual([]);
  });

  test("finds a GPU that is listed and lost, and counts it once", () => {
    const out = lookWith(countProbe, { rc: 15 });
    expect(printConditions(out.conditions)).toEqual(["lost/bus fatal 1"]);
  });

  test("counts GPUs that exist and may not be opened, and says that they are not checked", () => {
    const check = { ...without(3), count: 8, denied: 1 };
    const out = countProbe.look(check, remembering(eight), roundAt(0));
    expect(printConditions(out.conditions)).toEqual(["driver/permission warning node"]);
    expect(out.message).toBe("8 of 8 (baseline)");
  });

  test("leaves a GPU that cannot be opened to its own finding, and does not count it", () => {
    const out = lookWith(countProbe, { rc: 999, openCode: 3 });
    expect(out).toMatchObject({ conditions: [], message: "1 of 2 (baseline)" });
  });

  test("takes an exchanged GPU for no loss", () => {
    const exchanged = healthyCheck(8, { 3: { uuid: "GPU-new" } });
    expect(countProbe.look(exchanged, remembering(eight), roundAt(0)).conditions).toEqual([]);
  });

  test("says how many there are", async () => {
    const answer = await openFakeNvml(eight).check(1);
    if (answer.kind !== "ok") throw new Error(answer.kind);
    const out = countProbe.look(answer.value, EMPTY_MEMORY, roundAt(0));
    expect(out).toMatchObject({ outcome: "ok", message: "8 of ?" });
  });
});
