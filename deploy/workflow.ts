/**
 * Renders the manifests of workflows inside a cluster: account, role, Job, server, exporter. Edits
 * the text, so that its comments stay. Pure.
 */
import testJob from "./guide/knavigator/resources/workflows/k8s/test-job.yml" with { type: "text" };
import jobTemplate from "./guide/knavigator/resources/templates/k8s/job.yml" with { type: "text" };
import account from "./workflow/account.yaml" with { type: "text" };
import admin from "./workflow/admin.yaml" with { type: "text" };
import exporter from "./workflow/exporter.yaml" with { type: "text" };
import job from "./workflow/job.yaml" with { type: "text" };
import role from "./workflow/role.yaml" with { type: "text" };
import server from "./workflow/server.yaml" with { type: "text" };
import serviceMonitor from "./workflow/service-monitor.yaml" with { type: "text" };
import { formatStages } from "./stage.ts";

/** What can be printed alone, in the order to apply it. */
export const WORKFLOW_PARTS = [
  ...(["stages", "rbac", "job", "server", "exporter", "service-monitor"] as const),
];
export type WorkflowPart = (typeof WORKFLOW_PARTS)[number];

/** Objects that workflows may submit. An empty group is the core one. */
export type Allowed = { group: string; resource: string };

export type WorkflowOptions = {
  parts: readonly WorkflowPart[];
  /** A DNS label; `null` = `default`. */
  namespace: string | null;
  /** With its tag; `null` = this product's version. */
  image: string | null;
  allowed: readonly Allowed[];
  isAdmin: boolean;
};

/** One stream for `kubectl apply -f -`. */
export function renderWorkflow(options: WorkflowOptions): string {
  const texts = options.parts.map((part) => partOf(part, options).trimEnd());
  return `${texts.join("\n---\n")}\n`;
}

function partOf(part: WorkflowPart, options: WorkflowOptions): string {
  // Stages have no namespace and no image.
  if (part === "stages") return formatStages();
  return place(textOf(part, options), options);
}

function textOf(
  part: Exclude<WorkflowPart, "stages">,
  { allowed, isAdmin }: WorkflowOptions,
): string {
  switch (part) {
    case "rbac":
      return `${account}---\n${isAdmin ? admin : allow(allowed)}`;
    case "job":
      return `${formatFiles()}---\n${job}`;
    case "server":
      return server;
    case "exporter":
      return exporter;
    case "service-monitor":
      return serviceMonitor;
  }
}

const CHANGE = "[get, list, watch, create, patch, delete]";

/** The role with the kinds that workflows submit. */
function allow(allowed: readonly Allowed[]): string {
  const rules = allowed.map(({ group, resource }) => {
    const rule = (of: string, verbs: string): string =>
      `- apiGroups: ["${group}"]\n  resources: [${of}]\n  verbs: ${verbs}\n`;
    return rule(resource, CHANGE) + rule(`${resource}/status`, "[patch]");
  });
  const end = role.indexOf("\n---\n") + 1;
  if (end === 0) throw new Error("expected a role and its binding");
  return `${role.slice(0, end)}${rules.join("")}${role.slice(end)}`;
}

/** The workflow that the Job runs, with its template. */
function formatFiles(): string {
  const block = (text: string): string => text.trimEnd().replace(/^(?=.)/gm, "    ");
  return `# The files of the Job below.
apiVersion: v1
kind: ConfigMap
metadata:
  name: knavigator-test-job
  namespace: default
  labels:
    app.kubernetes.io/name: knavigator
data:
  test-job.yml: |
${block(testJob)}
  job.yml: |
${block(jobTemplate)}
`;
}

function place(text: string, { namespace, image }: WorkflowOptions): string {
  const imaged =
    image === null
      ? text
      : text.replace(/^( *image: )navarch\/control-plane:.+$/gm, (_line, head: string) => {
          return head + JSON.stringify(image);
        });
  if (namespace === null) return imaged;
  return (
    imaged
      .replace(/^( {2}namespace: )default$/gm, (_line, head: string) => head + namespace)
      // Cluster-wide objects are called NAME.NAMESPACE.
      .replace(/^( *name: [a-z-]+[.])default$/gm, (_line, head: string) => head + namespace)
  );
}
