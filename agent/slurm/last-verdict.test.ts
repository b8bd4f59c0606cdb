/** When the agent's last verdict is written, what it holds, and what it forgets. */
import { afterAll, describe, expect, test } from "bun:test";
import { existsSync, mkdtempSync, rmSync, statSync, utimesSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as v from "valibot";
import { findingOf } from "../../test/world/part.ts";
import type { Finding } from "../../schema/finding.ts";
import { BootId, NodeId } from "../../schema/id.ts";
import { LAST_VERDICT_FILE, LastVerdict } from "../../schema/last-verdict.ts";
import type { Check, ReportReply } from "../../schema/report.ts";
import { type AgentView, Tally } from "../report/view.ts";
import { openStateFiles, parseNote } from "../spool/state-file.ts";
import { HEARD_MS, LastVerdictFile } from "./last-verdict.ts";

const FOLDER = mkdtempSync(join(tmpdir(), "navarch-last-"));
afterAll(() => rmSync(FOLDER, { recursive: true }));

const CHECK: Check = {
  at: "2026-03-01T10:00:00Z",
  conclusive: true,
  probes: [],
  expected_gpus: 8,
  present_gpus: 8,
  active: [],
};
const reply = (verdict: string) => ({ verdict }) as ReportReply;
const xid = (code: number): Finding => findingOf({ code, gpu_uuid: "GPU-0" });

function bed(boot = "b1", directory = mkdtempSync(join(FOLDER, "n-"))) {
  const tally = new Tally();
  const state = { nowMs: 0, depth: 0, stuck: null as string | null };
  const files = openStateFiles(directory);
  const view = () =>
    ({ gpus: [], simulated: false, spool: { depth: state.depth }, tally }) as unknown as AgentView;
  const file = new LastVerdictFile({
    clock: { monoMs: () => state.nowMs, after: () => () => undefined },
    ...{ view, files, directory, pool: "p", labels: {}, stuck: () => state.stuck },
    identity: { nodeId: v.parse(NodeId, "n0"), bootId: v.parse(BootId, boot) },
  });
  const look = () => {
    file.look();
    return parseNote(LastVerdict, files.load(LAST_VERDICT_FILE));
  };
  return { tally, state, look, directory, path: join(directory, LAST_VERDICT_FILE) };
}
const codes = (last: LastVerdict | null) => last?.findings.map(({ code }) => code);

describe("LastVerdictFile", () => {
  test("says nothing before the first full check, and then what was found", () => {
    const { tally, look, path } = bed();
    tally.note([xid(48)]);
    look();
    expect(existsSync(path)).toBe(false);
    tally.conclude(CHECK);
    const last = look();
    expect([codes(last), last?.conclusive, last?.heard]).toEqual([[48], true, null]);
    tally.note([xid(79)]);
    // That check does not know what came after it.
    expect(look()?.conclusive).toBe(false);
  });

  test("is touched while the agent makes progress, and only then", () => {
    const { tally, look, path, state } = bed();
    tally.conclude(CHECK);
    look();
    const age = () => Math.round((Date.now() - statSync(path).mtimeMs) / 1_000);
    utimesSync(path, 1, 1);
    state.nowMs += 5_000;
    look();
    expect(age()).toBeGreaterThan(1_000);
    state.stuck = "no probe for 60 s";
    state.nowMs += 60_000;
    look();
    expect(age()).toBeGreaterThan(1_000);
    state.stuck = null;
    look();
    expect(age()).toBeLessThan(10);
  });

  test("follows the control plane's verdict until it is silent", () => {
    const { tally, look, state } = bed();
    tally.conclude(CHECK);
    tally.hear(reply("unhealthy"), state.nowMs);
    expect(look()?.heard).toBe("unhealthy");
    tally.hear(reply("a newer word"), state.nowMs);
    expect(look()?.heard).toBeNull();
    tally.hear(reply("healthy"), state.nowMs);
    state.nowMs += HEARD_MS + 1;
    expect(look()?.heard).toBeNull();
  });

  test("forgets what the control plane has and calls harmless, and nothing else", () => {
    const { tally, look, state } = bed();
    tally.note([xid(48)]);
    tally.conclude(CHECK);
    state.depth = 1;
    const later = (verdict: string) => {
      state.nowMs += 200_000;
      tally.hear(reply(verdict), state.nowMs);
      return codes(look());
    };
    expect(later("healthy")).toEqual([48]);
    state.depth = 0;
    expect(later("unhealthy")).toEqual([48]);
    tally.hear(reply("healthy"), state.nowMs);
    tally.note([xid(79)]);
    // The reply may be older than the finding that it acknowledges.
    expect(codes(look())).toEqual([48, 79]);
    expect(later("healthy")).toEqual([]);
    tally.note([xid(48)]);
    expect(codes(look())).toEqual([48]);
  });

  test("survives a restart of the agent, and not a reboot", () => {
    const first = bed();
    first.tally.note([xid(48)]);
    first.tally.conclude(CHECK);
    first.look();
    const again = bed("b1", first.directory);
    again.tally.note([xid(79)]);
    again.tally.conclude(CHECK);
    expect(codes(again.look())).toEqual([48, 79]);
    const booted = bed("b2", first.directory);
    booted.tally.conclude(CHECK);
    expect(codes(booted.look())).toEqual([]);
  });

  test("is bounded: a flood of mild findings leaves the grave one", () => {
    const { tally, look } = bed();
    tally.note([{ ...xid(79), severity: "fatal" }]);
    const mild = (i: number): Finding => ({
      ...xid(31),
      severity: "warning",
      gpu_uuid: `GPU-${i}`,
    });
    tally.note(Array.from({ length: 500 }, (_, i) => mild(i)));
    tally.conclude(CHECK);
    const last = look();
    expect([last?.findings.length, codes(last)?.includes(79)]).toEqual([64, true]);
  });
});
