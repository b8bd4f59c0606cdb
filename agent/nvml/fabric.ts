/**
 * A GPU's place in its NVLink fabric, from the newest call that its library has. The version word
 * says which layout is meant, and a library that does not know a layout answers 25
 * (`nvmlGpuFabricInfo_v3_t` since R580, `_v2` since R550, the call without versions since R525).
 */
import type { GpuReader } from "./read.ts";
import type { NvmlFabric } from "./reading.ts";
import { VERSION_UNKNOWN } from "./return-code.ts";

const NEWEST = { bytes: 40, word: 0x3000028 };
const SECOND = { bytes: 36, word: 0x2000024 };
const FIRST_BYTES = 28;

/** `null` if the library cannot tell, which `unread` then explains. */
export function readFabric(reader: GpuReader): NvmlFabric | null {
  const call = "nvmlDeviceGetGpuFabricInfoV";
  const third = reader.struct(call, NEWEST.bytes, NEWEST.word);
  if (third !== null) return parseVersioned(third, third.getUint8(36));
  const second =
    reader.unread[call] === VERSION_UNKNOWN
      ? reader.struct(call, SECOND.bytes, SECOND.word)
      : null;
  if (second !== null) {
    delete reader.unread[call];
    return parseVersioned(second, null);
  }
  const first = reader.struct("nvmlDeviceGetGpuFabricInfo", FIRST_BYTES, 0);
  if (first === null) return null;
  delete reader.unread[call];
  return {
    state: first.getUint8(24),
    status: first.getUint32(16, true),
    healthMask: null,
    healthSummary: null,
  };
}

function parseVersioned(view: DataView, healthSummary: number | null): NvmlFabric {
  return {
    state: view.getUint8(28),
    status: view.getUint32(20, true),
    healthMask: view.getUint32(32, true),
    healthSummary,
  };
}
