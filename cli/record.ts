/**
 * Reads recorded findings from the control plane, page by page, or from an exported file, line by
 * line. Memory holds one page.
 *
 * Adapter: reads and writes files.
 */
import { closeSync, openSync, readSync, writeSync } from "node:fs";
import * as v from "valibot";
import { type CompiledPolicy, compilePolicy } from "../health/policy/compile.ts";
import { RecordedFinding, type RecordedPage } from "../schema/past.ts";
import { Policy } from "../schema/policy.ts";
import type { Answer, Client, Query } from "./client.ts";
import { EXIT, failure, type Failure, usage } from "./failure.ts";

/** Rows of one request. */
const PAGE = 500;
const CHUNK_BYTES = 256 * 1024;
/** A finding has some kilobytes at most, labels of a node some tens. */
const LINE_CHARS_MAX = 1024 * 1024;

/** Resolves to `null` at the end of the record; `take` returns false to end it earlier. */
export type Record = (take: (row: RecordedFinding) => boolean) => Promise<Failure | null>;

/** The record of a control plane from `since` (RFC 3339) on. */
export function recordOf(client: Client, since: string): Record {
  return async (take) => {
    let after: number | null = null;
    for (;;) {
      const from = after === null ? null : String(after);
      const query: Query = { since, after: from, limit: String(PAGE) };
      const answer: Answer<RecordedPage> | Failure = await client.get<RecordedPage>(
        "/findings",
        ["findings", "nodes"],
        query,
      );
      if (!answer.ok) return answer;
      const { findings, nodes, next } = answer.value;
      for (const one of findings) {
        const row = v.safeParse(RecordedFinding, { ...one, node: nodes[one.node_id] });
        if (!row.success) {
          return failure(EXIT.failed, "strange", `finding ${one.id}: ${sayIssue(row.issues[0])}`);
        }
        if (!take(row.output)) return null;
      }
      if (findings.length === 0 || next === null || next === after) return null;
      after = next;
    }
  };
}

/** The record in a file of `--export`. */
export function recordIn(path: string): Record {
  return async (take) => {
    let at = 0;
    try {
      for (const line of linesOf(path)) {
        at++;
        if (line.trim() === "") continue;
        const row = v.safeParse(RecordedFinding, readJson(line));
        if (!row.success) {
          return usage(`--replay-file ${path}:${at}: ${sayIssue(row.issues[0])}`);
        }
        if (!take(row.output)) return null;
      }
      return null;
    } catch (error) {
      return usage(`--replay-file ${path}: cannot be read: ${whyOf(error)}`);
    }
  };
}

/** Reads a large file line by line. Throws on a line longer than `charsMax`. */
export function* linesOf(path: string, charsMax = LINE_CHARS_MAX): Generator<string> {
  const file = openSync(path, "r");
  const decoder = new TextDecoder();
  const chunk = new Uint8Array(CHUNK_BYTES);
  let rest = "";
  try {
    for (;;) {
      const read = readSync(file, chunk);
      if (read === 0) break;
      const lines = (rest + decoder.decode(chunk.subarray(0, read), { stream: true })).split("\n");
      rest = lines.pop() ?? "";
      if (rest.length > charsMax) throw new Error(`a line is longer than ${charsMax} characters`);
      yield* lines;
    }
    if (rest !== "") yield rest;
  } finally {
    closeSync(file);
  }
}

/** Writes each row to a file as it passes. */
export function exporting(record: Record, path: string): Record {
  return async (take) => {
    const file = openToWrite(path);
    if (typeof file === "string") return usage(`--export ${path}: cannot be written: ${file}`);
    try {
      return await record((row) => {
        writeSync(file, `${JSON.stringify(row)}\n`);
        return take(row);
      });
    } finally {
      closeSync(file);
    }
  };
}

function openToWrite(path: string): number | string {
  try {
    return openSync(path, "w");
  } catch (error) {
    return whyOf(error);
  }
}

export function whyOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** The active policy of a control plane and its suspended rules, if reported. */
export async function openActive(
  client: Client,
): Promise<{ ok: true; policy: CompiledPolicy; quarantined: ReadonlySet<string> } | Failure> {
  const answer = await client.get<object>("/policy", ["name", "hash", "rules"]);
  if (!answer.ok) return answer;
  const read = v.safeParse(ActivePolicy, answer.value);
  if (!read.success) {
    return failure(EXIT.failed, "strange", `active policy: ${sayIssue(read.issues[0])}`);
  }
  const { quarantined, ...policy } = read.output;
  const made = compilePolicy(policy);
  if (made.ok) return { ok: true, policy: made.compiled, quarantined: new Set(quarantined) };
  const [problem] = made.problems;
  const why = problem === undefined ? "" : `: ${problem.rule}: ${problem.message}`;
  return failure(EXIT.failed, "strange", `the active policy does not compile here${why}`);
}

const ActivePolicy = v.object({
  ...Policy.entries,
  description: v.optional(v.nullable(v.string()), null),
  quarantined: v.optional(v.array(v.string()), []),
});

function readJson(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return null;
  }
}

function sayIssue(issue: v.BaseIssue<unknown>): string {
  return `${v.getDotPath(issue) ?? "the line"}: ${issue.message}`;
}
