/**
 * Parses one line of an event file into a finding: a finding as agents report it, a health event of
 * `get -o json`, or an event as conditions see it. Missing fields get defaults. Pure.
 */
import * as v from "valibot";
import { readMetric } from "../health/policy/event.ts";
import { Finding, FINDING_KINDS, type FindingKind } from "../schema/finding.ts";
import { didYouMean } from "./failure.ts";
import { isRecord } from "./answer.ts";

export type LineAnswer = { ok: true; finding: Finding } | { ok: false; message: string };

/** Kind and reason of each event type; `HEALTH_EVENT_TYPE_…` is accepted too. */
const TYPES: Readonly<Record<string, { kind: FindingKind; reason?: string }>> = {
  xid: { kind: "xid" },
  thermal: { kind: "thermal" },
  power: { kind: "power" },
  memory: { kind: "ecc" },
  ecc_sbe: { kind: "ecc", reason: "sbe" },
  ecc_dbe: { kind: "ecc", reason: "dbe" },
  nvlink: { kind: "nvlink" },
  pcie: { kind: "pcie" },
  driver_error: { kind: "driver" },
  row_remap: { kind: "remap" },
  throttle: { kind: "throttle" },
  gpu_lost: { kind: "lost" },
  check: { kind: "host" },
  heartbeat: { kind: "heartbeat" },
};

/** Events without a time get one second each, so that order and windows work. */
const EPOCH_MS = Date.UTC(2000, 0, 1);

/** `line` is counted from 1. */
export function parseFindingLine(text: string, line: number): LineAnswer {
  let given: unknown;
  try {
    given = JSON.parse(text);
  } catch (error) {
    return refuse(`not JSON: ${error instanceof Error ? error.message : String(error)}`);
  }
  if (!isRecord(given)) return refuse(`expected an object, found ${describe(given)}`);
  const inner = isRecord(given["finding"]) ? given["finding"] : given;
  const type = inner["event_type"] ?? inner["eventType"];
  const translated: Translated =
    type === undefined ? { ok: true, fields: inner } : fromEvent(inner, type);
  if (!translated.ok) return translated;
  const { fields } = translated;
  const { kind } = fields;
  if (typeof kind !== "string") return refuse("expected kind or event_type");
  if (!FINDING_KINDS.some((one) => one === kind)) {
    return refuse(unknown("kind", kind, FINDING_KINDS));
  }
  const filled = {
    at: fields["timestamp"] ?? new Date(EPOCH_MS + line * 1_000).toISOString(),
    boot_id: "test",
    severity: "warning",
    message: "",
    source: "test",
    ...fields,
  };
  const parsed = v.safeParse(Finding, filled);
  if (parsed.success) return { ok: true, finding: parsed.output };
  const [issue] = parsed.issues;
  return refuse(`${v.getDotPath(issue) ?? "line"}: ${issue.message}`);
}

type Translated = { ok: true; fields: Record<string, unknown> } | { ok: false; message: string };

function fromEvent(event: Record<string, unknown>, type: unknown): Translated {
  if (typeof type !== "string") return refuse(`event_type: expected text, found ${describe(type)}`);
  const name = type.toLowerCase().replace(/^health_event_type_/, "");
  const known = Object.hasOwn(TYPES, name) ? TYPES[name] : undefined;
  if (known === undefined) return refuse(unknown("event_type", type, Object.keys(TYPES)));
  const metrics = readMetrics(event["metrics"]);
  if (metrics === null) return refuse("metrics: expected an object");
  const index = event["gpu_index"] ?? event["gpuIndex"] ?? null;
  const code = metrics["xid_code"];
  if (known.kind === "xid" && typeof code !== "number") {
    return refuse("metrics.xid_code: expected a number");
  }
  const fields = {
    kind: known.kind,
    code: known.kind === "xid" ? code : null,
    reason: known.reason ?? metrics["reason"] ?? null,
    gpu_index: index === -1 ? null : index,
    gpu_uuid: event["gpu_uuid"] ?? event["gpuUuid"] ?? null,
    metrics,
    ...(typeof event["message"] === "string" ? { message: event["message"] } : {}),
    ...(event["timestamp"] === undefined ? {} : { timestamp: event["timestamp"] }),
  };
  return { ok: true, fields };
}

/** Metrics may be texts. */
function readMetrics(given: unknown): Record<string, unknown> | null {
  if (given === undefined || given === null) return {};
  if (!isRecord(given)) return null;
  const typed = Object.entries(given).map(([key, value]) => [
    key,
    typeof value === "string" ? readMetric(key, value) : value,
  ]);
  return Object.fromEntries(typed);
}

function unknown(what: string, given: string, allowed: readonly string[]): string {
  return `unknown ${what} "${given}" (${allowed.join(", ")})${didYouMean(given, allowed)}`;
}

function refuse(message: string): { ok: false; message: string } {
  return { ok: false, message };
}

function describe(value: unknown): string {
  if (value === null) return "null";
  return Array.isArray(value) ? "a list" : typeof value;
}
