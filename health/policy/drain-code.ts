/**
 * Names a fault in the one word and short text that a drain reason in Slurm has room for, as in
 * `XID79 on GPU 3: GPU has fallen off the bus`. Pure.
 */
import type { Finding } from "../../schema/finding.ts";

/** `sinfo -R` shows 20 characters, and a person reads a line. */
const TEXT_CHARS_MAX = 160;

export type DrainCode = { code: string; text: string };

/** `because` is the judgement's sentence; of lost GPUs the counts come first: `GPU_COUNT 7<8 …`. */
export function drainCodeOf(finding: Finding, because: string): DrainCode {
  const { code, kind, metrics, reason } = finding;
  // The sentence may begin with the code, which the reason has already.
  const sentence = because.replace(/^(XID|SXid) \d+:? /, "");
  const line = sentence
    .replace(/[\s\p{C}]+/gu, " ")
    .replaceAll('"', "'")
    .trim();
  const text = line.slice(0, TEXT_CHARS_MAX);
  if (kind === "xid" || kind === "sxid") {
    const number = code === null ? (reason ?? "").replace(/[^A-Za-z0-9]+/g, "_") : String(code);
    return { code: `${kind}${number}`.toUpperCase(), text };
  }
  if (kind !== "lost") return { code: kind.toUpperCase(), text };
  const { expected, present } = metrics ?? {};
  const isShort = typeof expected === "number" && typeof present === "number" && present < expected;
  return { code: "GPU_COUNT", text: isShort ? `${present}<${expected} ${text}`.trim() : text };
}
