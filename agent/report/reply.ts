/**
 * Decodes what the control plane sends; an invalid reply is a value, never an exception. Commands
 * of an unknown kind, from a newer control plane, are left out, and the rest of the reply counts.
 * Pure.
 */
import * as v from "valibot";
import { millis } from "../../schema/number.ts";
import { AgentCommand, ReportReply } from "../../schema/report.ts";

export type DecodedFrame =
  | { kind: "reply"; reply: ReportReply }
  | { kind: "push"; reply: ReportReply }
  /** `retryMs`: requested time to wait, `null` if none is stated. */
  | { kind: "error"; code: string; message: string; retryMs: number | null }
  /** `why` names the path and what was expected; it never holds the text itself. */
  | { kind: "invalid"; why: string };

const Envelope = v.object({ ...ReportReply.entries, commands: v.array(v.unknown()) });
const Failure = v.object({
  error: v.object({
    code: v.string(),
    message: v.string(),
    details: v.fallback(v.object({ retry_after_ms: v.nullish(millis, null) }), {
      retry_after_ms: null,
    }),
  }),
});

/** Reads one reply object. */
export function decodeReply(value: unknown): { reply: ReportReply } | { why: string } {
  const parsed = v.safeParse(Envelope, value);
  if (!parsed.success) {
    const [issue] = parsed.issues;
    return { why: `${v.getDotPath(issue) ?? "reply"}: ${issue.message}`.slice(0, 200) };
  }
  const commands: AgentCommand[] = [];
  for (const given of parsed.output.commands) {
    const command = v.safeParse(AgentCommand, given);
    if (command.success) commands.push(command.output);
  }
  return { reply: { ...parsed.output, commands } };
}

/** Reads the text of one WebSocket frame or one HTTP body. */
export function decodeFrame(text: string): DecodedFrame {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return { kind: "invalid", why: "not JSON" };
  }
  const failure = v.safeParse(Failure, value);
  if (failure.success) {
    const { code, message, details } = failure.output.error;
    const retryMs = details.retry_after_ms;
    return { kind: "error", code, message: message.slice(0, 300), retryMs };
  }
  const pushed = isPush(value) ? value.push : null;
  const decoded = decodeReply(pushed ?? value);
  if ("why" in decoded) return { kind: "invalid", why: decoded.why };
  return { kind: pushed === null ? "reply" : "push", reply: decoded.reply };
}

function isPush(value: unknown): value is { push: unknown } {
  return typeof value === "object" && value !== null && "push" in value;
}
