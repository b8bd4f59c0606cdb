/**
 * Judges one reading of the machine around the GPUs: changes since the last become findings. An
 * unread part ends no earlier condition. Pure.
 */
import type { Finding } from "../../schema/finding.ts";
import type { ProbeResult } from "../../schema/report.ts";
import { judgeChange } from "../probe/finding.ts";
import { fileSystemProbe } from "./file-system.ts";
import { panicProbe } from "./panic.ts";
import { peermemProbe } from "./peermem.ts";
import { portProbe } from "./port.ts";
import { EMPTY_HOST_MEMORY, type HostContext, type HostMemory, type HostProbe } from "./probe.ts";
import type { HostReading } from "./reading.ts";

export const HOST_PROBES: readonly HostProbe[] = [
  portProbe,
  fileSystemProbe,
  panicProbe,
  peermemProbe,
];

export type HostRound = {
  findings: Finding[];
  results: ProbeResult[];
  /** Keys of current conditions, as in `Check.active`. */
  active: string[];
  memory: HostMemory;
  reading: HostReading;
};

/** Bound of `ProbeResult.message` in the contract. */
const RESULT_CHARS_MAX = 256;

export function lookAtHost(
  reading: HostReading,
  memory: HostMemory,
  ctx: HostContext,
): HostRound {
  // Conditions and writability belong to one boot.
  const known =
    memory.bootId === ctx.bootId
      ? memory
      : { ...memory, bootId: ctx.bootId, held: {}, writable: [], sealed: [] };
  const looked = HOST_PROBES.map((probe) => ({ probe, look: probe.look(reading, known, ctx) }));
  const blind = new Set(
    looked.flatMap(({ probe, look }) =>
      look.blind ? probe.reasons.map((reason) => `host/${reason}/node`) : [],
    ),
  );
  const carried = Object.keys(known.held).filter((key) => blind.has(key));
  const conditions = looked.flatMap(({ look }) => look.conditions);
  const change = judgeChange(conditions, known.held, carried, ctx);
  const learned = Object.assign({}, ...looked.map(({ look }) => look.learned));
  return {
    findings: change.findings,
    active: change.active,
    memory: { ...EMPTY_HOST_MEMORY, ...known, ...learned, held: change.held },
    reading,
    results: looked.map(({ probe, look }) => ({
      name: probe.name,
      outcome: look.outcome,
      duration_ms: 0,
      message: look.message?.slice(0, RESULT_CHARS_MAX) ?? null,
    })),
  };
}
