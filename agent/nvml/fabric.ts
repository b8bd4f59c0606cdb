/**
 * Reads a GPU's NVLink fabric state by the newest call of its library, which answers 25 to an
 * unknown version word (`nvmlGpuFabricInfo_v3_t` since R580, `_v2` since R550, the call without
 * versions since R525).
 */
import { FABRIC, FABRIC_V2, FABRIC_V3, unsignedAt } from "./layout.ts";
import type { GpuReader } from "./read.ts";
import type { NvmlFabric } from "../reading.ts";
import { VERSION_UNKNOWN } from "./return-code.ts";

/** `null` without an answer, which `unread` explains. */
export function readFabric(reader: GpuReader): NvmlFabric | null {
  const call = "nvmlDeviceGetGpuFabricInfoV";
  const third = reader.struct(call, FABRIC_V3);
  if (third !== null) {
    return parseVersioned(third, unsignedAt(third, FABRIC_V3.fields.healthSummary));
  }
  const second = reader.unread[call] === VERSION_UNKNOWN ? reader.struct(call, FABRIC_V2) : null;
  if (second !== null) {
    delete reader.unread[call];
    return parseVersioned(second, null);
  }
  const first = reader.struct("nvmlDeviceGetGpuFabricInfo", FABRIC);
  if (first === null) return null;
  delete reader.unread[call];
  const state = unsignedAt(first, FABRIC.fields.state);
  const status = unsignedAt(first, FABRIC.fields.status);
  return { state, status, healthMask: null, healthSummary: null };
}

/** The third version begins as the second. */
function parseVersioned(view: DataView, healthSummary: number | null): NvmlFabric {
  const { state, status, healthMask } = FABRIC_V2.fields;
  return {
    state: unsignedAt(view, state),
    status: unsignedAt(view, status),
    healthMask: unsignedAt(view, healthMask),
    healthSummary,
  };
}
