/**
 * Parses the message after an Xid code into metrics for rules: links, registers, verdicts, places
 * (docs/reference/kernel-log.md#xid-lines). Pure. A missing value is left out and never becomes
 * zero.
 */
import type { Metrics } from "../../schema/finding.ts";

const NVLINK5 = new RegExp(
  String.raw`^(.+?)\s+(Fatal|Nonfatal)\s+XC([01])\s+i(\d)\s+Link\s+(-?\d{1,9})\s+` +
    String.raw`\(((?:0x[0-9a-f]{1,8}\s*)+)\)?`,
  "i",
);
const NVLINK4 = /link (\d{1,9})\s?\((0x[0-9a-f]{1,8}(?:, ?0x[0-9a-f]{1,8}){6})\)/i;
const TRAIN = /failed to train link (\d{1,9})(?!\d)/i;
const RECOVERY =
  /^GPU recovery action changed from 0x([0-9a-f]{1,8}) \([^)]*\) to 0x([0-9a-f]{1,8}) \([^)]*\)/i;
const RESET = /\bRST: (Yes|No), D-RST: (Yes|No)/;
const PLACE = /\(GPC (\d{1,9}), TPC (\d{1,9})(?:, SM (\d{1,9}))?\)/;
const CAUSE = / caused by previous Xid (\d{1,6})$/;
const CHANNEL = /\b(?:ChID|ChId|Ch|Channel(?: ID)?) (?:0x)?([0-9a-fA-F]{4,8})\b/;
const MMU = /ENGINE (\S+) (\S+) faulted .{0,512}Fault is of type (\S+)/s;
const EXHAUSTED = /All reserved rows for bank are remapped/i;

export type XidBody = { metrics: Metrics; injected: boolean };

/** Registers, which the driver prints as hexadecimal words. */
function words(list: string): number[] {
  return list.match(/0x[0-9a-f]+/gi)?.map(Number) ?? [];
}

function nvlink5(text: string, metrics: Metrics): boolean {
  const parts = NVLINK5.exec(text);
  if (!parts) return false;
  const [, unit = "", severity = "", cross = "", injected = "", link = "", list = ""] = parts;
  const [intrInfo, errorStatus, ...debug] = words(list);
  metrics.unit = unit.slice(0, 64);
  metrics.fatal = severity.toLowerCase() === "fatal";
  metrics.cross_contain = cross === "1";
  // −1: not tied to a link.
  if (Number(link) >= 0) metrics.link = Number(link);
  if (intrInfo !== undefined) {
    metrics.intr_info = intrInfo;
    metrics.subcode = (intrInfo >>> 20) & 0x3f;
  }
  if (errorStatus !== undefined) metrics.error_status = errorStatus;
  debug.slice(0, 5).forEach((value, at) => {
    metrics[`debug_${at}`] = value;
  });
  return injected !== "0";
}

function nvlink4(text: string, metrics: Metrics): void {
  const parts = NVLINK4.exec(text);
  if (parts) {
    metrics.link = Number(parts[1]);
    words(parts[2] ?? "").forEach((value, at) => {
      metrics[`register_${at + 1}`] = value;
    });
    return;
  }
  const train = TRAIN.exec(text);
  if (!train) return;
  metrics.link = Number(train[1]);
  metrics.training = true;
}

function places(text: string, metrics: Metrics): void {
  const channel = CHANNEL.exec(text)?.[1];
  if (channel !== undefined) metrics.channel = Number.parseInt(channel, 16);
  const place = PLACE.exec(text);
  if (!place) return;
  metrics.gpc = Number(place[1]);
  metrics.tpc = Number(place[2]);
  if (place[3] !== undefined) metrics.sm = Number(place[3]);
}

function verdicts(text: string, metrics: Metrics): void {
  const reset = RESET.exec(text);
  if (!reset) return;
  metrics.rst = reset[1] === "Yes";
  metrics.d_rst = reset[2] === "Yes";
}

/** Reads the values that the driver prints for `code`; for 154 only the numbers. */
export function bodyMetrics(code: number, text: string): XidBody {
  const metrics: Metrics = {};
  let injected = false;
  places(text, metrics);
  if (code >= 144 && code <= 150) injected = nvlink5(text, metrics);
  if (code === 74 || code === 136) nvlink4(text, metrics);
  if (code === 94 || code === 95) verdicts(text, metrics);
  if (code === 64 && EXHAUSTED.test(text)) metrics.remap_exhausted = true;
  const mmu = code === 31 ? MMU.exec(text) : null;
  if (mmu) {
    metrics.engine = (mmu[1] ?? "").slice(0, 64);
    metrics.client = (mmu[2] ?? "").slice(0, 64);
    metrics.fault_type = (mmu[3] ?? "").slice(0, 64);
  }
  const cause = CAUSE.exec(text)?.[1];
  if (cause !== undefined) metrics.root_xid = Number(cause);
  const recovery = code === 154 ? RECOVERY.exec(text) : null;
  if (recovery) {
    metrics.recovery_previous = Number.parseInt(recovery[1] ?? "", 16);
    metrics.recovery_action = Number.parseInt(recovery[2] ?? "", 16);
  }
  return { metrics, injected };
}
