import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { fleetState, readState } from "./state.ts";

const read = (...words: string[]): string => {
  const state = readState(words);
  return state === null ? "-" : [state.base, ...state.flags].join("+");
};

describe("readState", () => {
  test.each([
    ["scontrol", ["IDLE+DRAIN"], "IDLE+DRAIN"],
    ["scontrol, a suffix inside", ["DOWN*+DRAIN"], "DOWN+NOT_RESPONDING+DRAIN"],
    ["scontrol, a suffix behind", ["ALLOCATED+DRAIN*"], "ALLOCATED+DRAIN+NOT_RESPONDING"],
    ["scontrol, a flag with a second name", ["IDLE+MAINT"], "IDLE+MAINTENANCE"],
    ["cloud", ["MIXED+CLOUD+POWERED_DOWN"], "MIXED+CLOUD+POWERED_DOWN"],
    ["v0.0.38", ["idle", "DRAIN", "CLOUD"], "IDLE+DRAIN+CLOUD"],
    ["v0.0.42", ["DRAIN", "ALLOCATED"], "ALLOCATED+DRAIN"],
    ["v0.0.38, down", ["down", "NOT_RESPONDING"], "DOWN+NOT_RESPONDING"],
    ["sinfo", ["drained*"], "IDLE+DRAIN+NOT_RESPONDING"],
    ["sinfo, short", ["drng"], "ALLOCATED+DRAIN"],
    ["sinfo, planned", ["mix-"], "MIXED+PLANNED"],
    ["sinfo, powered down", ["idle~"], "IDLE+POWERED_DOWN"],
    ["sinfo, powering up", ["alloc#"], "ALLOCATED+POWERING_UP"],
    ["sinfo, powering down", ["idle%"], "IDLE+POWERING_DOWN"],
    ["sinfo, to be powered down", ["mix!"], "MIXED+POWER_DOWN"],
    ["sinfo, maintenance", ["down$"], "DOWN+MAINTENANCE"],
    ["sinfo, reboot", ["idle@"], "IDLE+REBOOT_REQUESTED"],
    ["sinfo, reboot issued", ["down^"], "DOWN+REBOOT_ISSUED"],
    ["sinfo, invalid", ["inval"], "IDLE+INVALID_REG"],
    ["fail is a flag", ["IDLE+FAIL"], "IDLE+FAIL"],
    ["a word of no release", ["IDLE+SHINY"], "IDLE+SHINY"],
    ["only such words", ["shiny"], "UNKNOWN+SHINY"],
    ["nothing", ["", " + "], "-"],
  ])("%s", (_, words, expected) => {
    expect(read(...words)).toBe(expected);
  });

  test("reads its own words the same again", () => {
    const word = fc.constantFrom(
      ...["IDLE", "MIXED", "DOWN", "DRAIN", "CLOUD", "FAIL", "MAINT", "drained", "x", "idle*"],
    );
    fc.assert(
      fc.property(fc.array(word, { maxLength: 5 }), (words) => {
        const once = readState(words);
        if (once === null) return;
        expect(readState([once.base, ...once.flags])).toEqual(once);
      }),
    );
  });
});

test.each([
  ["IDLE", "free"],
  ["IDLE+CLOUD", "free"],
  ["IDLE+DYNAMIC_NORM", "free"],
  ["ALLOCATED", "busy"],
  ["MIXED+PLANNED", "busy"],
  ["IDLE+COMPLETING", "busy"],
  ["ALLOCATED+DRAIN", "draining"],
  ["MIXED+DRAIN", "draining"],
  ["IDLE+DRAIN+COMPLETING", "draining"],
  ["DOWN+DRAIN+COMPLETING", "draining"],
  ["ALLOCATED+FAIL", "draining"],
  ["MIXED+INVALID_REG", "draining"],
  ["DOWN+COMPLETING", "draining"],
  ["IDLE+DRAIN", "drained"],
  ["DOWN+DRAIN", "drained"],
  ["IDLE+DRAIN+POWERED_DOWN", "drained"],
  ["DOWN", "down"],
  ["DOWN+POWERED_DOWN", "down"],
  ["IDLE+FAIL", "down"],
  ["IDLE+INVALID_REG", "down"],
  ["ERROR", "down"],
  ["IDLE+CLOUD+POWERED_DOWN", "scaling"],
  ["MIXED+CLOUD+POWERING_UP", "scaling"],
  ["IDLE+POWERING_DOWN", "scaling"],
  ["IDLE+POWER_DOWN", "scaling"],
  ["IDLE+MAINTENANCE", "kept"],
  ["IDLE+PLANNED", "kept"],
  ["IDLE+REBOOT_REQUESTED", "kept"],
  ["IDLE+RESERVED", "kept"],
  ["UNKNOWN", "unknown"],
  ["FUTURE", "unknown"],
  ["UNKNOWN+DRAIN", "unknown"],
  ["IDLE+DRAIN+SHINY", "unknown"],
  ["SHINY", "unknown"],
])("S31: %s means %s", (text, expected) => {
  const state = readState([text]);
  expect(state).not.toBeNull();
  if (state === null) return;
  expect(fleetState(state)).toEqual({ state: expected as never, isUnreachable: false });
  const silent = { ...state, flags: [...state.flags, "NOT_RESPONDING"] };
  expect(fleetState(silent)).toEqual({ state: expected as never, isUnreachable: true });
});
