import { describe, expect, test } from "bun:test";
import { roundAt } from "../../test/fixture/nvml/probe-round.ts";
import { judgeChange, makeFinding } from "./finding.ts";
import { type Condition, type Held, metricsOf, onGpu, onNode, formatKey } from "./probe.ts";

const PLACE = { index: 2, uuid: "GPU-2", pciBusId: "00000000:3B:00.0" };
const ctx = roundAt(0);
const cold = (change: Partial<Condition> = {}): Condition =>
  onGpu(PLACE, { kind: "ecc", reason: "dbe", severity: "warning", message: "m", ...change });
const KEY = "ecc/dbe/GPU-2";

describe("makeFinding()", () => {
  test("places a GPU's condition by number, UUID and address", () => {
    const metrics = { count: 3, set: true, name: "x" };
    expect(makeFinding(cold({ code: 79, metrics }), ctx)).toEqual({
      ...{ kind: "ecc", code: 79, reason: "dbe", severity: "warning", message: "m", metrics },
      ...{ pci: "0000:3b:00.0", gpu_index: 2, gpu_uuid: "GPU-2", mig: null, pid: null },
      ...{ process_name: null, at: "2027-01-15T08:00:00.000Z", boot_id: ctx.bootId },
      ...{ source: "probe", foreign: false, injected: false, kmsg_seq: null },
    });
  });

  test("has no place for the whole node, and names what made up GPUs", () => {
    const node = onNode({ kind: "driver", reason: "stuck", severity: "fatal", message: "m" });
    expect([node.level, onNode({ ...node, level: 3 }).level]).toEqual([0, 3]);
    const none = { pci: null, gpu_index: null, gpu_uuid: null };
    expect(makeFinding(node, ctx)).toMatchObject({ ...none, code: null, metrics: {} });
    expect(makeFinding(node, roundAt(0, { simulated: true })).source).toBe("sim");
  });

  test("cuts texts to what the contract takes, and no number", () => {
    const long = cold({ message: "é".repeat(2_000), metrics: { why: "w".repeat(999), n: 1e12 } });
    const { message, metrics } = makeFinding(long, ctx);
    expect([message, metrics]).toEqual(["é".repeat(1_024), { why: "w".repeat(256), n: 1e12 }]);
  });
});

describe("judgeChange()", () => {
  const change = (now: Condition[], before: Record<string, Held>, carried: string[] = []) => {
    const { findings, active, held } = judgeChange(now, before, carried, ctx);
    const told = findings.map(({ severity, message }) => `${severity} ${message}`);
    return { told, active, held };
  };

  test("tells what is new, the worst first, and holds it", () => {
    const others = ["info", "fatal", "serious"] as const;
    const now = others.map((severity) => cold({ reason: severity, severity, level: 4 }));
    expect(change([cold(), ...now], {})).toEqual({
      told: ["fatal m", "serious m", "warning m", "info m"],
      active: ["ecc/fatal/GPU-2", "ecc/serious/GPU-2", KEY, "ecc/info/GPU-2"],
      held: {
        "ecc/fatal/GPU-2": { severity: "fatal", level: 4 },
        "ecc/serious/GPU-2": { severity: "serious", level: 4 },
        [KEY]: { severity: "warning", level: 0 },
        "ecc/info/GPU-2": { severity: "info", level: 4 },
      },
    });
  });

  // Severity and level before, then now: whether it is told, and what is held on to.
  test.each([
    ["warning", 2, "warning", 2, false, "warning", 2],
    ["warning", 2, "warning", 3, true, "warning", 3],
    ["warning", 3, "warning", 2, false, "warning", 3],
    ["warning", 2, "serious", 2, true, "serious", 2],
    ["fatal", 2, "serious", 2, false, "fatal", 2],
    ["fatal", 2, "serious", 5, true, "fatal", 5],
    ["warning", 5, "fatal", 1, true, "fatal", 5],
  ] as const)("%s at %i, then %s at %i", (severity, level, now, then, isTold, held, highest) => {
    const found = change([cold({ severity: now, level: then })], { [KEY]: { severity, level } });
    expect(found).toEqual({
      ...{ told: isTold ? [`${now} m`] : [], active: [KEY] },
      held: { [KEY]: { severity: held, level: highest } },
    });
  });

  test("forgets what is over, and keeps what nobody could look at", () => {
    const past: Held = { severity: "fatal", level: 7 };
    const before = { [KEY]: past, "lost/bus/GPU-9": past };
    expect(change([], before)).toEqual({ told: [], active: [], held: {} });
    expect(change([], before, [KEY, "never/was/there"])).toEqual({
      ...{ told: [], active: [KEY], held: { [KEY]: past } },
    });
    // Carried and seen: told only if it got worse.
    expect(change([cold()], before, [KEY])).toEqual({
      ...{ told: [], active: [KEY], held: { [KEY]: past } },
    });
  });

  test("lists the worst first, also before what nobody could look at", () => {
    const before = { "lost/bus/GPU-9": { severity: "warning", level: 0 } } as const;
    const now = [cold({ severity: "serious" }), cold({ reason: "sbe", severity: "info" })];
    const { active } = change(now, before, Object.keys(before));
    expect(active).toEqual([KEY, "lost/bus/GPU-9", "ecc/sbe/GPU-2"]);
  });

  test("tells one key once, by the worst of it", () => {
    const twice = [cold({ message: "a" }), cold({ message: "b", severity: "fatal" })];
    expect(change(twice, {})).toMatchObject({ told: ["fatal b"], active: [KEY] });
  });

  test("sends the 256 worst keys, and holds all", () => {
    const many = Array.from({ length: 300 }, (_, at) =>
      cold({ reason: `r${at}`, severity: at === 299 ? "fatal" : "info" }),
    );
    const { active, held } = change(many, {});
    expect([active.length, active[0], active[255]]).toEqual([
      256,
      "ecc/r299/GPU-2",
      "ecc/r254/GPU-2",
    ]);
    expect(Object.keys(held)).toHaveLength(300);
  });
});

test("formatKey() names a condition by number or reason, and its GPU", () => {
  const keyOf = (place: Partial<typeof PLACE> | null, change: Partial<Condition> = {}) => {
    const gpu = place === null ? null : { ...PLACE, ...place };
    return formatKey({ kind: "xid", reason: "event", code: null, ...change, gpu } as Condition);
  };
  expect(keyOf({})).toBe("xid/event/GPU-2");
  expect(keyOf({}, { code: 79 })).toBe("xid/79/GPU-2");
  expect(keyOf({}, { code: 0 })).toBe("xid/0/GPU-2");
  expect(keyOf(null)).toBe("xid/event/node");
  expect(keyOf({ uuid: "unknown-2" })).toBe("xid/event/0000:3b:00.0");
  expect(keyOf({ uuid: null as never })).toBe("xid/event/0000:3b:00.0");
  expect(keyOf({ uuid: "unknown-2", pciBusId: "" })).toBe("xid/event/gpu-2");
  expect(keyOf({ uuid: "unknown-2", pciBusId: "", index: null as never })).toBe("xid/event/node");
  expect(keyOf({ uuid: "GPU-unknown-2" })).toBe("xid/event/GPU-unknown-2");
});

test("metricsOf() leaves out what is not known, and keeps zero and false", () => {
  expect(metricsOf({ a: 0, b: null, c: false, d: "" })).toEqual({ a: 0, c: false, d: "" });
});
