import { describe, expect, test } from "bun:test";
import { healthyCheck } from "../../test/fixture/nvml/fake.ts";
import {
  HOUR_MS,
  lookWith,
  formatConditions,
  remembering,
  roundAt,
} from "../../test/fixture/nvml/probe-round.ts";
import type { NvmlGpuCheck } from "../port/reading.ts";
import { LINK_STATE, nvlinkProbe } from "./nvlink.ts";
import { EMPTY_MEMORY } from "./probe.ts";

const links = (...states: (number | null)[]) =>
  states.map((state, link) => ({ link, state, replay: 0, recovery: 0, crc: 0 }));

/** A model of which nothing is known. */
const NAME = { name: "NVIDIA Unheard-of" };

/** Both GPUs have these links. */
const both = (nvlinks: ReturnType<typeof links>, linksSeen: number[], name = NAME.name) => {
  const check = healthyCheck(2, { 0: { nvlinks, name }, 1: { nvlinks, name } });
  return nvlinkProbe.look(check, remembering(check, { linksSeen }), roundAt(HOUR_MS));
};

describe("nvlinkProbe", () => {
  test("finds a link that is down where its neighbours are up", () => {
    const out = lookWith(nvlinkProbe, { ...NAME, nvlinks: links(1, 0, 1) });
    expect(formatConditions(out.conditions)).toEqual(["nvlink/inactive serious 1"]);
    expect(out.conditions[0]?.metrics).toMatchObject({ link_id: 1, inactive: 1, total: 3 });
  });

  test("finds a GPU whose links are all down while other GPUs have theirs", () => {
    const out = lookWith(nvlinkProbe, { ...NAME, nvlinks: links(0, 0) });
    expect(out.conditions[0]).toMatchObject({ reason: "inactive", level: 2 });
  });

  test("takes sleep for no fault", () => {
    // nvml.h, nvmlNvLinkState_t of R520.
    expect(LINK_STATE).toEqual({ INACTIVE: 0, ACTIVE: 1, SLEEP: 2, ACTIVE_TRAFFIC_DISABLED: 3 });
    expect(lookWith(nvlinkProbe, { ...NAME, nvlinks: links(2, 2, 1) }).conditions).toEqual([]);
  });

  test("finds cards without a bridge well, and a bridge that went away not", () => {
    expect(both(links(0, 0), []).conditions).toEqual([]);
    expect(both(links(0, 0), [1]).conditions).toHaveLength(2);
  });

  test("lets links train after a boot", () => {
    const early = roundAt(HOUR_MS, { uptimeMs: 599_999 });
    expect(lookWith(nvlinkProbe, { ...NAME, nvlinks: links(1, 0) }, {}, early).conditions).toEqual(
      [],
    );
  });

  test("learns which links were up, and forgets it with a new boot", () => {
    const out = lookWith(nvlinkProbe, { ...NAME, nvlinks: links(0, 1) }, { linksSeen: [5] });
    const later = lookWith(
      nvlinkProbe,
      { ...NAME, nvlinks: links(0, 1) },
      { linksSeen: [5] },
      { ...roundAt(HOUR_MS), uptimeMs: 0, bootId: "boot-2" as never },
    );
    expect(Object.values(out.learned)[1]?.linksSeen).toEqual([1, 5]);
    expect(Object.values(later.learned)[1]?.linksSeen).toEqual([1]);
  });

  test("is not supported where there are no links to read", () => {
    expect(lookWith(nvlinkProbe, { ...NAME, nvlinks: null }).message).toBe("not read on GPU 1");
    expect(lookWith(nvlinkProbe, { ...NAME, nvlinks: [] }).message).toBe("not read on GPU 1");
  });
});

/** Eighteen links in one state. */
const all = (state: number | null, count = 18) => links(...Array(count).fill(state));

describe("nvlinkProbe on a model whose links are known", () => {
  const onAll = (name: string, change: Partial<NvmlGpuCheck>, count = 8, uptimeMs = HOUR_MS) => {
    const gpus = Array.from({ length: count }, (_, i) => [i, { name, ...change }] as const);
    const check = healthyCheck(count, Object.fromEntries(gpus));
    const out = nvlinkProbe.look(check, remembering(check), roundAt(HOUR_MS, { uptimeMs }));
    return [...new Set(formatConditions(out.conditions).map((text) => text.replace(/ \d+$/, "")))];
  };

  test.each([
    ["NVIDIA H100 80GB HBM3", 18],
    ["NVIDIA H200", 18],
    ["NVIDIA B200", 18],
    ["NVIDIA A100-SXM4-80GB", 12],
    ["A100-SXM4-40GB", 12],
    ["Tesla V100-SXM2-32GB", 6],
    ["NVIDIA GB200", 18],
    ["NVIDIA H20-3e", 18],
    ["NVIDIA H800", 8],
    ["NVIDIA A800-SXM4-80GB", 8],
    ["NVIDIA A100-SXM-64GB", 12],
  ])("reports that no link of any %s ever came up", (name, count) => {
    expect(onAll(name, { nvlinks: all(0, count) })).toEqual(["nvlink/down serious"]);
    expect(onAll(name, { nvlinks: all(3, count) })).toEqual(["nvlink/down serious"]);
    expect(onAll(name, { nvlinks: [] })).toEqual(["nvlink/down serious"]);
    expect(onAll(name, { nvlinks: all(1, count) })).toEqual([]);
    expect(onAll(name, { nvlinks: all(2, count) })).toEqual([]);
    expect(onAll(name, { nvlinks: all(0, count) }, 8, 599_999)).toEqual([]);
  });

  test.each([
    "NVIDIA H100 PCIe",
    "NVIDIA H100 NVL",
    "NVIDIA H800 PCIe",
    "NVIDIA A800 80GB PCIe",
    "NVIDIA H200 NVL",
    "NVIDIA A100-PCIE-40GB",
    "NVIDIA A100 80GB PCIe",
    "NVIDIA A30",
    "NVIDIA L40S",
    "NVIDIA GH200 480GB",
    "NVIDIA RTX 6000 Ada Generation",
  ])("condemns no %s without a bridge", (name) => {
    expect(onAll(name, { nvlinks: all(0) })).toEqual([]);
    expect(onAll(name, { nvlinks: [] })).toEqual([]);
    expect(onAll(name, { nvlinks: null })).toEqual([]);
  });

  test("finds cards beside a bridged pair well", () => {
    const name = "NVIDIA A100 80GB PCIe";
    const bare = { name, nvlinks: all(0, 12) };
    const bridged = { name, nvlinks: all(1, 12) };
    const check = healthyCheck(4, { 0: bridged, 1: bridged, 2: bare, 3: bare });
    expect(nvlinkProbe.look(check, remembering(check), roundAt(HOUR_MS)).conditions).toEqual([]);
  });

  test("promises nothing for a single GPU, nor for one in MIG mode", () => {
    const name = "NVIDIA H100 80GB HBM3";
    expect(onAll(name, { nvlinks: all(0) }, 1)).toEqual([]);
    expect(onAll(name, { nvlinks: all(0), migEnabled: true })).toEqual([]);
  });

  test("promises nothing where the driver was told to leave NVLink off", () => {
    const name = "NVIDIA H100 80GB HBM3";
    for (const nvlinks of [all(0), [], null]) {
      const check = healthyCheck(2, { 0: { name, nvlinks }, 1: { name, nvlinks } });
      const look = (given: typeof check) =>
        nvlinkProbe.look(given, remembering(given), roundAt(HOUR_MS)).conditions;
      expect(look({ ...check, linksOff: true })).toEqual([]);
      expect(look(check)).toHaveLength(2);
    }
  });

  test("lets the links that an H800 or A800 does not use be down", () => {
    const used = (count: number) => links(...Array(8).fill(1), ...Array(count - 8).fill(0));
    expect(onAll("NVIDIA H800", { nvlinks: used(18) })).toEqual([]);
    expect(onAll("NVIDIA A800-SXM4-80GB", { nvlinks: used(12) })).toEqual([]);
  });

  test("lets links of four V100 of eight lead nowhere", () => {
    const nvlinks = links(1, 1, 1, 1, 0, 0);
    expect(onAll("Tesla V100-SXM2-16GB", { nvlinks }, 4)).toEqual([]);
  });

  test("degrades for links of which the driver tells nothing, or too few", () => {
    const name = "NVIDIA H100 80GB HBM3";
    for (const nvlinks of [null, all(null), all(1, 12)]) {
      expect(onAll(name, { nvlinks })).toEqual(["nvlink/missing warning"]);
    }
  });

  test("reports the links that are down, where some are up", () => {
    const nvlinks = [...all(1, 17), { link: 17, state: 0, replay: 0, recovery: 0, crc: 0 }];
    expect(onAll("NVIDIA H200", { nvlinks })).toEqual(["nvlink/inactive serious"]);
  });

  test("says nothing of links of which nobody knows that they should be up", () => {
    const dark = [0, 1].map((link) => ({ link, state: 0, replay: 0, recovery: 0, crc: 0 }));
    const of = (change: object) => {
      const check = healthyCheck(2, { 0: change, 1: change });
      return nvlinkProbe.look(check, EMPTY_MEMORY, roundAt(HOUR_MS)).conditions;
    };
    for (const name of ["NVIDIA R100", "NVIDIA H100 NVL"])
      for (const nvlinks of [dark, [], null]) expect(of({ name, nvlinks })).toEqual([]);
  });
});
