/**
 * Flags of freeze and hold. The reason is mandatory: it tells the operator on call why the fleet is
 * paused.
 */
import type { HoldView } from "../schema/api.ts";
import { formatTime } from "./age.ts";
import { type Flags, readSpan, textFlag } from "./flag.ts";
import { type Failure, usage } from "./failure.ts";
import { plain } from "./table.ts";

export const WHY = textFlag("reason", "WHY", "reason, shown to other operators (required)");

export const FOR = textFlag("for", "DURATION", "duration, for example 2h");

/** The body of the request. `command` is the command's name. */
export function readVeto(
  flags: Flags,
  command: string,
): { ok: true; body: Record<string, string> } | Failure {
  const reason = (flags.text("reason") ?? "").trim();
  if (reason === "") return usage(`${command} needs --reason WHY (see navarch help ${command})`);
  const span = flags.text("for");
  if (span === null) return { ok: true, body: { reason } };
  const read = readSpan("for", span);
  if (!read.ok) return read;
  if (read.ms === 0) return usage(`--for: ${span} ends before it begins`);
  return { ok: true, body: { reason, for: span } };
}

/** `by human:ann until 2026-03-01T12:00:00Z: why`. */
export function formatHold({ by, why, until }: HoldView): string {
  const end = until === null || until === undefined ? "" : ` until ${formatTime(until)}`;
  return `by ${plain(by)}${end}: ${plain(why)}`;
}
