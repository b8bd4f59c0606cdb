/**
 * Reads XID and recovery events of the library, the second source beside the kernel log. A wait
 * blocks the thread, so events are polled between requests with the shortest wait.
 */
import type { Bound } from "./bind.ts";
import { EVENT_DATA, type Place, unsignedAt } from "./layout.ts";
import type { NvmlEvent } from "../port/reading.ts";
import { SUCCESS } from "./return-code.ts";

/**
 * DBE 0x2, XID 0x8, and since R560/R570 retirement, poison, GPU unavailable, recovery action
 * (docs/reference/nvml.md#constants). Clock, power and P-state changes are normal.
 */
export const WANTED = 0x2n | 0x8n | 0x400n | 0x800n | 0x1000n | 0x2000n | 0x4000n | 0x8000n;

/** Events per poll, so that a flood cannot delay a sample. */
const EVENTS_PER_POLL_MAX = 64;

/** It is not known whether real libraries accept zero. */
const WAIT_MS = 1;

const TIMEOUT = 10;
const NO_INSTANCE = 0xffffffff;

export type EventSource = {
  poll(): NvmlEvent[];
  close(): void;
};

/** Registers the handles of `uuidOf`; `null` if no events could be registered. */
export function openEvents(
  bound: Bound,
  uuidOf: ReadonlyMap<bigint, string>,
  wallMs: () => number,
): EventSource | null {
  const out = new BigUint64Array(1);
  if (bound.call("nvmlEventSetCreate", out) !== SUCCESS) return null;
  const set = out[0] ?? 0n;
  let registered = 0;
  for (const handle of uuidOf.keys()) {
    // One unsupported bit makes the call register nothing (docs/reference/nvml.md#pitfalls).
    if (bound.call("nvmlDeviceGetSupportedEventTypes", handle, out) !== SUCCESS) continue;
    const types = (out[0] ?? 0n) & WANTED;
    if (types === 0n) continue;
    if (bound.call("nvmlDeviceRegisterEvents", handle, types, set) === SUCCESS) registered++;
  }
  let open = true;
  const close = () => {
    if (open) bound.call("nvmlEventSetFree", set);
    open = false;
  };
  if (registered === 0) {
    close();
    return null;
  }
  return { close, poll: () => (open ? pollSet(bound, set, uuidOf, wallMs, close) : []) };
}

function pollSet(
  bound: Bound,
  set: bigint,
  uuidOf: ReadonlyMap<bigint, string>,
  wallMs: () => number,
  close: () => void,
): NvmlEvent[] {
  const data = new Uint8Array(EVENT_DATA.bytes);
  const view = new DataView(data.buffer);
  const { device, eventType, eventData, gpuInstanceId, computeInstanceId } = EVENT_DATA.fields;
  const events: NvmlEvent[] = [];
  while (events.length < EVENTS_PER_POLL_MAX) {
    const code = bound.call("nvmlEventSetWait_v2", set, data, events.length === 0 ? WAIT_MS : 0);
    if (code !== SUCCESS) {
      // After 999 the set must be freed (docs/reference/nvml.md#return-codes); 15 names no GPU, and
      // the next sample finds it.
      if (code !== TIMEOUT && code !== 15) close();
      break;
    }
    const instance = (place: Place) => {
      const id = unsignedAt(view, place);
      return id === NO_INSTANCE ? null : id;
    };
    events.push({
      atMs: wallMs(),
      uuid: uuidOf.get(view.getBigUint64(device.at, true)) ?? null,
      type: unsignedAt(view, eventType),
      data: unsignedAt(view, eventData),
      gpuInstance: instance(gpuInstanceId),
      computeInstance: instance(computeInstanceId),
    });
  }
  return events;
}
