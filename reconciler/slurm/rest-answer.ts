/**
 * Judges an answer of slurmrestd by its list of errors: 24.11 answers 200 with errors for a node
 * that it does not know, and 22.05 answers 500 for a controller that it cannot reach.
 */
import type { SlurmAnswer } from "../core/slurm/client.ts";
import type { RestAnswer } from "./rest-call.ts";

const SHOWN_ERRORS_MAX = 3;

type Problem = { number: number; text: string };

export function judge(answer: RestAnswer): SlurmAnswer<unknown> {
  if (answer.kind === "failed") {
    const { message, status, isUnsent } = answer;
    const isDenied = status === 401 || status === 403;
    if (isDenied) return { kind: "refused", message: `slurmrestd rejects the token (${status})` };
    // An unknown path: the version is not served any more, so nothing was done.
    return { kind: status === 404 || isUnsent ? "refused" : "failed", message };
  }
  const { status, value } = answer;
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    return { kind: "failed", message: "the answer is no object" };
  }
  const problems = problemsOf(value);
  if (problems.length > 0) {
    const texts = problems.slice(0, SHOWN_ERRORS_MAX).map(({ text }) => text);
    const isRefusal = problems.every(isJudgement);
    return { kind: isRefusal ? "refused" : "failed", message: texts.join("; ") };
  }
  if (status >= 200 && status < 300) return { kind: "ok", value };
  return { kind: "failed", message: "an error without a reason" };
}

/** As in `24.11.5`; the key's case differs between versions. */
export function releaseOf(value: unknown): string | null {
  const meta = fieldOf(value, "meta");
  const release = fieldOf(fieldOf(meta, "slurm") ?? fieldOf(meta, "Slurm"), "release");
  return typeof release === "string" && release !== "" ? release : null;
}

/**
 * Numbers of slurmctld itself (2000–2999) and of the data parser (9000–9999) are judgements; those
 * of the connection (1000, 5000) leave open what was done. 24.11 has none for an unknown node.
 */
function isJudgement({ number, text }: Problem): boolean {
  if (number === 0) return text.startsWith("Failure to query node ");
  return (number >= 2_000 && number < 3_000) || (number >= 9_000 && number < 10_000);
}

function problemsOf(value: object): Problem[] {
  const errors = fieldOf(value, "errors");
  if (errors === undefined || errors === null) return [];
  if (!Array.isArray(errors)) return [{ number: 0, text: "errors in an unknown form" }];
  return errors.map((error: unknown) => {
    const number = fieldOf(error, "error_number") ?? fieldOf(error, "errno");
    const [short, long] = [fieldOf(error, "error"), fieldOf(error, "description")];
    const texts = [long, short].filter((text) => typeof text === "string" && text !== "");
    return {
      number: typeof number === "number" ? number : 0,
      text: texts.join(": ") || "an error without a text",
    };
  });
}

function fieldOf(value: unknown, key: string): unknown {
  if (typeof value !== "object" || value === null) return undefined;
  return Object.entries(value).find(([name]) => name === key)?.[1];
}
