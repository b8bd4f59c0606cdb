/** The generated pages: where each lies, and what makes it. */
import { formatJsonSchema } from "../../reconciler/config/json-schema.ts";
import { formatDefinition } from "../../deploy/agentpool/crd-text.ts";
import { renderWorkflow, type WorkflowPart } from "../../deploy/workflow.ts";
import { formatApi } from "./api.ts";
import { formatCli } from "./cli.ts";
import { formatConfiguration } from "./configuration.ts";
import { formatDecisions } from "./decisions.ts";
import { formatEvents } from "./events.ts";
import { renderTree } from "./kai/tree.ts";
import { formatMetrics } from "./metrics.ts";
import { formatClient, formatOpenApi } from "./openapi.ts";
import { formatScenario } from "./scenario.ts";
import { formatNodeFile } from "./virtual-nodes.ts";

/** The guide's manifests, whose Job submits a Job. */
function formatExample(part: WorkflowPart): string {
  const allowed = [{ group: "batch", resource: "jobs" }];
  const options = { namespace: null, image: null, allowed, isAdmin: false };
  const command = `navarch manifests workflows --part ${part} --allow batch/jobs`;
  return `# ${command}\n${renderWorkflow({ ...options, parts: [part] })}`;
}

/** The guide root of the console, whose charts and manifests are rendered. */
function guideFiles(): Record<string, () => string> {
  const entries = [...renderTree()].map(([path, text]) => [`deploy/guide/kai/${path}`, () => text]);
  return Object.fromEntries(entries) as Record<string, () => string>;
}

export const PAGES: Readonly<Record<string, () => string | Promise<string>>> = {
  "docs/configuration.md": formatConfiguration,
  "docs/navarch.schema.json": formatJsonSchema,
  "docs/scenario.md": formatScenario,
  "docs/cli.md": formatCli,
  "docs/metrics.md": formatMetrics,
  "docs/events.md": formatEvents,
  "docs/api.md": formatApi,
  "reconciler/http/openapi.json": formatOpenApi,
  "test/cli/generated/navarch.ts": formatClient,
  "docs/decisions/README.md": formatDecisions,
  "deploy/workflow/example/rbac.yaml": () => formatExample("rbac"),
  "deploy/workflow/example/test-job.yaml": () => formatExample("job"),
  "deploy/guide/agentpool/k8s/crd/agentpool-crd.yaml": formatDefinition,
  // Helm installs it before everything else, and never changes or removes it.
  "deploy/helm/navarch/crds/agentpool-crd.yaml": formatDefinition,
  "deploy/helm/virtual-nodes/files/node.json": formatNodeFile,
  ...guideFiles(),
};
