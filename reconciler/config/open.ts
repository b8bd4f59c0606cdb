/**
 * Reads configuration and policy files. A file that is missing, unreadable, too large or not text
 * is a problem like any other.
 *
 * Adapter: reads files.
 */
import { open } from "node:fs/promises";
import { LIMIT } from "../../schema/limit.ts";
import type { SourceText } from "./locate.ts";
import type { Policy } from "../../schema/policy.ts";
import type { Problem, ProviderConfig } from "../../schema/config.ts";
import type { InventoryAnswer } from "../core/inventory.ts";
import { type InventoryRead, parseHost, readInventory } from "./inventory.ts";
import { readPolicy } from "./policy.ts";
import { formatProblem } from "./problem.ts";
import { type ConfigAnswer, nowhere, readConfig } from "./read.ts";
import type { ServerOptions } from "./server.ts";

export type ReadAnswer =
  | { ok: true; bytes: Uint8Array }
  | { ok: false; kind: "missing" | "unreadable"; message: string };

/** Reads at most `bytesMax` bytes of a file. */
export type ReadFile = (path: string, bytesMax: number) => Promise<ReadAnswer>;

/** Never reads more than `bytesMax`: the size of a device or pipe is not known. */
export const readDisk: ReadFile = async (path, bytesMax) => {
  try {
    const file = await open(path, "r");
    try {
      const bytes = new Uint8Array(bytesMax);
      let length = 0;
      while (length < bytesMax) {
        const { bytesRead } = await file.read(bytes, length, bytesMax - length, null);
        if (bytesRead === 0) break;
        length += bytesRead;
      }
      return { ok: true, bytes: bytes.subarray(0, length) };
    } finally {
      await file.close();
    }
  } catch (error) {
    return { ok: false, ...whyNot(error) };
  }
};

function whyNot(error: unknown): { kind: "missing" | "unreadable"; message: string } {
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  if (code === "ENOENT") return { kind: "missing", message: "no such file" };
  const unreadable = (message: string) => ({ kind: "unreadable", message }) as const;
  if (code === "EACCES" || code === "EPERM") return unreadable("may not be read");
  if (code === "EISDIR") return unreadable("is a directory");
  return unreadable(`cannot be read: ${String(error)}`);
}

type Opened = { file: SourceText | null; missing: boolean; problem: Problem | null };

async function openText(path: string, readFile: ReadFile): Promise<Opened> {
  const refuse = (code: string, message: string, hint: string | null = null): Opened => {
    const at = { file: path, line: 1, col: 1 };
    const problem: Problem = { ...at, path: "", code, message, hint, severity: "error" };
    return { file: null, missing: code === "missing", problem };
  };
  const answer = await readFile(path, LIMIT.configBytesMax + 1);
  if (!answer.ok) return refuse(answer.kind, answer.message);
  if (answer.bytes.length > LIMIT.configBytesMax) {
    return refuse("limit", "the file is too large", `at most ${LIMIT.configBytesMax >> 20} MiB`);
  }
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(answer.bytes);
    return { file: { name: path, text }, missing: false, problem: null };
  } catch {
    return refuse("encoding", "not UTF-8 text");
  }
}

/** Reads and merges `paths`, later over earlier. */
export async function openConfig(
  paths: readonly string[],
  readFile: ReadFile = readDisk,
  options: Partial<ServerOptions> = {},
): Promise<ConfigAnswer> {
  const opened = await Promise.all(paths.map((path) => openText(path, readFile)));
  const unread = opened.map((one) => one.problem).filter((problem) => problem !== null);
  const files = opened.map((one) => one.file).filter((file) => file !== null);
  if (unread.length === 0) return readConfig(files, options);
  // With a file missing, only syntax errors of the others are certain.
  const rest = files.flatMap((file) => readConfig([file], options).problems);
  const syntax = rest.filter((problem) => problem.code === "syntax");
  return { config: null, problems: [...unread, ...syntax], find: nowhere(paths[0] ?? "") };
}

/** Reads an inventory file. */
export async function openInventory(
  path: string,
  readFile: ReadFile = readDisk,
): Promise<InventoryRead> {
  const { file, problem } = await openText(path, readFile);
  if (file !== null) return readInventory(file);
  return { hosts: null, problems: problem === null ? [] : [problem] };
}

/** The hosts of a provider: its setting `hosts`, else its `inventory` as it is now. */
export async function inventoryOf(settings: ProviderConfig["settings"]): Promise<InventoryAnswer> {
  const { hosts, inventory } = settings;
  if (typeof inventory !== "string") {
    const read = String(hosts ?? "")
      .split(",")
      .filter(Boolean)
      .map(parseHost);
    const bad = read.find((one) => typeof one === "string");
    if (typeof bad === "string") return { ok: false, problem: `hosts: ${bad}` };
    return { ok: true, hosts: read.filter((one) => typeof one !== "string") };
  }
  const read = await openInventory(inventory);
  if (read.hosts !== null) return { ok: true, hosts: read.hosts };
  const first = read.problems.find(({ severity }) => severity === "error");
  return { ok: false, problem: first === undefined ? inventory : formatProblem(first) };
}

export type PolicyAnswer = { policy: Policy | null; problems: Problem[] };

/** After `missing` the caller may start on the built-in policy with a warning. */
export async function openPolicy(
  path: string,
  readFile: ReadFile = readDisk,
): Promise<PolicyAnswer & { missing: boolean }> {
  const { file, missing, problem } = await openText(path, readFile);
  if (file !== null) return { ...readPolicy(file), missing };
  return { policy: null, problems: problem === null ? [] : [problem], missing };
}
