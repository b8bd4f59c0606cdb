import { describe, expect, test } from "bun:test";
import { findingOf, POLICY_NODE } from "../../test/world/part.ts";
import * as fc from "fast-check";
import * as v from "valibot";
import type { Finding } from "../../schema/finding.ts";
import { BootId } from "../../schema/id.ts";
import { compiledBuiltin } from "./builtin.ts";
import { groupIncidents, type JudgedFinding } from "./incident.ts";
import { judge } from "./judge.ts";

const T0 = Date.parse("2026-03-01T10:00:00Z");

function at(seconds: number, given: Partial<Finding>, boot = "b1"): JudgedFinding {
  const finding = findingOf({
    code: null,
    gpu_uuid: "GPU-0",
    at: new Date(T0 + seconds * 1_000).toISOString(),
    boot_id: v.parse(BootId, boot),
    severity: "warning",
    message: "m",
    ...given,
  });
  return { finding, judgement: judge(finding, compiledBuiltin, POLICY_NODE, []) };
}

const xid = (seconds: number, code: number, gpu = 0): JudgedFinding =>
  at(seconds, { code, gpu_index: gpu, gpu_uuid: `GPU-${gpu}` });
const verdict = (seconds: number, recovery_action: number, gpu = 0): JudgedFinding =>
  at(seconds, { code: 154, metrics: { recovery_action }, gpu_uuid: `GPU-${gpu}` });
const brief = (list: JudgedFinding[]) =>
  groupIncidents(list).map((i) => `${i.root.finding.code} ${i.action} ${i.gpus.length}`);

describe("groupIncidents()", () => {
  test("groupIncidents() makes one incident of one fault's lines, whatever their order", () => {
    const burst = [xid(0, 48), xid(0, 171), xid(1, 63), xid(1, 94), xid(2, 45), verdict(3, 4)];
    expect(brief(burst)).toEqual(["48 reset 1"]);
    expect(groupIncidents([...burst].reverse())).toEqual(groupIncidents(burst));
  });

  test("groupIncidents() cuts after three minutes of silence, and at a new boot", () => {
    expect(brief([xid(0, 13), xid(179, 13), xid(358, 13)])).toEqual(["13 app 1"]);
    expect(brief([xid(0, 13), xid(180, 13)])).toEqual(["13 app 1", "13 app 1"]);
    expect(brief([xid(0, 13), at(1, { code: 13 }, "b2")])).toEqual(["13 app 1", "13 app 1"]);
  });

  test("groupIncidents() gives one action to a reboot verdict on all GPUs", () => {
    const all = [0, 1, 2, 3, 4, 5, 6, 7].map((gpu) => verdict(gpu, 2, gpu));
    expect(brief([...all, xid(0, 31)])).toEqual(["31 reboot 8"]);
  });

  test("groupIncidents() joins both ends of a link, and not unrelated GPUs", () => {
    expect(brief([xid(0, 149, 0), xid(5, 145, 1), xid(6, 13, 2)])).toEqual([
      "149 none 2",
      "13 app 1",
    ]);
  });

  test("groupIncidents() reboots for a lost GPU although the driver says reset", () => {
    expect(brief([xid(0, 79), verdict(1, 1)])).toEqual(["79 reboot 1"]);
  });

  test("groupIncidents() lets the newest verdict outrank the catalogue", () => {
    expect(brief([xid(0, 48), verdict(1, 2)])).toEqual(["48 reboot 1"]);
    expect(brief([xid(0, 48), verdict(1, 1), verdict(60, 0)])).toEqual(["48 none 1"]);
  });

  test("groupIncidents() leaves foreign findings out", () => {
    expect(groupIncidents([at(0, { code: 79, foreign: true })])).toEqual([]);
  });

  test("groupIncidents() puts every finding into exactly one incident, in any order", () => {
    const some = fc.record({
      seconds: fc.integer({ min: 0, max: 2_000 }),
      code: fc.constantFrom(13, 31, 45, 48, 63, 74, 79, 149, 9_999),
      gpu: fc.integer({ min: 0, max: 3 }),
    });
    fc.assert(
      fc.property(fc.array(some, { maxLength: 25 }), (given) => {
        const list = given.map((g) => xid(g.seconds, g.code, g.gpu));
        const groups = groupIncidents(list);
        expect(groups.flatMap((g) => g.findings).length).toBe(list.length);
        expect(new Set(groups.map((g) => g.key)).size).toBe(groups.length);
        const shape = (list: JudgedFinding[]) =>
          groupIncidents(list).map((i) => [i.key, i.gpus, i.action, i.result, i.root.finding.code]);
        expect(shape([...list].reverse())).toEqual(shape(list));
      }),
      { numRuns: 200 },
    );
  });
});
