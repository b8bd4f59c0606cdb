/**
 * Reads the sections of a scenario that are product configuration (`pools`, `providers`, `server`,
 * `policy` and related) with the product's readers. Each reader gets the scenario's text with
 * everything else blanked, so that its line and column numbers stay true.
 */
import { stringify } from "yaml";
import type { SourceText } from "../../reconciler/config/locate.ts";
import { readPolicy } from "../../reconciler/config/policy.ts";
import type { Problems } from "../../reconciler/config/problem.ts";
import { readConfig } from "../../reconciler/config/read.ts";
import { type Entry, isAbsent, type Tree, type TreeMap } from "../../reconciler/config/tree.ts";
import type { Config, Problem } from "../../schema/config.ts";
import type { Policy } from "../../schema/policy.ts";

/** Top-level keys of a configuration. */
export const CONFIG_KEYS = [
  "pools",
  "providers",
  "server",
  "kubernetes",
  "instance_manager",
  "defaults",
  "global",
  "drain",
  "safety",
] as const;

export type ConfigPart = { config: Config | null; pools: string[]; providers: string[] };

/** Port 0: `--listen` sets where a simulated control plane listens. */
const OPTIONS = { portZero: true, externalAddress: true };

/**
 * Reads the configuration in the file. `config` is `null` where it is unsound; a file that has none
 * yields the defaults without pools.
 */
export function readConfigPart(problems: Problems, root: TreeMap, file: SourceText): ConfigPart {
  const keys: readonly string[] = CONFIG_KEYS;
  const kept = root.entries.filter((entry) => keys.includes(entry.key) && !isAbsent(entry.value));
  const text = keepEntries(file.text, root, kept);
  const answer = readConfig([{ name: file.name, text }], OPTIONS);
  const isQuiet = kept.every((entry) => entry.key !== "pools");
  for (const problem of answer.problems) {
    // No pools is the ordinary case here: the implicit one stands in.
    if (isQuiet && problem.code === "no_pools") continue;
    say(problems, problem, problem.path);
  }
  const pools = answer.config?.pools.map((pool) => String(pool.name)) ?? [];
  const providers = answer.config?.providers.map((one) => String(one.name)) ?? [];
  return { config: answer.config, pools, providers };
}

/** Reads the rules under `policy`; `null` if there are none or they are unsound. */
export function readPolicyPart(problems: Problems, root: TreeMap, file: SourceText): Policy | null {
  const entry = root.entries.find((one) => one.key === "policy");
  if (entry === undefined || isAbsent(entry.value)) return null;
  if (entry.value.kind !== "map") {
    const hint = "name a file with --policy or server.health_policy_path";
    const message = "expected the rules themselves, as in a policy file";
    problems.error(entry.value.at, entry.path, "type", message, hint);
    return null;
  }
  const text = keepBody(file.text, root, entry);
  const answer = readPolicy({ name: file.name, text });
  for (const problem of answer.problems) {
    const path = problem.path.startsWith("[") ? problem.path : `.${problem.path}`;
    say(problems, problem, problem.path === "" ? "policy" : `policy${path}`);
  }
  return answer.policy;
}

function say(problems: Problems, problem: Problem, path: string): void {
  const at = { file: problem.file, line: problem.line, col: problem.col };
  const { severity, code, message, hint } = problem;
  if (!CLUSTER_KEYS.has(path)) problems[severity](at, path, code, message, hint);
  else problems.error(at, path, code, "unknown field", "what runs there stands under cluster");
}

/** Of a scenario, and no setting of the product: a natural mistake. */
const CLUSTER_KEYS: ReadonlySet<string> = new Set(["kubernetes.pods", "kubernetes.budgets"]);

/** Lines of the entries kept, the others empty. */
function keepEntries(text: string, root: TreeMap, kept: readonly Entry[]): string {
  if (kept.length === 0) return "";
  if (!isPlain(root, text)) return rewrite({ ...root, entries: [...kept] });
  const lines = text.split("\n");
  const keep = new Array<boolean>(lines.length).fill(false);
  for (const entry of kept) {
    const end = endOf(root, entry, lines.length);
    for (let line = entry.at.line; line < end; line++) keep[line - 1] = true;
  }
  return lines.map((line, index) => (keep[index] === true ? line : "")).join("\n");
}

/** The value of one entry alone, standing where it stands. */
function keepBody(text: string, root: TreeMap, entry: Entry): string {
  const { line: first, col } = entry.value.at;
  if (!isPlain(root, text)) return rewrite(entry.value);
  const lines = text.split("\n");
  const end = endOf(root, entry, lines.length);
  return lines
    .map((line, index) => {
      const number = index + 1;
      if (number < first || number >= end) return "";
      return number === first ? " ".repeat(col - 1) + line.slice(col - 1) : line;
    })
    .join("\n");
}

/** The line behind an entry: where the next one begins, or the end of the text. */
function endOf(root: TreeMap, entry: Entry, lines: number): number {
  const behind = root.entries.map((one) => one.at.line).filter((line) => line > entry.at.line);
  return Math.min(lines + 1, ...behind);
}

/**
 * False if the text cannot be cut by lines: a mapping in braces, two keys in one line, or an alias,
 * whose anchor may stand in another section.
 */
function isPlain(root: TreeMap, text: string): boolean {
  const rows = new Set(root.entries.map((entry) => entry.at.line));
  const isBraced = (text.split("\n")[root.at.line - 1] ?? "").trimStart().startsWith("{");
  const hasAlias = /(^|[\s[{,:])\*[A-Za-z0-9_]/m.test(text);
  return rows.size === root.entries.length && !isBraced && !hasAlias;
}

/** The same values in a new text; positions inside it are then those of that text. */
function rewrite(tree: Tree): string {
  return stringify(valueOf(tree), { lineWidth: 0, aliasDuplicateObjects: false });
}

function valueOf(tree: Tree): unknown {
  if (tree.kind === "scalar") return tree.value;
  if (tree.kind === "list") return tree.items.map(valueOf);
  return new Map(tree.entries.map((entry) => [entry.key, valueOf(entry.value)]));
}
