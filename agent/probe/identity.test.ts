import { describe, expect, test } from "bun:test";
import { healthyCheck } from "../../test/fixture/nvml/fake.ts";
import { healthyGpu } from "../nvml/healthy.ts";
import type { NvmlGpuCheck } from "../port/reading.ts";
import { remembering } from "../../test/fixture/nvml/probe-round.ts";
import {
  nameUnknown,
  makeCheckSamples,
  makeIdentities,
  makeSamples,
  rememberGpu,
} from "./identity.ts";
import { EMPTY_MEMORY } from "./probe.ts";

const MUTE = { name: "NVIDIA GPU", serial: null, pciBusId: "" };
const mute = (index: number): NvmlGpuCheck =>
  healthyGpu(index, { ...MUTE, uuid: `unknown-${index}`, rc: 15 });
const withGpus = (...gpus: NvmlGpuCheck[]) => ({ ...healthyCheck(0), count: gpus.length, gpus });
const named = (from: ReturnType<typeof withGpus>) =>
  from.gpus.map(({ uuid, name, serial, pciBusId }) => [uuid, name, serial, pciBusId]);
const known = (index: number) => {
  const { uuid, name, serial, pciBusId } = healthyGpu(index);
  return [uuid, name, serial, pciBusId];
};
const nobody = (index: number) => [`unknown-${index}`, "NVIDIA GPU", null, ""];

describe("nameUnknown()", () => {
  const memory = remembering(healthyCheck(4));

  test("changes nothing where every GPU told its name", () => {
    const check = healthyCheck(4);
    expect(nameUnknown(check, memory)).toBe(check);
  });

  test("names by the index that a GPU had", () => {
    const check = withGpus(mute(0), healthyGpu(1), mute(2), mute(3));
    expect(named(nameUnknown(check, memory))).toEqual([0, 1, 2, 3].map(known));
  });

  test("takes the last one that is missing, whatever index it had", () => {
    const check = withGpus(healthyGpu(0), healthyGpu(1), healthyGpu(2), mute(9));
    expect(named(nameUnknown(check, memory))).toEqual([0, 1, 2, 3].map(known));
  });

  test("guesses nothing among several, and gives no name twice", () => {
    const several = withGpus(healthyGpu(0), healthyGpu(1), mute(8));
    expect(named(nameUnknown(several, memory))).toEqual([known(0), known(1), nobody(8)]);
    const two = withGpus(healthyGpu(0), healthyGpu(1), healthyGpu(2), mute(8), mute(9));
    expect(named(nameUnknown(two, memory))).toEqual([...[0, 1, 2, 3].map(known), nobody(9)]);
    // Index 2 is at another GPU by now: its name is taken.
    const moved = withGpus(healthyGpu(0), healthyGpu(1), healthyGpu(2), healthyGpu(3), mute(2));
    expect(named(nameUnknown(moved, memory))[4]).toEqual(nobody(2));
  });

  test("knows nobody without a past, and keeps what else the round read", () => {
    expect(named(nameUnknown(withGpus(mute(0)), EMPTY_MEMORY))).toEqual([nobody(0)]);
    const [gpu] = nameUnknown(withGpus(mute(0)), memory).gpus;
    expect(gpu).toEqual({ ...healthyGpu(0), rc: 15 });
  });
});

describe("rememberGpu()", () => {
  const FRESH = {
    ...{ corrected: null, replay: null, linkErrors: null, softThermalSinceMs: null },
    ...{ linksSeen: [], fabricJoined: false, fabricSinceMs: null },
    ...{ unknownRounds: 0, slowRounds: 0 },
  };

  test("begins with nothing learned", () => {
    const { name, pciBusId, serial, memoryTotalBytes } = healthyGpu(3);
    const place = { index: 3, name, pciBusId, serial, memoryTotalBytes, migEnabled: false };
    expect(rememberGpu(healthyGpu(3), undefined)).toEqual({ ...FRESH, ...place });
    const blank = { serial: null, memoryTotalBytes: null, migEnabled: null };
    expect(rememberGpu(healthyGpu(3, blank), undefined)).toMatchObject(blank);
  });

  test("keeps what was learned, and values that this round did not give", () => {
    const learned = { linksSeen: [1, 2], fabricJoined: true, unknownRounds: 2, slowRounds: 1 };
    const before = { ...rememberGpu(healthyGpu(3, { migEnabled: true }), undefined), ...learned };
    const blank = { serial: null, memoryTotalBytes: null, migEnabled: null };
    expect(rememberGpu(healthyGpu(3, blank), before)).toEqual(before);
    const now = { index: 5, serial: "new", memoryTotalBytes: 7, migEnabled: false };
    expect(rememberGpu(healthyGpu(3, now), before)).toEqual({ ...before, ...now });
  });
});

test("makeIdentities() lists what is known in the order of the indices", () => {
  const swapped = withGpus(healthyGpu(2), healthyGpu(0), healthyGpu(11), healthyGpu(1));
  const memory = { ...remembering(swapped), driverVersion: "570.1", cudaVersion: "12.8" };
  const list = makeIdentities(memory);
  expect(list.map(({ index }) => index)).toEqual([0, 1, 2, 11]);
  const { uuid, name, serial, pciBusId, memoryTotalBytes } = healthyGpu(1);
  expect(list[1]).toEqual({
    ...{ index: 1, uuid, name, pci_bus_id: pciBusId, serial, memory_total: memoryTotalBytes },
    ...{ driver_version: "570.1", cuda_version: "12.8", mig_enabled: false },
  });
});

describe("samples", () => {
  const LIGHT = {
    ...{ index: 0, uuid: healthyGpu(0).uuid, temperature_celsius: 42 },
    ...{ memory_temperature_celsius: 45, power_watts: 310, utilization_percent: 40 },
    ...{ memory_used_bytes: 1_073_741_824, memory_total_bytes: 85_520_809_984 },
    ...{ sm_clock_mhz: 1_755, memory_clock_mhz: 2_619, throttle_reasons: 0, processes: 0 },
    recovery_action: 0,
  };

  test("makeSamples() has the light readings of every GPU that can be asked", () => {
    expect(makeSamples([healthyGpu(0)])).toEqual([LIGHT]);
    const gpus = [
      healthyGpu(0, { rc: 15 }),
      healthyGpu(1, { openCode: 3 }),
      healthyGpu(2, { rc: 15, openCode: 15 }),
      healthyGpu(3, { rc: 999 }),
    ];
    expect(makeSamples(gpus).map(({ index }) => index)).toEqual([3]);
    expect(makeCheckSamples(gpus).map(({ index }) => index)).toEqual([3]);
  });

  test("makeCheckSamples() adds the counters that a check reads", () => {
    const states = [1, 1, 0, 2, null];
    const nvlinks = states.map((state, link) => ({ link, state, replay: 0, recovery: 0, crc: 0 }));
    const counters = {
      ...{ eccCorrectedVolatile: 1, eccUncorrectedVolatile: 2, eccCorrectedAggregate: 3 },
      ...{ eccUncorrectedAggregate: 4, remappedCorrectable: 5, remappedUncorrectable: 6 },
      ...{ remapPending: true, remapFailure: false, pcieReplay: 7, pcieWidth: 8, nvlinks },
    };
    expect(makeCheckSamples([healthyGpu(0, counters)])).toEqual([
      {
        ...LIGHT,
        ...{ ecc_corrected_volatile: 1, ecc_uncorrected_volatile: 2 },
        ...{ ecc_corrected_aggregate: 3, ecc_uncorrected_aggregate: 4 },
        ...{ remapped_rows_correctable: 5, remapped_rows_uncorrectable: 6 },
        ...{ remap_pending: true, remap_failure: false, pcie_replay_total: 7 },
        ...{ pcie_link_generation: 5, pcie_link_width: 8, nvlink_active: 2, nvlink_total: 5 },
        fabric_state: 3,
      },
    ]);
    const none = makeCheckSamples([healthyGpu(0, { nvlinks: null, fabric: null })]);
    expect(none).toMatchObject([{ nvlink_active: null, nvlink_total: null, fabric_state: null }]);
  });
});
