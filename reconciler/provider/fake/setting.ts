/**
 * The settings of a `fake` provider, as `reconciler/config/provider.ts` leaves them in the flat
 * record, read into what the cloud needs. Pure. Which keys are legal, and how they are written, is
 * checked there; here a value of the wrong kind is refused with its key, what was expected and what
 * was found.
 */
import type { ProviderConfig } from "../../../schema/config.ts";
import type { ProviderClass } from "../../core/provider.ts";
import { DEFAULT_TERMS } from "./world.ts";
import type { Terms } from "./world.ts";

type Value = ProviderConfig["settings"][string];

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

/** GPUs of one simulated instance unless said. */
const GPU_COUNT = 8;

const isClass = (value: Value): value is ProviderClass =>
  value === "token" || value === "name" || value === "tag-only";

/** Reads the settings. Throws an `Error` whose message is meant for the person who wrote them. */
export function readFakeSettings(name: string, settings: ProviderConfig["settings"]): FakeSettings {
  const bad = (key: string, expected: string): never => {
    const found = JSON.stringify(settings[key]);
    throw new Error(`providers.${name}.${key}: expected ${expected}, found ${found}`);
  };
  const text = (key: string): string | null => {
    const value = settings[key] ?? null;
    return value === null || typeof value === "string" ? value : bad(key, "text");
  };
  const amount = (key: string, unit: string): number | null => {
    const value = settings[key] ?? null;
    if (value === null) return null;
    return typeof value === "number" && value >= 0 ? value : bad(key, unit);
  };
  const ms = (key: string) => amount(key, "milliseconds, 0 or more");
  const gpuCount = settings.gpuCount ?? GPU_COUNT;
  if (typeof gpuCount !== "number" || !Number.isInteger(gpuCount) || gpuCount < 1) {
    return bad("gpuCount", "a whole number from 1");
  }
  const cls = settings.class ?? DEFAULT_TERMS.class;
  if (!isClass(cls)) return bad("class", "token, name or tag-only");
  return {
    terms: {
      ...DEFAULT_TERMS,
      name,
      class: cls,
      createMs: ms("createDelayMs") ?? DEFAULT_TERMS.createMs,
      bootMs: ms("bootDelayMs") ?? DEFAULT_TERMS.bootMs,
      terminateMs: ms("terminateDelayMs") ?? DEFAULT_TERMS.terminateMs,
      listLagMs: ms("listLagMs") ?? DEFAULT_TERMS.listLagMs,
      retentionMs: ms("retentionMs") ?? DEFAULT_TERMS.retentionMs,
      pricePerHour: amount("pricePerHour", "US dollars an hour"),
    },
    settleMs: ms("settleMs"),
    gpuCount,
    gpuType: text("gpuType"),
    agentPath: text("agentPath"),
    faultsPath: text("faults"),
    agentRestartMs: ms("agentRestartMs"),
  };
}
