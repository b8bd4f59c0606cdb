/** The flags of `navarch sim workflow`, which is also `knavigator`. */
import { CONNECT_FLAGS } from "./connect.ts";
import { formatGoUsage, type GoFlag } from "./go-flag.ts";
import { KUBE_FLAGS } from "./kube.ts";

/** Flags of the Go program's log library (klog): its log goes to standard error alone here. */
const ignored = (kind: GoFlag["kind"], ...names: readonly string[]): GoFlag[] =>
  names.map((name) => ({ name, kind, help: "ignored", hidden: true }));

export const WORKFLOW_FLAGS: readonly GoFlag[] = [
  {
    name: "workflow",
    kind: "string",
    value: "LIST",
    help: "comma list of workflow files and folders; braces expand: 'a/{x,y}.yaml'",
  },
  { name: "port", kind: "int", value: "N", help: "serve POST /workflow on this port instead" },
  {
    name: "host",
    kind: "string",
    value: "ADDRESS",
    default: "127.0.0.1",
    help: "with -port: the address to listen at; there is no login",
  },
  { name: "cleanup", kind: "bool", help: "remove what this run created, also after a failure" },
  {
    name: "cleanup.timeout",
    kind: "duration",
    value: "T",
    default: "5m",
    help: "limit of the cleanup",
  },
  {
    name: "cleanup.nodes",
    kind: "bool",
    default: "true",
    help: "with =false the cleanup keeps virtual nodes",
  },
  ...KUBE_FLAGS,
  ...CONNECT_FLAGS,
  {
    name: "report",
    kind: "string",
    value: "FILE",
    help: "write a report: JUnit for .xml, JSON for .json, a page for .html",
  },
  { name: "dry-run", kind: "bool", help: "check files and templates, write nothing" },
  { name: "strict", kind: "bool", help: "a template key without a value is an error" },
  {
    name: "seed",
    kind: "int",
    value: "N",
    help: "repeat random picks: the same seed picks the same",
  },
  { name: "taint", kind: "bool", help: "new virtual nodes get the taint kwok.x-k8s.io/node" },
  {
    name: "v",
    kind: "int",
    value: "N",
    default: "0",
    help: "detail of the log; from 4 on rendered names, matched pods and API writes",
  },
  ...ignored("string", "vmodule", "log_dir", "log_file", "log_backtrace_at"),
  ...ignored("bool", "logtostderr", "alsologtostderr", "one_output", "add_dir_header"),
  ...ignored("bool", "skip_headers", "skip_log_headers"),
  ...ignored("string", "stderrthreshold", "log_file_max_size"),
];

/** `program` is the name that the operator typed. */
export function formatWorkflowUsage(program: string): string {
  const head = `Usage of ${program}: ${program} -workflow LIST [flags]\n`;
  const more = program === "navarch sim" ? "\nScenarios: navarch help simulate run\n" : "";
  return `${formatGoUsage(head, WORKFLOW_FLAGS)}${more}`;
}
