import { describe, expect, test } from "bun:test";
import { lookWith, formatConditions } from "../../test/fixture/nvml/probe-round.ts";
import { temperatureProbe } from "./temperature.ts";

const look = (change: Parameters<typeof lookWith>[1]) => lookWith(temperatureProbe, change);

describe("temperatureProbe", () => {
  test("says nothing of a GPU one degree below its own slowdown limit", () => {
    const out = look({ temperatureCelsius: 89, slowdownCelsius: 90 });
    expect(out).toMatchObject({ conditions: [], outcome: "ok", message: null });
  });

  test.each([
    [90, 90, 95, "thermal/slowdown warning 1"],
    [94, 90, 95, "thermal/slowdown warning 1"],
    [95, 90, 95, "thermal/shutdown serious 1"],
    // The device's own limits outrank the fixed ones, in both directions.
    [104, 105, 110, null],
    [80, 78, 83, "thermal/slowdown warning 1"],
    // Without limits of its own: 85 and 95.
    [84, null, null, null],
    [85, null, null, "thermal/slowdown warning 1"],
    [95, null, null, "thermal/shutdown serious 1"],
  ])("at %p °C with limits %p and %p", (temperature, slowdown, shutdown, said) => {
    const out = look({
      temperatureCelsius: temperature,
      slowdownCelsius: slowdown,
      shutdownCelsius: shutdown,
    });
    expect(formatConditions(out.conditions)).toEqual(said === null ? [] : [said]);
  });

  test("tells of hot memory beside a cool core", () => {
    const out = look({ memoryTemperatureCelsius: 97, memoryMaxCelsius: 95 });
    expect(formatConditions(out.conditions)).toEqual(["thermal/memory warning 1"]);
    expect(out.conditions[0]?.metrics).toMatchObject({
      temperature: 42,
      memory_temperature: 97,
      memory_limit: 95,
      slowdown_limit: 90,
      shutdown_limit: 95,
    });
  });

  test("takes memory at its limit for too hot, below it not, and none without a limit", () => {
    const at = (memoryTemperatureCelsius: number, memoryMaxCelsius: number | null) =>
      look({ memoryTemperatureCelsius, memoryMaxCelsius }).conditions.map(({ level }) => level);
    expect([at(94, 95), at(95, 95), at(100, 95), at(200, null)]).toEqual([[], [0], [1], []]);
  });

  test("gets worse in steps of five degrees", () => {
    const level = (celsius: number) =>
      look({ temperatureCelsius: celsius, slowdownCelsius: 80, shutdownCelsius: 110 }).conditions[0]
        ?.level;
    expect([80, 84, 85, 99].map(level)).toEqual([0, 0, 1, 3]);
  });

  test("names the GPU that it could not read and still judges the others", () => {
    const out = look({ temperatureCelsius: null });
    expect(out).toMatchObject({ outcome: "ok", message: "not read on GPU 1" });
    expect(out.blind).toHaveLength(1);
  });
});
