/** Faults that a person injects into simulated machines and simulated clouds. */
import * as v from "valibot";
import { LIMIT } from "./limit.ts";
import { count } from "./number.ts";

/** The driver's codes have three digits. */
const XID_MAX = 999;

const gpu = v.optional(v.pipe(count, v.maxValue(LIMIT.gpusPerNodeMax - 1)), 0);

/** `lost`: the GPU falls off the PCI bus. `gpu` is its index. */
export const MachineFault = v.variant("kind", [
  v.strictObject({
    kind: v.literal("xid"),
    code: v.pipe(count, v.minValue(1), v.maxValue(XID_MAX)),
    gpu,
  }),
  v.strictObject({ kind: v.picklist(["ecc", "thermal", "nvlink", "lost"]), gpu }),
]);
export type MachineFault = v.InferOutput<typeof MachineFault>;

/** `XID 79 on GPU 0`. */
export function formatFault(fault: MachineFault): string {
  return `${NAMES[fault.kind]}${fault.kind === "xid" ? ` ${fault.code}` : ""} on GPU ${fault.gpu}`;
}

const NAMES: Readonly<Record<MachineFault["kind"], string>> = {
  xid: "XID",
  ecc: "uncorrected memory error",
  thermal: "overheating",
  nvlink: "NVLinks down",
  lost: "fallen off the bus",
};
