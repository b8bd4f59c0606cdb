/**
 * The settings of a `fake` provider as they are written in the configuration, read into what the cloud
 * needs. Pure; every error names the key, what was expected and what was found.
 */
import { parseDuration } from "../../../schema/duration.ts";
import { nearest } from "../../../schema/nearest.ts";
import type { ProviderClass } from "../provider.ts";
import { DEFAULT_TERMS } from "./world.ts";
import type { Terms } from "./world.ts";

type Value = string | number | boolean | null;

export type FakeSettings = {
  terms: Terms;
  settleMs: number | null;
  gpuCount: number;
  gpuType: string | null;
  agentPath: string | null;
  faultsPath: string | null;
  /** How long after it ended an agent is started again; `null` is never. */
  agentRestartMs: number | null;
};

/** Keys of a `fake` provider besides `type`. */
export const FAKE_SETTINGS = [
  "gpu_count", "gpu_type", "agent_path", "faults", "class", "settle", "boot", "terminate",
  "list_lag", "retention", "price_per_hour", "agent_restart",
] as const;
type Key = (typeof FAKE_SETTINGS)[number];

/** GPUs of one simulated instance unless said (`navarch/config.md` §5). */
const GPU_COUNT = 8;

const isClass = (value: Value): value is ProviderClass =>
  value === "token" || value === "name" || value === "tag-only";

/** Reads the settings. Throws an `Error` whose message is meant for the person who wrote them. */
export function readFakeSettings(name: string, settings: Record<string, Value>): FakeSettings {
  const bad = (key: string, expected: string): never => {
    const found = JSON.stringify(settings[key]);
    throw new Error(`providers.${name}.${key}: expected ${expected}, found ${found}`);
  };
  for (const key of Object.keys(settings)) {
    if (key === "type" || (FAKE_SETTINGS as readonly string[]).includes(key)) continue;
    const close = nearest(key, FAKE_SETTINGS);
    const hint = close === null ? "" : ` (did you mean ${close}?)`;
    throw new Error(`providers.${name}.${key}: unknown setting of a fake provider${hint}`);
  }
  const text = (key: Key): string | null => {
    const value = settings[key] ?? null;
    return value === null || typeof value === "string" ? value : bad(key, "text");
  };
  const duration = (key: Key): number | null => {
    const value = settings[key] ?? null;
    if (value === null) return null;
    const read = typeof value === "boolean" ? null : parseDuration(value);
    return read?.ok === true ? read.ms : bad(key, "a duration such as 30s");
  };
  const gpuCount = settings.gpu_count ?? GPU_COUNT;
  if (typeof gpuCount !== "number" || !Number.isInteger(gpuCount) || gpuCount < 1) {
    return bad("gpu_count", "a whole number from 1");
  }
  const price = settings.price_per_hour ?? null;
  if (price !== null && (typeof price !== "number" || price < 0)) {
    return bad("price_per_hour", "US dollars an hour");
  }
  const cls = settings.class ?? DEFAULT_TERMS.class;
  if (!isClass(cls)) return bad("class", "token, name or tag-only");
  return {
    terms: {
      ...DEFAULT_TERMS,
      name,
      class: cls,
      bootMs: duration("boot") ?? DEFAULT_TERMS.bootMs,
      terminateMs: duration("terminate") ?? DEFAULT_TERMS.terminateMs,
      listLagMs: duration("list_lag") ?? DEFAULT_TERMS.listLagMs,
      retentionMs: duration("retention") ?? DEFAULT_TERMS.retentionMs,
      pricePerHour: price,
    },
    settleMs: duration("settle"),
    gpuCount,
    gpuType: text("gpu_type"),
    agentPath: text("agent_path"),
    faultsPath: text("faults"),
    agentRestartMs: duration("agent_restart"),
  };
}
