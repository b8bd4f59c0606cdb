import { describe, expect, test } from "bun:test";
import { healthyCheck, openFakeNvml } from "../../test/fixture/nvml/fake.ts";
import {
  HOUR_MS,
  answerOf,
  lookWith,
  formatConditions,
  remembering,
  roundAt,
} from "../../test/fixture/nvml/probe-round.ts";
import { normalizePci } from "../kernel/pci.ts";
import { countProbe } from "./count.ts";
import { EMPTY_MEMORY, type ProbeContext } from "./probe.ts";
import { runProbes } from "./run.ts";

const eight = healthyCheck(8);
const without = (index: number) => {
  const check = healthyCheck(8);
  return { ...check, count: 7, gpus: check.gpus.filter((gpu) => gpu.index !== index) };
};

describe("countProbe", () => {
  test("names the GPU that is no longer listed", () => {
    const out = countProbe.look(without(3), remembering(eight), roundAt(HOUR_MS));
    expect(formatConditions(out.conditions)).toEqual(["lost/count fatal 3"]);
    expect(out.conditions[0]).toMatchObject({
      gpu: { uuid: eight.gpus[3]?.uuid },
      metrics: { expected: 8, present: 7 },
    });
  });

  test("tells of the node what it cannot tell of a GPU that it never saw", () => {
    const ctx = roundAt(HOUR_MS, { promised: [{ gpus: 8, from: "option" }] });
    const out = countProbe.look(without(3), EMPTY_MEMORY, ctx);
    expect(formatConditions(out.conditions)).toEqual(["lost/count fatal node"]);
  });

  test("tells apart what is missing by name, on the bus, and unknown", () => {
    const check = healthyCheck(8);
    const gpus = check.gpus.filter((gpu) => gpu.index < 4);
    const pciOf = (at: number) => normalizePci(check.gpus[at]?.pciBusId ?? "") ?? "";
    const onBus = [4, 0, 1, 2, 3].map((at) => ({ pci: pciOf(at), driver: "nvidia" }));
    const bus = { kind: "read" as const, gpus: onBus };
    const promised = [{ gpus: 12, from: "pool" as const }];
    const out = countProbe.look(
      { ...check, count: 4, gpus },
      remembering(check),
      roundAt(0, { bus, promised }),
    );
    // Of 12 four are listed and one stands on the bus: three are known, four nobody ever saw.
    expect(formatConditions(out.conditions)).toEqual([
      "lost/count fatal 5",
      "lost/count fatal 6",
      "lost/count fatal 7",
      "lost/count fatal node",
    ]);
    const metrics = { expected: 12, present: 4, expected_from: "pool" };
    const uuid = check.gpus[5]?.uuid;
    const message = `GPU 5 (${uuid}) is gone: 4 of 12 GPUs listed`;
    expect(out.conditions[0]).toMatchObject({ message, metrics, level: 0 });
    expect(out.conditions[3]).toMatchObject({
      ...{ message: "4 GPUs present, 12 expected (pool)", metrics, level: 4 },
    });
    expect(out).toMatchObject({ outcome: "finding", message: "4 of 12 (pool)" });
  });

  test("finds none well only where none is expected", () => {
    const look = (change: Partial<ProbeContext>) => {
      const ctx = roundAt(HOUR_MS, change);
      const { conclusive, findings } = runProbes(answerOf(healthyCheck(0)), EMPTY_MEMORY, ctx);
      return [conclusive, findings.map(({ reason }) => reason)];
    };
    expect(look({})).toEqual([false, ["no_gpus"]]);
    expect(look({ bus: { kind: "unreadable", why: "no sysfs" } })).toEqual([false, ["no_gpus"]]);
    expect(look({ promised: [{ gpus: 0, from: "option" }] })).toEqual([true, []]);
    expect(look({ promised: [{ gpus: 0, from: "pool" }] })).toEqual([true, []]);
    expect(look({ promised: [{ gpus: 8, from: "pool" }] })).toEqual([true, ["count"]]);
    const given = { kind: "read", gpus: [{ pci: "0000:01:00.0", driver: "vfio-pci" }] } as const;
    expect(look({ bus: { ...given, gpus: [...given.gpus] } })).toEqual([true, []]);
    // In a pod the machine's number says nothing, and its template's does.
    const bus = { kind: "unreadable", why: "a pod", restricted: true } as const;
    expect(look({ bus, promised: [{ gpus: 0, from: "pool" }] })).toEqual([false, ["no_gpus"]]);
    expect(look({ bus, promised: [{ gpus: 0, from: "pool", isOwn: true }] })).toEqual([true, []]);
  });

  test("expects nothing where nothing is known", () => {
    const lost = countProbe.look(healthyCheck(2, { 1: { rc: 15 } }), EMPTY_MEMORY, roundAt(0));
    const uuid = eight.gpus[1]?.uuid;
    expect(lost.conditions).toMatchObject([
      {
        message: `GPU 1 (${uuid}) is lost: the driver no longer reaches it`,
        metrics: { expected: 1, present: 1, nvml_code: 15 },
      },
    ]);
  });

  test("does not count what the driver was told to leave out", () => {
    const ctx = roundAt(HOUR_MS, { promised: [{ gpus: 8, from: "option" }] });
    const out = countProbe.look({ ...without(3), excluded: 1 }, EMPTY_MEMORY, ctx);
    expect(out.conditions).toEqual([]);
  });

  test("finds a GPU that is listed and lost, and counts it once", () => {
    const out = lookWith(countProbe, { rc: 15 });
    expect(formatConditions(out.conditions)).toEqual(["lost/bus fatal 1"]);
  });

  test("counts GPUs that exist and may not be opened", () => {
    const check = { ...without(3), count: 8, denied: 1 };
    const out = countProbe.look(check, remembering(eight), roundAt(0));
    expect([out.message, out.conditions]).toEqual(["8 of 8 (baseline)", []]);
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
