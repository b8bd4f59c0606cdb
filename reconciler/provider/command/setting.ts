/** Reads the settings of a `command` provider and fills in their defaults. Pure. */
import type { ValueOf } from "../../../schema/config/field.ts";
import { SETTINGS } from "../../../schema/config/provider.ts";
import type { ProviderConfig } from "../../../schema/config.ts";
import type { CommandProviderOptions } from "./command.ts";

/** Longer than any known delay of a cloud without idempotency (Lambda, RunPod). */
const SETTLE_MS = 600_000;

export function readCommandSettings(
  settings: ProviderConfig["settings"],
): Pick<CommandProviderOptions, "argv" | "class" | "settleMs" | "timeoutMs" | "canReboot"> {
  const given = settings as Partial<ValueOf<typeof SETTINGS>>;
  const cls = given.class ?? "tag-only";
  return {
    argv: (given.command ?? "").split(/\s+/).filter((word) => word !== ""),
    class: cls,
    settleMs: given.settleMs ?? (cls === "tag-only" ? SETTLE_MS : 0),
    timeoutMs: given.timeoutMs ?? SETTINGS.timeout.default,
    canReboot: given.reboot ?? SETTINGS.reboot.default,
  };
}

/** The command's environment: without the runtime's variables and ours, which hold secrets. */
export function passedOn(
  env: Readonly<Record<string, string | undefined>>,
): Readonly<Record<string, string>> {
  const passed: Record<string, string> = {};
  for (const [name, value] of Object.entries(env)) {
    if (value !== undefined && !/^(BUN_|NAVARCH_)/.test(name)) passed[name] = value;
  }
  return passed;
}
