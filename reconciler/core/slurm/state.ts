/**
 * Reads the state of a Slurm node in every spelling (`IDLE+DRAIN`, `idle*`, `drained`, a list of
 * words, one word with flags beside it) and tells what it means for the fleet. Pure. A word that is
 * not known makes the state unknown: nothing is ended on a guess.
 */
import { trimEnd } from "../../../schema/trim.ts";
import type { SlurmNode } from "./object.ts";

export type State = Pick<SlurmNode, "base" | "flags">;

/** What stands in the lower bits; all other words are flags. */
const BASES: ReadonlySet<string> = new Set([
  ...["UNKNOWN", "DOWN", "IDLE", "ALLOCATED", "ERROR", "MIXED", "FUTURE"],
]);

/** Of 20.11 to 25.11; those that change nothing are known too. */
const FLAGS: ReadonlySet<string> = new Set([
  ...["DRAIN", "COMPLETING", "NOT_RESPONDING", "FAIL", "INVALID_REG", "MAINTENANCE"],
  ...["REBOOT_REQUESTED", "REBOOT_ISSUED", "REBOOT_CANCELED", "PLANNED", "RESERVED", "BLOCKED"],
  ...["POWER_DOWN", "POWERED_DOWN", "POWERING_DOWN", "POWERING_UP", "POWER_UP", "POWER_DRAIN"],
  ...["CLOUD", "DYNAMIC_NORM", "DYNAMIC_FUTURE", "EXTERNAL", "RESUME", "UNDRAIN", "PERFCTRS"],
]);

/** Other names of the same flag in some release or command. */
const SYNONYMS: Readonly<Record<string, string>> = {
  NO_RESPOND: "NOT_RESPONDING",
  MAINT: "MAINTENANCE",
  INVAL: "INVALID_REG",
  INVALID: "INVALID_REG",
  REBOOT: "REBOOT_REQUESTED",
  REBOOT_CANCEL: "REBOOT_CANCELED",
  NETWORK_PERFORMANCE_COUNTERS: "PERFCTRS",
  NPC: "PERFCTRS",
};

/** Of `sinfo` and `scontrol`; `$` and the like stand behind the base or the whole word. */
const SUFFIXES: Readonly<Record<string, string>> = {
  "*": "NOT_RESPONDING",
  "~": "POWERED_DOWN",
  "#": "POWERING_UP",
  "%": "POWERING_DOWN",
  "!": "POWER_DOWN",
  $: "MAINTENANCE",
  "@": "REBOOT_REQUESTED",
  "^": "REBOOT_ISSUED",
  "-": "PLANNED",
};

/** Words of `sinfo -o %T` and `%t` that stand for several. */
const WORDS: Readonly<Record<string, readonly string[]>> = {
  ALLOC: ["ALLOCATED"],
  MIX: ["MIXED"],
  UNK: ["UNKNOWN"],
  ERR: ["ERROR"],
  FUTR: ["FUTURE"],
  COMP: ["IDLE", "COMPLETING"],
  COMPLETING: ["IDLE", "COMPLETING"],
  DRAINED: ["IDLE", "DRAIN"],
  DRAINING: ["ALLOCATED", "DRAIN"],
  DRNG: ["ALLOCATED", "DRAIN"],
  FAIL: ["IDLE", "FAIL"],
  FAILG: ["ALLOCATED", "FAIL"],
  FAILING: ["ALLOCATED", "FAIL"],
  INVAL: ["IDLE", "INVALID_REG"],
  MAINT: ["IDLE", "MAINTENANCE"],
  PLND: ["IDLE", "PLANNED"],
  PLANNED: ["IDLE", "PLANNED"],
  RESV: ["IDLE", "RESERVED"],
  RESERVED: ["IDLE", "RESERVED"],
  REBOOT: ["IDLE", "REBOOT_REQUESTED"],
  BOOT: ["IDLE", "REBOOT_ISSUED"],
  REBOOT_ISSUED: ["IDLE", "REBOOT_ISSUED"],
  POW_DN: ["IDLE", "POWERING_DOWN"],
  POWERING_DOWN: ["IDLE", "POWERING_DOWN"],
  POWERED_DOWN: ["IDLE", "POWERED_DOWN"],
  POW_UP: ["IDLE", "POWERING_UP"],
  POWERING_UP: ["IDLE", "POWERING_UP"],
  NPC: ["IDLE", "PERFCTRS"],
  PERFCTRS: ["IDLE", "PERFCTRS"],
};

/**
 * Base and flags in upper case, each once. A word that is neither is kept as a flag, for people and
 * for `fleetState`. `null` without any word.
 */
export function readState(words: readonly string[]): State | null {
  const parts = words
    .flatMap((word) => word.toUpperCase().split("+"))
    .map((word) => word.trim())
    .filter((word) => word !== "");
  if (parts.length === 0) return null;
  const known = parts.flatMap((part) => {
    const [stem, marks] = withoutSuffixes(part);
    // Alone a word of `sinfo` stands for base and flag; beside a base the same word is a flag.
    const words = (parts.length === 1 ? WORDS[stem] : undefined) ?? [SYNONYMS[stem] ?? stem];
    return [...words, ...[...marks].flatMap((mark) => SUFFIXES[mark] ?? [])];
  });
  const base = known.find((word) => BASES.has(word)) ?? "UNKNOWN";
  return { base, flags: [...new Set(known.filter((word) => word !== base))] };
}

/** `MIXED*` is `MIXED` and a mark; several marks are several flags. */
function withoutSuffixes(word: string): [stem: string, marks: string] {
  // The first character is never a mark.
  const stem = word.slice(0, 1) + trimEnd(word.slice(1), "*~#%!$@^-");
  return [stem, word.slice(stem.length)];
}

export type FleetState =
  | "free"
  | "busy"
  | "draining"
  | "drained"
  | "down"
  | "scaling"
  /** Reserved, planned, rebooting or in maintenance: it is left alone. */
  | "kept"
  | "unknown";

const has = (flags: readonly string[], ...any: readonly string[]): boolean =>
  any.some((flag) => flags.includes(flag));

export const isDrained = ({ flags }: Pick<State, "flags">): boolean => flags.includes("DRAIN");

/** No job starts on it, whether it is drained or not; read of unknown states too. */
export function isOutage({ base, flags }: State): boolean {
  return has([base, ...flags], "DOWN", "ERROR", "FAIL", "INVALID_REG");
}

/** Slurm lifts DRAIN when it powers a node down (docs/reference/slurm.md). */
export function isPowerSaving({ flags }: Pick<State, "flags">): boolean {
  return flags.some((flag) => flag.startsWith("POWER"));
}

/** What the state means for the fleet; `isUnreachable` qualifies it. */
export function fleetState({ base, flags }: State): {
  state: FleetState;
  isUnreachable: boolean;
} {
  return { state: meaningOf(base, flags), isUnreachable: flags.includes("NOT_RESPONDING") };
}

function meaningOf(base: string, flags: readonly string[]): FleetState {
  if (!BASES.has(base) || !flags.every((flag) => FLAGS.has(flag))) return "unknown";
  if (base === "UNKNOWN" || base === "FUTURE") return "unknown";
  const isBusy = base === "ALLOCATED" || base === "MIXED" || flags.includes("COMPLETING");
  const isOut = isOutage({ base, flags });
  // FAIL keeps new jobs away and leaves the running ones, as DRAIN does.
  if (isBusy && (isOut || isDrained({ flags }))) return "draining";
  if (isDrained({ flags })) return "drained";
  if (isOut) return "down";
  if (isPowerSaving({ flags })) return "scaling";
  if (isBusy) return "busy";
  const isKept = has(flags, "MAINTENANCE", "PLANNED", "RESERVED", "BLOCKED");
  return isKept || flags.some((flag) => flag.startsWith("REBOOT_")) ? "kept" : "free";
}
