/**
 * Reads a health policy file. A policy with an error is refused as a whole: half of the rules would
 * report broken hardware as healthy.
 */
import type { Problem } from "../../schema/config.ts";
import { LIMIT } from "../../schema/limit.ts";
import { ACTIONS, type Hold, type Policy, type PolicyRule, RESULTS } from "../../schema/policy.ts";
import { parseDuration } from "../../schema/duration.ts";
import { POOL_NAME } from "../../schema/id.ts";
import { nearest } from "../../schema/nearest.ts";
import { compileCondition } from "../../health/cel/condition.ts";
import { hashRules } from "../../health/policy/compile.ts";
import { REPEATS_MAX } from "../../health/policy/history.ts";
import { locate, type SourceText } from "./locate.ts";
import { collectProblems, quoteShort } from "./problem.ts";
import { readSection, type Section } from "./section.ts";

const HOLDS = ["none", "until_reset", "until_reboot", "until_replaced", "while_active"] as const;
const VERSION = "v1";
/** As in `schema/policy.ts`: a rule's name is a metric label. */
const NAME_MAX = 128;

/** `policy` is `null` if any problem is an error. */
export function readPolicy(file: SourceText): { policy: Policy | null; problems: Problem[] } {
  const problems = collectProblems([file.name]);
  const tree = locate(file, problems);
  if (tree === null) return { policy: null, problems: problems.list() };
  const root = readSection(problems, tree, "", tree.at, () => null);
  const policy = root.given ? readRoot(root, file.name) : null;
  return { policy: problems.failed() ? null : policy, problems: problems.list() };
}

function readRoot(root: Section, fileName: string): Policy {
  const version = root.text("version") ?? VERSION;
  if (version !== VERSION) {
    root.fail("version", "version", `unknown version ${quoteShort(version)}`, `write ${VERSION}`);
  }
  const metadata = root.map("metadata");
  const name = metadata.text("name") ?? fileName;
  const description = metadata.prose("description");
  metadata.finish();
  const rules = readRules(root);
  const hash = hashRules(rules);
  // The output of `policy show` may be edited and used again; it then has the old hash.
  const given = root.text("hash");
  if (given !== null && given !== hash) {
    const at = root.look("hash")?.value.at ?? root.at;
    root.problems.note(at, "hash", "hash", `is of other rules; these have ${hash.slice(0, 12)}…`);
  }
  root.finish();
  return { version, name, description, rules, hash };
}

function readRules(root: Section): PolicyRule[] {
  const sections = root.list("rules", "rule", LIMIT.policyRulesMax);
  const found = sections.filter((section) => section.given).map(readRule);
  refuseRepeats(found);
  warnOrder(root, found);
  return found.map((one) => one.rule);
}

type Found = { rule: PolicyRule; section: Section; always: boolean };

function readRule(section: Section): Found {
  const name = section.text("name");
  if (!section.has("name")) section.missing("name");
  if (name !== null && name.length > NAME_MAX) {
    section.fail("name", "range", "is too long", `at most ${NAME_MAX} characters`);
  }
  const description = section.prose("description");
  const condition = readCondition(section);
  const result = section.choice("result", RESULTS);
  if (!section.has("result")) section.missing("result", `one of ${RESULTS.join(", ")}`);
  const rule: PolicyRule = {
    name: name ?? "",
    description,
    condition: condition?.text ?? "",
    result: result ?? "unhealthy",
    hold: readHold(section),
    action: section.choice("action", ACTIONS),
    repeat: readRepeat(section.map("repeat")),
    pools: readPools(section),
    line: section.at.line,
    ...(section.flag("shadow") === true ? { shadow: true } : {}),
  };
  // `policy show` prints how often a rule matched; it has no effect here.
  section.look("matches");
  section.finish();
  const isForAll = rule.pools === null && rule.shadow !== true;
  return { rule, section, always: condition?.always === true && isForAll };
}

/** An unquoted YAML `true` or `false` counts as text. */
function readCondition(section: Section): { text: string; always: boolean } | null {
  const entry = section.look("condition");
  if (entry === null) return section.missing("condition");
  const scalar = entry.value.kind === "scalar" ? entry.value : null;
  const text =
    typeof scalar?.value === "boolean" ? String(scalar.value) : section.prose("condition");
  if (text === null || scalar === null) return null;
  if (new TextEncoder().encode(text).length > LIMIT.conditionBytesMax) {
    return section.fail("condition", "limit", `is longer than ${LIMIT.conditionBytesMax} bytes`);
  }
  const answer = compileCondition(text);
  if (!answer.ok) {
    const name = section.text("name");
    const hint = name === null ? null : `rule ${quoteShort(name)}`;
    for (const { message, at } of [answer, ...answer.more]) {
      const place = at === null ? scalar.at : scalar.inside(at.line, at.col);
      section.problems.error(place, scalar.path, "condition", message, hint);
    }
    return { text, always: false };
  }
  for (const metric of answer.condition.unguarded) {
    const message = `compares ${metric} without has(), so it fails on events that lack it`;
    section.warn("condition", "unguarded", message);
  }
  return { text, always: answer.condition.alwaysTrue };
}

function readHold(section: Section): Hold | null {
  const text = section.text("hold");
  if (text === null) return null;
  const word = HOLDS.find((one) => one === text);
  if (word !== undefined) return word;
  const answer = parseDuration(text);
  if (answer.ok && answer.ms >= 1) return { forMs: Math.round(answer.ms) };
  const close = nearest(text, HOLDS);
  const suggestion = close === null ? "" : `; did you mean "${close}"?`;
  const hint = `a duration, or ${HOLDS.join(", ")}${suggestion}`;
  return section.fail("hold", "choice", `${quoteShort(text)} is not a hold`, hint);
}

function readRepeat(repeat: Section): PolicyRule["repeat"] {
  const atLeast = repeat.integer("at_least", { min: 2, max: REPEATS_MAX });
  const withinMs = repeat.duration("within", { min: 1 });
  const by = repeat.choice("by", ["gpu", "node"]);
  const result = repeat.choice("result", RESULTS);
  if (!repeat.given) return null;
  for (const key of ["at_least", "within", "result"]) if (!repeat.has(key)) repeat.missing(key);
  repeat.finish();
  if (atLeast === null || withinMs === null || result === null) return null;
  return { atLeast, withinMs, by: by ?? "gpu", result };
}

function readPools(section: Section): string[] | null {
  const pools = section.texts("pools");
  const bad = pools?.find((name) => !POOL_NAME.test(name));
  if (bad !== undefined) section.fail("pools", "name", `${quoteShort(bad)} is not a pool name`);
  if (pools?.length === 0) {
    section.fail("pools", "required", "names no pool", "leave it out for every pool");
  }
  return pools;
}

function refuseRepeats(found: readonly Found[]): void {
  const lines = new Map<string, number>();
  for (const { rule, section } of found) {
    const before = lines.get(rule.name);
    if (before === undefined) lines.set(rule.name, rule.line);
    else if (rule.name !== "") {
      const message = `${quoteShort(rule.name)} already used at line ${before}`;
      section.fail("name", "duplicate_name", message);
    }
  }
}

/** The first match decides, so a rule after one that is always true is never reached. */
function warnOrder(root: Section, found: readonly Found[]): void {
  const first = found.findIndex((one) => one.always);
  const catcher = found[first];
  const last = found.at(-1);
  if (catcher === undefined) {
    if (last === undefined) return;
    const message = "no rule is always true, so what matches none is healthy";
    const hint = "end with a rule whose condition is true";
    root.problems.warning(last.section.at, "rules", "no_default", message, hint);
    return;
  }
  for (const { rule, section } of found.slice(first + 1)) {
    const name = quoteShort(catcher.rule.name);
    const message = `rule ${quoteShort(rule.name)} is never reached: ${name} is always true`;
    root.problems.warning(section.at, section.path, "unreachable_rule", message);
  }
}
