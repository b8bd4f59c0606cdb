/** The settings of a `command` provider, with what their defaults depend on. Pure. */
import type { ValueOf } from "../../../schema/config/field.ts";
import { SETTINGS } from "../../../schema/config/provider.ts";
import type { ProviderConfig } from "../../../schema/config.ts";
import type { CommandProviderOptions } from "./command.ts";

/** Longer than any delay that clouds without idempotency are known for (Lambda, RunPod). */
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

/** Everything but the variables of the runtime and our own, which hold our credentials. */
export function passedOn(
  env: Readonly<Record<string, string | undefined>>,
): Readonly<Record<string, string>> {
  const passed: Record<string, string> = {};
  for (const [name, value] of Object.entries(env)) {
    if (value !== undefined && !/^(BUN_|NAVARCH_)/.test(name)) passed[name] = value;
  }
  return passed;
}
