/**
 * A scenario from disk, or by the name of one that the program ships. A file that is missing,
 * unreadable, too large or not text is a problem like any other.
 *
 * Adapter: reads files.
 */
import { readDisk, type ReadFile } from "../../reconciler/config/open.ts";
import type { Problem } from "../../schema/config.ts";
import { LIMIT } from "../../schema/limit.ts";
import { findBundled } from "../bundle/catalog.ts";
import { readScenario, type ScenarioAnswer } from "./read.ts";

/** `text` is what was read, for the run directory; `null` if nothing could be. */
export type OpenAnswer = ScenarioAnswer & { text: string | null };

/** Reads the file at `path`, or the bundled scenario of that name if there is no such file. */
export async function openScenario(
  path: string,
  readFile: ReadFile = readDisk,
): Promise<OpenAnswer> {
  const refuse = (code: string, message: string, hint: string | null = null): OpenAnswer => {
    const at = { file: path, line: 1, col: 1 };
    const problem: Problem = { ...at, path: "", code, message, hint, severity: "error" };
    return { scenario: null, problems: [problem], text: null };
  };
  const answer = await readFile(path, LIMIT.configBytesMax + 1);
  if (!answer.ok) {
    const bundled = answer.kind === "missing" ? findBundled(path) : null;
    if (bundled === null) return refuse(answer.kind, answer.message, hintOf(answer.kind));
    return { ...readScenario({ name: path, text: bundled.text }), text: bundled.text };
  }
  if (answer.bytes.length > LIMIT.configBytesMax) {
    return refuse("limit", "the file is too large", `at most ${LIMIT.configBytesMax >> 20} MiB`);
  }
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(answer.bytes);
    return { ...readScenario({ name: path, text }), text };
  } catch {
    return refuse("encoding", "not UTF-8 text");
  }
}

function hintOf(kind: "missing" | "unreadable"): string | null {
  return kind === "missing" ? "navarch simulate list shows those that are built in" : null;
}
