/**
 * The sections of `navarch slurm verify`: what a Slurm cluster on Kubernetes must show, each with
 * its findings. Secrets are asked for by the names of their keys alone.
 */
import { KEYS_ANNOTATION, podName } from "../deploy/slurm/manifest-option.ts";
import type { KubeObject } from "../deploy/slurm/reference-set.ts";
import { judgeReferences } from "../deploy/slurm/reference.ts";
import type { Kubectl } from "./kubectl.ts";
import { judgeGpus } from "./slurm-gpu-check.ts";
import { judgeObjects, type Findings, type Seen } from "./slurm-object-check.ts";
import type { SlurmRun } from "./slurm-run.ts";

export type Section = {
  id: number;
  name: string;
  status: "passed" | "failed" | "skipped";
  /** What failed, or what was found. */
  lines: readonly string[];
};

export type Verify = { kubectl: Kubectl; run: SlurmRun; namespace: string };

/** Taken as given: without it the pods do not start, which section 3 tells. */
const MUNGE = { kind: "Secret", name: "slurm-munge-key", keys: ["munge.key"] };

const passed = (...found: string[]): Findings => ({ failed: [], found });
const failed = (...lines: string[]): Findings => ({ failed: lines, found: [] });

/** Never throws on a cluster that is away: its sections fail, and the others are skipped. */
export async function verifySlurm(verify: Verify): Promise<Section[]> {
  const { namespace } = verify;
  const seen = await readObjects(verify);
  const needs =
    (judge: (objects: Seen) => Findings): (() => Promise<Findings>) =>
    async () =>
      typeof seen === "string" ? failed(seen) : judge(seen);
  const steps: readonly [string, () => Promise<Findings>][] = [
    ["cluster", () => checkCluster(verify)],
    ["namespace", () => checkNamespace(verify)],
    ["pods", needs((objects) => judgeObjects(objects, "pods"))],
    ["services", needs((objects) => judgeObjects(objects, "services"))],
    ["controller", () => checkController(verify, seen)],
    ["references", needs((objects) => checkReferences(objects, namespace))],
    ["gpus", () => checkGpus(verify, seen)],
    ["munge", () => checkMunge(verify)],
  ];
  const sections: Section[] = [];
  for (const [at, [name, check]] of steps.entries()) {
    const isAway = sections.slice(0, 2).some(({ status }) => status === "failed");
    const found = isAway ? null : await check();
    const status = found === null ? "skipped" : found.failed.length > 0 ? "failed" : "passed";
    const lines = found === null ? [] : [...found.failed, ...found.found];
    sections.push({ id: at + 1, name, status, lines });
  }
  return sections;
}

async function checkCluster({ kubectl }: Verify): Promise<Findings> {
  const answer = await kubectl(["get", "--raw", "/readyz"]);
  return answer.ok ? passed("the API server is ready") : failed(answer.why);
}

async function checkNamespace({ kubectl, namespace }: Verify): Promise<Findings> {
  const answer = await kubectl(["get", "namespace", namespace, "-o=jsonpath={.status.phase}"]);
  if (!answer.ok) return failed(answer.why);
  const phase = answer.out.trim();
  return phase === "Active" ? passed(`${namespace} is Active`) : failed(`${namespace} is ${phase}`);
}

const KINDS = "statefulsets,deployments,services,configmaps,persistentvolumeclaims,pods";
const KEYS =
  "-o=go-template={{range .items}}{{.metadata.name}}{{range $key, $_ := .data}} {{$key}}{{end}}" +
  ` {{with .metadata.annotations}}{{with index . "${KEYS_ANNOTATION}"}}{{.}}{{end}}{{end}}` +
  '{{"\\n"}}{{end}}';

/** Everything in the namespace that a section reads, or why it could not be read. */
async function readObjects({ kubectl, namespace }: Verify): Promise<Seen | string> {
  const [listed, keys] = await Promise.all([
    kubectl(["get", KINDS, "-n", namespace, "-o=json"]),
    kubectl(["get", "secrets", "-n", namespace, KEYS]),
  ]);
  if (!listed.ok) return listed.why;
  if (!keys.ok) return keys.why;
  const { items } = JSON.parse(listed.out) as { items: KubeObject[] };
  const secrets = keys.out.split("\n").flatMap((line): KubeObject[] => {
    const [name = "", ...rest] = line.split(/[ ,]+/).filter((word) => word !== "");
    if (name === "") return [];
    const data = Object.fromEntries(rest.map((key) => [key, ""]));
    return [{ kind: "Secret", metadata: { name, namespace }, data }];
  });
  return [...items, ...secrets];
}

function checkReferences(seen: Seen, namespace: string): Findings {
  const here: KubeObject = { kind: "Namespace", metadata: { name: namespace } };
  const ours = seen.filter(({ kind, metadata }) => {
    return kind !== "Pod" && metadata.name.startsWith("slurm-");
  });
  const { dangling, references } = judgeReferences([here, ...ours], [MUNGE]);
  return { failed: dangling, found: dangling.length > 0 ? [] : [`${references} closed`] };
}

async function checkController({ run }: Verify, seen: Seen | string): Promise<Findings> {
  const pods = typeof seen === "string" ? failed(seen) : judgeObjects(seen, "controller");
  const lines = [...pods.failed];
  const found: string[] = [...pods.found];
  for (const argv of [
    ["sinfo", "--version"],
    ["sinfo", "--noheader", "--format=%P %D %T"],
  ]) {
    const answer = await run(argv);
    if (answer.ok) found.push(...answer.out.trim().split("\n"));
    else lines.push(`${argv.join(" ")}: ${answer.why}`);
  }
  return { failed: lines, found };
}

async function checkGpus({ run }: Verify, seen: Seen | string): Promise<Findings> {
  if (typeof seen === "string") return failed(seen);
  const argv = ["sinfo", "--noheader", "--Node", "--format=%N %T %G"];
  return judgeGpus(seen, async () => {
    const answer = await run(argv);
    return answer.ok ? answer.out : { why: `sinfo: ${answer.why}` };
  });
}

/** Encodes where the controller is and decodes in a compute pod, by the socket that Slurm uses. */
async function checkMunge({ run }: Verify): Promise<Findings> {
  const config = await run(["scontrol", "show", "config"]);
  if (!config.ok) return failed(`scontrol show config: ${config.why}`);
  const path = /^AuthInfo\s*=.*\bsocket=([^\s,]+)/m.exec(config.out)?.[1];
  const socket = path === undefined ? [] : [`--socket=${path}`];
  const encoded = await run(["munge", "--no-input", ...socket]);
  if (!encoded.ok) return failed(encoded.why);
  const there = { input: encoded.out, node: podName(0) };
  const decoded = await run(["unmunge", ...socket], there);
  if (!decoded.ok) return failed(decoded.why);
  const status = /^STATUS:\s*(.*)$/m.exec(decoded.out)?.[1] ?? "no status";
  return status.startsWith("Success") ? passed(`decoded: ${status}`) : failed(`unmunge: ${status}`);
}
