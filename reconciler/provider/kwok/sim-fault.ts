/**
 * Faults of a simulated machine, kept as an annotation of its virtual Node. The process of
 * simulated agents puts them into the machine, and the agent finds them by itself. Pure.
 */
import * as v from "valibot";
import { LIMIT } from "../../../schema/limit.ts";
import { instant, integer } from "../../../schema/number.ts";

/** A JSON list of `SimFault`; absent or `[]` is a machine without faults. */
export const SIM_FAULTS = "navarch.dev/sim-faults";

/** More than a baseboard has parts; an annotation may hold 256 KiB with all others. */
export const SIM_FAULTS_MAX = 128;

const bounded = (max: number) => v.pipe(integer, v.minValue(0), v.maxValue(max));

/** Absent = GPU 0. */
const gpu = v.optional(bounded(LIMIT.gpusPerNodeMax - 1), 0);

const common = {
  /** Unique on the machine: the same id is the same fault, however often it is read. */
  id: v.pipe(v.string(), v.regex(/^[A-Za-z0-9._-]{1,64}$/, "must be 1-64 of A-Z a-z 0-9 . _ -")),
  /** When it began. A later reboot ends it if a reboot of a real machine would. */
  atMs: instant,
};

export const SimFault = v.variant("kind", [
  /** The driver's line in the kernel log, the library's event, and what stays on the card. */
  v.strictObject({ ...common, kind: v.literal("xid"), code: bounded(1_000_000), gpu }),
  /** An uncorrected memory error is counted. */
  v.strictObject({ ...common, kind: v.literal("ecc"), gpu }),
  /** Too hot. */
  v.strictObject({ ...common, kind: v.literal("thermal"), gpu }),
  /** XID 74, and a link that is down. */
  v.strictObject({ ...common, kind: v.literal("nvlink"), gpu }),
  /** XID 79: fallen off the bus. */
  v.strictObject({ ...common, kind: v.literal("lost"), gpu }),
  /** No report arrives; the machine and its pods run on. */
  v.strictObject({ ...common, kind: v.literal("network") }),
]);
export type SimFault = v.InferOutput<typeof SimFault>;

const SimFaults = v.pipe(v.array(SimFault), v.maxLength(SIM_FAULTS_MAX));

export type ReadFaults = { ok: true; faults: SimFault[] } | { ok: false; message: string };

/** Reads the annotation; of several faults with one id the first counts. */
export function parseSimFaults(text: string | undefined): ReadFaults {
  if (text === undefined || text.trim() === "") return { ok: true, faults: [] };
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return { ok: false, message: `${SIM_FAULTS}: expected a JSON list, found other text` };
  }
  const read = v.safeParse(SimFaults, json);
  if (!read.success) {
    const [issue] = read.issues;
    const at = v.getDotPath(issue);
    return { ok: false, message: `${SIM_FAULTS}${at === null ? "" : `.${at}`}: ${issue.message}` };
  }
  const byId = new Map<string, SimFault>();
  for (const fault of read.output) if (!byId.has(fault.id)) byId.set(fault.id, fault);
  return { ok: true, faults: [...byId.values()] };
}

/** The annotation's text; `null` removes it. */
export const formatSimFaults = (faults: readonly SimFault[]): string | null =>
  faults.length === 0 ? null : JSON.stringify(faults);
