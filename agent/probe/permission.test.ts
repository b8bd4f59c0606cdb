import { describe, expect, test } from "bun:test";
import { answerOf, HOUR_MS, roundAt } from "../../test/fixture/nvml/probe-round.ts";
import { healthyCheck } from "../../test/fixture/nvml/fake.ts";
import type { NvmlCheck, NvmlGpuCheck } from "../port/reading.ts";
import { EMPTY_MEMORY, type ProbeContext } from "./probe.ts";
import { runProbes } from "./run.ts";

function look(check: NvmlCheck, change: Partial<ProbeContext> = {}) {
  const round = runProbes(answerOf(check), EMPTY_MEMORY, roundAt(HOUR_MS, change));
  const said = round.findings.map(({ reason, message }) => [reason, message]);
  return { conclusive: round.conclusive, said };
}

const all = (change: Partial<NvmlGpuCheck>) =>
  healthyCheck(8, Object.fromEntries(Array.from({ length: 8 }, (_, index) => [index, change])));

describe("a permission that is missing", () => {
  test.each([4, 17])("%p for the links is one condition, not eight GPUs without links", (code) => {
    const denied = { nvlinks: null, unread: { "field.91": code, nvmlDeviceGetFieldValues: code } };
    expect(look(all(denied))).toEqual({
      conclusive: false,
      said: [["permission", "this process may not read nvlink of 8 of 8 GPUs"]],
    });
    const [gpu] = healthyCheck(1).gpus;
    const states = gpu?.nvlinks?.map((link) => ({ ...link, state: null })) ?? null;
    const half = { nvlinks: states, unread: { nvmlDeviceGetNvLinkState: code } };
    const { conclusive, said } = look(all(half));
    expect([conclusive, said.map(([reason]) => reason)]).toEqual([false, ["permission"]]);
  });

  test("links that the driver itself does not tell are missing", () => {
    const unsupported = { nvlinks: null, unread: { "field.91": 3 } };
    const { conclusive, said } = look(all(unsupported));
    expect([conclusive, said.length, said[0]?.[0]]).toEqual([true, 8, "missing"]);
  });

  test("for what root alone may read, or what is no evidence, leaves a check conclusive", () => {
    const root = { sramThresholdExceeded: null, unread: { nvmlDeviceGetSramEccErrorStatus: 4 } };
    expect(look(all(root))).toEqual({ conclusive: true, said: [] });
    const load = { utilizationPercent: null, unread: { nvmlDeviceGetUtilizationRates: 4 } };
    expect(look(all(load))).toEqual({ conclusive: true, said: [] });
  });

  test("to open GPUs is undetermined on a machine; a pod's neighbours have the others", () => {
    const eight = healthyCheck(8);
    const check = { ...eight, gpus: eight.gpus.slice(0, 7), denied: 1 };
    const message = "1 of 8 GPUs may not be opened by this process: they are not checked";
    expect(look(check)).toEqual({ conclusive: false, said: [["permission", message]] });
    const bus = { kind: "unreadable", why: "a pod", restricted: true } as const;
    const said = [["permission", message]];
    expect(look(check, { bus })).toEqual({ conclusive: true, said });
  });
});
