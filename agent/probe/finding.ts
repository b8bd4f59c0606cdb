/**
 * Turns conditions into findings when they begin or get worse. A lasting condition appears only as
 * a key in the check, so a fault of a month is one finding and not forty thousand. Pure.
 */
import { newFinding, SEVERITIES, type Finding, type Severity } from "../../schema/finding.ts";
import { LIMIT } from "../../schema/limit.ts";
import { normalizePci } from "../kernel/pci.ts";
import { type Condition, type Held, type ProbeContext, metricsOf, formatKey } from "./probe.ts";

/** Bound of `Check.active` in the contract. */
const ACTIVE_MAX = 256;
const METRIC_CHARS_MAX = 256;

const rank = (severity: Severity) => SEVERITIES.indexOf(severity);

type Circumstances = Pick<ProbeContext, "bootId" | "wallMs" | "simulated">;

/**
 * A finding about the machine or the agent itself, such as an unreadable log or a spool without a
 * disk: it says how reliable reports are, and is never evidence against the GPUs.
 */
export function makeHostFinding(reason: string, message: string, ctx: Circumstances): Finding {
  return newFinding({
    reason,
    at: new Date(ctx.wallMs).toISOString(),
    boot_id: ctx.bootId,
    message: message.slice(0, LIMIT.messageCharsMax),
    source: ctx.simulated ? "sim" : "probe",
  });
}

export function makeFinding(condition: Condition, ctx: Circumstances): Finding {
  const { gpu } = condition;
  const metrics = Object.entries(condition.metrics).map(([name, value]) => [
    name,
    typeof value === "string" ? value.slice(0, METRIC_CHARS_MAX) : value,
  ]);
  const { kind, code, reason, severity, message } = condition;
  return newFinding({
    ...{ kind, code, reason, severity },
    pci: gpu === null ? null : normalizePci(gpu.pciBusId),
    gpu_index: gpu?.index ?? null,
    gpu_uuid: gpu?.uuid ?? null,
    at: new Date(ctx.wallMs).toISOString(),
    boot_id: ctx.bootId,
    message: message.slice(0, LIMIT.messageCharsMax),
    metrics: metricsOf(Object.fromEntries(metrics)),
    source: ctx.simulated ? "sim" : "probe",
  });
}

export type Change = {
  /** The worst first. */
  findings: Finding[];
  active: string[];
  held: Record<string, Held>;
};

/**
 * Compares current conditions with those of the last round. `carried` are keys that could not be
 * checked: they stay, because an unseen fault has not ended.
 */
export function judgeChange(
  conditions: readonly Condition[],
  before: Readonly<Record<string, Held>>,
  carried: readonly string[],
  ctx: Circumstances,
): Change {
  const held: Record<string, Held> = {};
  for (const key of carried) {
    const past = before[key];
    if (past !== undefined) held[key] = past;
  }
  const findings: Finding[] = [];
  const worstFirst = [...conditions].sort((a, b) => rank(b.severity) - rank(a.severity));
  for (const condition of worstFirst) {
    const key = formatKey(condition);
    const past = held[key] ?? before[key] ?? null;
    if (isWorse(condition, past)) findings.push(makeFinding(condition, ctx));
    held[key] = {
      severity:
        past !== null && rank(past.severity) > rank(condition.severity)
          ? past.severity
          : condition.severity,
      level: Math.max(past?.level ?? condition.level, condition.level),
    };
  }
  const active = Object.keys(held).sort(
    (a, b) => rank(held[b]?.severity ?? "info") - rank(held[a]?.severity ?? "info"),
  );
  return { findings, active: active.slice(0, ACTIVE_MAX), held };
}

function isWorse(condition: Condition, past: Held | null): boolean {
  if (past === null) return true;
  return rank(condition.severity) > rank(past.severity) || condition.level > past.level;
}
