/**
 * Turns events of the library into findings: for nodes whose log cannot be read, and for events
 * that the log lacks. The log reports XIDs at once and with more detail. Pure.
 */
import type { Finding } from "../../schema/finding.ts";
import type { GpuIdentity } from "../../schema/gpu.ts";
import type { NvmlEvent } from "../port/reading.ts";
import { makeFinding } from "./finding.ts";
import { type Condition, type ProbeContext, onNode } from "./probe.ts";

/** Event type bits (docs/reference/nvml.md#constants). */
const DBE = 0x2;
const XID = 0x8;
const RETIREMENT = 0x400;
const RETIREMENT_FAILURE = 0x800;
const POISON = 0x1000;
const POISON_FATAL = 0x2000;

/** Bound of `Finding.code` in the contract; no XID comes near it. */
const CODE_MAX = 1_000_000;

type Event = Pick<Condition, "kind" | "reason" | "severity" | "message">;

const EVENTS: Readonly<Record<number, Event>> = {
  [DBE]: { kind: "ecc", reason: "dbe", severity: "fatal", message: "uncorrected memory error" },
  [RETIREMENT]: {
    kind: "remap",
    reason: "pending",
    severity: "serious",
    message: "memory is retired at the next reset",
  },
  [RETIREMENT_FAILURE]: {
    kind: "remap",
    reason: "failure",
    severity: "fatal",
    message: "memory could not be retired",
  },
  [POISON]: { kind: "ecc", reason: "poison", severity: "warning", message: "contained poison" },
  [POISON_FATAL]: {
    kind: "ecc",
    reason: "poison_fatal",
    severity: "fatal",
    message: "fatal poison",
  },
};

/** True if a full check should follow at once: a GPU's state or presence changed. */
export function wantsCheck(events: readonly NvmlEvent[]): boolean {
  return events.some(({ type }) => type !== XID && type !== POISON);
}

/**
 * Findings of events that state what happened. Others, such as unavailability (0x4000) and recovery
 * actions (0x8000), only cause a check.
 */
export function makeEventFindings(
  events: readonly NvmlEvent[],
  gpus: readonly GpuIdentity[],
  ctx: ProbeContext,
): Finding[] {
  return events.flatMap((event) => {
    const gpu = gpus.find((candidate) => candidate.uuid === event.uuid);
    const condition = conditionOf(event);
    if (condition === null) return [];
    const place =
      event.uuid === null
        ? null
        : { index: gpu?.index ?? 0, uuid: event.uuid, pciBusId: gpu?.pci_bus_id ?? "" };
    const finding = makeFinding({ ...condition, gpu: place }, { ...ctx, wallMs: event.atMs });
    const { gpuInstance: gi, computeInstance: ci } = event;
    const mig = gi === null ? null : { gi, ci };
    const source = ctx.simulated ? "sim" : "nvml";
    return [{ ...finding, source, mig, gpu_index: gpu?.index ?? null }];
  });
}

function conditionOf(event: NvmlEvent): Condition | null {
  if (event.type === XID) {
    if (event.data > CODE_MAX) return null;
    return onNode({
      kind: "xid",
      code: event.data,
      reason: "event",
      severity: "warning",
      message: `NVML event: XID ${event.data}`,
      metrics: { xid_code: event.data },
    });
  }
  const found = EVENTS[event.type];
  return found === undefined ? null : onNode({ ...found, message: `NVML event: ${found.message}` });
}
