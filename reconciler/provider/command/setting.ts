/** Reads the settings of a `command` provider and fills in their defaults. Pure. */
import { metaOf, type ValueOf } from "../../../schema/config/field.ts";
import { SETTINGS } from "../../../schema/config/provider.ts";
import type { ProviderConfig } from "../../../schema/config.ts";
import { wordsOf } from "../../program/program.ts";
import type { CommandProviderOptions } from "./command.ts";
import type { ShellProviderOptions } from "./shell.ts";

/** Longer than any known delay of a cloud without idempotency (Lambda, RunPod). */
const SETTLE_MS = 600_000;

export function readCommandSettings(
  settings: ProviderConfig["settings"],
): Pick<CommandProviderOptions, "argv" | "class" | "settleMs" | "timeoutMs" | "canReboot"> {
  const given = settings as Partial<ValueOf<typeof SETTINGS>>;
  const cls = given.class ?? "tag-only";
  return {
    argv: wordsOf(given.command ?? ""),
    class: cls,
    settleMs: given.settleMs ?? (cls === "tag-only" ? SETTLE_MS : 0),
    timeoutMs: given.timeoutMs ?? metaOf(SETTINGS.timeout).default,
    canReboot: given.reboot ?? metaOf(SETTINGS.reboot).default,
  };
}

/** `null` with `protocol: json`. */
export function readShellSettings(
  settings: ProviderConfig["settings"],
): Pick<
  ShellProviderOptions,
  "scripts" | "class" | "settleMs" | "timeoutMs" | "namePrefix"
> | null {
  const given = settings as Partial<ValueOf<typeof SETTINGS>>;
  if (given.protocol !== "shell") return null;
  const { start = "", stop = "", list = "", batchStart = null, namePrefix = null } = given;
  const cls = given.class === "name" ? "name" : "tag-only";
  return {
    scripts: { start: start ?? "", stop: stop ?? "", list: list ?? "", batchStart },
    class: cls,
    settleMs: given.settleMs ?? (cls === "tag-only" ? SETTLE_MS : 0),
    timeoutMs: given.timeoutMs ?? metaOf(SETTINGS.timeout).default,
    namePrefix,
  };
}
