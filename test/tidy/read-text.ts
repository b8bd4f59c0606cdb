/**
 * Text for people is not read to find out what something is: its words change, and hold words of
 * others. A code or a field says it. Found is what searches or matches a value named as text.
 */
import { Visitor } from "oxc-parser";
import type { Expression, PrivateIdentifier } from "oxc-parser";
import { isTest, lineAt } from "./source.ts";
import type { Source, Violation } from "./source.ts";

const ROOMS = /^(?:reconciler|cli|health)\//;
/** Names of values that are written for people. */
const TEXT = /^(?:reason|message|why|because|refusal|detail|error|problem|trouble)$/;
/** Of these a comparison with a constant text is a reading, too; the others may be codes. */
const SENTENCE = /^(?:message|because)$/;
/** Of the text itself. */
const SEARCHES = new Set([
  ...["startsWith", "endsWith", "includes", "indexOf", "match", "matchAll", "search"],
]);
/** Of a pattern, given the text. */
const PATTERNS = new Set(["test", "exec"]);
/** What gives the same text in another form. */
const FORMS = new Set(["trim", "toLowerCase", "toUpperCase", "slice"]);

/** Nothing else tells what it is: each file with whose text it reads. */
const FOREIGN: Readonly<Record<string, string>> = {
  "reconciler/agentpool/pod-call.ts": "kube-apiserver: dry runs, strict decoding, UIDs",
  "reconciler/agentpool/refusal.ts": "kube-apiserver: quota, validation, pod security",
  "reconciler/core/console/event.ts": "Kubernetes: the reason of an Event is its code",
  "reconciler/core/console/suggestion.ts": "Flux: the message of a Ready condition",
  "reconciler/core/fold/mark-record.ts": "slurmctld: our reason as it lists it, with its tail",
  "reconciler/core/slurm/owner.ts": "slurmctld: its own reasons",
  "reconciler/core/slurm/pod-scale.ts": "slurmctld: a drain has an owner in its reason alone",
  "reconciler/core/slurm/reason.ts": "slurmctld: a drain has an owner in its reason alone",
  "reconciler/kubernetes/answer.ts": "kube-apiserver: two disruption budgets",
  "reconciler/kubernetes/client-identity.ts": "kube-apiserver and TLS: who the caller is",
  "reconciler/kubernetes/console/act.ts": "kube-apiserver: UIDs",
  "reconciler/kubernetes/eviction.ts": "kube-apiserver: disruption budgets, UIDs",
  "reconciler/kubernetes/permission.ts": "kube-apiserver: the account of a refusal by RBAC",
  "reconciler/kubernetes/status-write.ts": "kube-apiserver: UIDs",
  "reconciler/provider/call/cluster-call.ts": "kube-apiserver: quota",
  "reconciler/provider/gcp/error.ts": "Compute Engine: reservations",
  "reconciler/server/lock.ts": "SQLite",
  "reconciler/server/start-failure.ts": "SQLite",
  "reconciler/slurm/cli.ts": "Slurm's commands",
  "reconciler/slurm/marker.ts": "slurmctld: our reason as it lists it, with its tail",
  "reconciler/slurm/node-reader.ts": "slurmctld and slurmrestd",
  "reconciler/slurm/rest.ts": "slurmrestd",
  "reconciler/slurm/rights.ts": "slurmctld",
};
/** Ours. It decides nothing of a machine: whether and how something is shown, or said again. */
const SHOWN: Readonly<Record<string, string>> = {
  "reconciler/core/kubernetes/slinky.ts": "the code in front of a text that `sinfo -R` shows",
  "reconciler/http/route/workflow.ts": "the name of a run, of which the audit alone is left",
  "reconciler/kubernetes/client.ts": "a word that would be said twice",
  "reconciler/kubernetes/console/copies.ts": "slow or unreachable, for the console's reader",
  "reconciler/kubernetes/console/log.ts": "the same, and kube-apiserver's word on a log",
  "reconciler/kubernetes/status-diff.ts": "our condition on the Node: whether to write again",
  "reconciler/slurm/rest-call.ts": "a word that would be said twice",
  "reconciler/store/lease.ts": "our trigger's text: SQLite hands on nothing else",
};
export const READERS: Readonly<Record<string, string>> = { ...FOREIGN, ...SHOWN };

type Any = Expression | PrivateIdentifier | { type: string };

/** The last name of `a.b?.name`, `name ?? ""`, `String(name)` and `name.trim()`; else `null`. */
function nameOf(node: Any): string | null {
  if (!("type" in node)) return null;
  const one = node as Expression;
  switch (one.type) {
    case "Identifier":
      return one.name;
    case "ChainExpression":
    case "ParenthesizedExpression":
    case "TSAsExpression":
      return nameOf(one.expression);
    case "LogicalExpression":
      return nameOf(one.left);
    case "MemberExpression":
      return one.computed ? null : one.property.name;
    case "CallExpression": {
      const [first] = one.arguments;
      const { callee } = one;
      if (callee.type === "Identifier") {
        return callee.name === "String" && first !== undefined ? nameOf(first) : null;
      }
      if (callee.type !== "MemberExpression" || callee.computed) return null;
      return FORMS.has(callee.property.name) ? nameOf(callee.object) : null;
    }
    default:
      return null;
  }
}

const isText = (node: Any | undefined, names = TEXT): boolean =>
  node !== undefined && names.test(nameOf(node) ?? "");

/** `readers`: files that may, each with whose text it is. */
export function judgeReading(
  { path, text, parsed }: Source,
  readers: Readonly<Record<string, string>>,
): Violation[] {
  if (!ROOMS.test(path) || isTest(path) || Object.hasOwn(readers, path)) return [];
  const found: Violation[] = [];
  const add = (start: number, name: string) => {
    const what = `${name} is text for people: use a code or a field`;
    found.push({ path, line: lineAt(text, start), rule: "read-text", what });
  };
  new Visitor({
    CallExpression({ callee, arguments: [first], start }) {
      if (callee.type !== "MemberExpression" || callee.computed) return;
      const { name } = callee.property;
      const read = SEARCHES.has(name) ? callee.object : PATTERNS.has(name) ? first : undefined;
      if (isText(read)) add(start, nameOf(read ?? callee) ?? "");
    },
    BinaryExpression({ left, operator, right, start }) {
      if (operator !== "===" && operator !== "!==") return;
      const isConstant = right.type === "Literal" && typeof right.value === "string";
      if (isConstant && right.value !== "" && isText(left, SENTENCE)) {
        add(start, nameOf(left) ?? "");
      }
    },
  }).visit(parsed.program);
  return found;
}
