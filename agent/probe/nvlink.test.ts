import { describe, expect, test } from "bun:test";
import { healthyCheck } from "../nvml/fake.ts";
import {
  HOUR_MS,
  lookWith,
  printConditions,
  remembering,
  roundAt,
} from "../../test/fixture/nvml/probe-round.ts";
import { nvlinkProbe } from "./nvlink.ts";

const links = (...states: (number | null)[]) =>
  states.map((state, link) => ({ link, state, replay: 0, recovery: 0, crc: 0 }));

/** Both GPUs have these links. */
const both = (nvlinks: ReturnType<typeof links>, linksSeen: number[]) => {
  const check = healthyCheck(2, { 0: { nvlinks }, 1: { nvlinks } });
  return nvlinkProbe.look(check, remembering(check, { linksSeen }), roundAt(HOUR_MS));
};

describe("nvlinkProbe", () => {
  test("finds a link that is down where its neighbours are up", () => {
    const out = lookWith(nvlinkProbe, { nvlinks: links(1, 0, 1) });
    expect(printConditions(out.conditions)).toEqual(["nvlink/inactive serious 1"]);
    expect(out.conditions[0]?.metrics).toMatchObject({ link_id: 1, inactive: 1, total: 3 });
  });

  test("finds a GPU whose links are all down while other GPUs have theirs", () => {
    const out = lookWith(nvlinkProbe, { nvlinks: links(0, 0) });
    expect(out.conditions[0]).toMatchObject({ reason: "inactive", level: 2 });
  });

  test("takes sleep for no fault", () => {
    expect(lookWith(nvlinkProbe, { nvlinks: links(2, 2, 1) }).conditions).toEqual([]);
  });

  test("finds cards without a bridge well, and a bridge that went away not", () => {
    expect(both(links(0, 0), []).conditions).toEqual([]);
    expect(both(links(0, 0), [1]).conditions).toHaveLength(2);
  });

  test("lets links train after a boot", () => {
    const early = roundAt(HOUR_MS, { uptimeMs: 599_999 });
    expect(lookWith(nvlinkProbe, { nvlinks: links(1, 0) }, {}, early).conditions).toEqual([]);
  });

  test("learns which links were up, and forgets it with a new boot", () => {
    const out = lookWith(nvlinkProbe, { nvlinks: links(0, 1) }, { linksSeen: [5] });
    const later = lookWith(
      nvlinkProbe,
      { nvlinks: links(0, 1) },
      { linksSeen: [5] },
      { ...roundAt(HOUR_MS), uptimeMs: 0, bootId: "boot-2" as never },
    );
    expect(Object.values(out.learned)[1]?.linksSeen).toEqual([1, 5]);
    expect(Object.values(later.learned)[1]?.linksSeen).toEqual([1]);
  });

  test("is not supported where there are no links to read", () => {
    expect(lookWith(nvlinkProbe, { nvlinks: null }).message).toBe("not read on GPU 1");
    expect(lookWith(nvlinkProbe, { nvlinks: [] }).message).toBe("not read on GPU 1");
  });
});
